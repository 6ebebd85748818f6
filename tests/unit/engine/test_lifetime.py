"""What options say of a container's time."""

from typing import Any

import msgspec
import pytest

from kist.engine import lifetime
from kist.errors import Conflict, InvalidInput
from kist.runtime.plan import Restart
from kist.spec.container import Container, ContainerOptions, ContainerState, RestartPolicy
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig, Healthcheck

SECOND = 1_000_000_000


def container(config: ContainerConfig | None = None, **options: Any) -> Container:
    asked = ContainerOptions(image="i", **options)
    return Container("c" * 64, "n", Digest("sha256:" + "0" * 64), 0, asked, config or ContainerConfig(), ("true",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"auto_remove": True, "restart": RestartPolicy("always")},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"stop_signal": "NOSUCH"}, "invalid signal: NOSUCH"),
        ({"timeout": -1}, "invalid timeout -1"),
        ({"health_on_failure": "explode"}, "invalid action on a failed health check: 'explode'"),
        ({"healthcheck": Healthcheck(interval=999_999)}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": Healthcheck(timeout=1)}, "Timeout in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": Healthcheck(start_period=-1)}, "StartPeriod in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": Healthcheck(start_interval=5)}, "StartInterval in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": Healthcheck(retries=-1)}, "Retries in Healthcheck cannot be negative"),
        ({"healthcheck": Healthcheck(test=("SHELL", "x"))}, r"Unknown healthcheck type 'SHELL' \(expected 'CMD'\)"),
    ],
)
def test_what_cannot_be_right_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        lifetime.check(ContainerOptions(image="i", **options))
    assert caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"auto_remove": True},
        {"restart": RestartPolicy("always")},
        {"stop_signal": "RTMIN+3", "stop_timeout": -1, "timeout": 5, "health_on_failure": "restart"},
        {"healthcheck": Healthcheck(test=("NONE",))},
        {"healthcheck": Healthcheck(test=("CMD", "true"), interval=1_000_000, retries=1)},
    ],
)
def test_what_is_right_passes(options: dict[str, Any]) -> None:
    lifetime.check(ContainerOptions(image="i", **options))


IMAGE = Healthcheck(test=("CMD", "image"), interval=1, timeout=2, start_period=3, start_interval=4, retries=5)


@pytest.mark.parametrize(
    ("asked", "image", "merged"),
    [
        (None, None, None),
        (None, IMAGE, IMAGE),
        (Healthcheck(test=("CMD", "x")), None, Healthcheck(test=("CMD", "x"))),
        (Healthcheck(test=("NONE",)), IMAGE, Healthcheck(("NONE",), 1, 2, 3, 4, 5)),
        (Healthcheck(interval=9), IMAGE, Healthcheck(("CMD", "image"), 9, 2, 3, 4, 5)),
        (Healthcheck(("CMD", "x"), 9, 8, 7, 6, 5), IMAGE, Healthcheck(("CMD", "x"), 9, 8, 7, 6, 5)),
        (Healthcheck(retries=1), IMAGE, Healthcheck(("CMD", "image"), 1, 2, 3, 4, 1)),
    ],
)
def test_what_is_not_asked_for_is_the_images(
    asked: Healthcheck | None, image: Healthcheck | None, merged: Healthcheck | None
) -> None:
    assert lifetime.merge_healthcheck(asked, image) == merged


@pytest.mark.parametrize(
    ("check", "shell", "command"),
    [
        (None, None, ()),
        (Healthcheck(), None, ()),
        (Healthcheck(test=("NONE",)), None, ()),
        (Healthcheck(test=("CMD", "a", "b")), None, ("a", "b")),
        (Healthcheck(test=("CMD-SHELL", "a | b")), None, ("/bin/sh", "-c", "a | b")),
        (Healthcheck(test=("CMD-SHELL", "a | b")), ("/bin/bash", "-e", "-c"), ("/bin/bash", "-e", "-c", "a | b")),
        (Healthcheck(interval=5), None, ()),
    ],
)
def test_what_a_check_executes(
    check: Healthcheck | None, shell: tuple[str, ...] | None, command: tuple[str, ...]
) -> None:
    assert lifetime.health_command(container(ContainerConfig(healthcheck=check, shell=shell))) == command


def test_a_life_without_words_is_the_default() -> None:
    life = lifetime.life(container(), None)
    assert (life.stop_signal, life.stop_timeout, life.timeout, life.restart, life.health) == (
        15,
        10,
        0,
        Restart(),
        None,
    )


def test_a_life_in_words() -> None:
    config = ContainerConfig(stop_signal="QUIT")
    life = lifetime.life(container(config, restart=RestartPolicy("on-failure", 3), stop_timeout=-1, timeout=9), None)
    assert (life.stop_signal, life.stop_timeout, life.timeout) == (3, -1, 9)
    assert life.restart == Restart("on-failure", 3)


SEEN = ContainerState("exited", started_at=1, finished_at=2)
UNSEEN = ContainerState("exited", 0, 255, started_at=1)
STOPPED = ContainerState("exited", started_at=1, finished_at=2, by_hand=True)


@pytest.mark.parametrize(
    ("policy", "state", "rebooted", "again"),
    [
        # An end that no monitor saw, with the machine or without it.
        ("no", UNSEEN, True, False),
        ("on-failure", UNSEEN, True, True),
        ("on-failure", UNSEEN, False, True),
        ("unless-stopped", UNSEEN, False, True),
        ("always", UNSEEN, False, True),
        # One that the monitor saw, and decided on.
        ("on-failure", SEEN, True, False),
        ("unless-stopped", SEEN, False, False),
        ("unless-stopped", SEEN, True, True),
        ("always", SEEN, False, False),
        # Stopped by hand.
        ("always", STOPPED, False, False),
        ("always", STOPPED, True, True),
        ("unless-stopped", STOPPED, True, False),
        ("on-failure", STOPPED, True, False),
        # Never started, or running.
        ("always", ContainerState(), True, False),
        ("always", ContainerState("running", started_at=1), True, False),
        ("always", ContainerState("restarting", started_at=1), True, False),
    ],
)
def test_what_an_engine_starts_again(policy: str, state: ContainerState, rebooted: bool, again: bool) -> None:
    found = msgspec.structs.replace(container(restart=RestartPolicy(policy)), state=state)
    assert lifetime.starts_again(found, rebooted=rebooted) is again


def test_what_rests_has_no_process() -> None:
    found = msgspec.structs.replace(container(), state=ContainerState("restarting"))
    with pytest.raises(Conflict, match="is restarting, wait until the container is running"):
        lifetime.refuse_restarting(found)
    lifetime.refuse_restarting(container())
