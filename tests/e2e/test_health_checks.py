"""Health checks with real containers: made by the monitor, whoever else lives or dies."""

import io
import itertools
import json
import os
import re
import signal
import time
from typing import Any

import pytest

import needs
from harness import BUSYBOX, Cli, busybox_tar, kill_engine, until
from kist.engine import Engine
from kist.errors import InvalidInput
from kist.spec.container import Container, ContainerOptions, ExecOptions, Health, RestartPolicy
from kist.spec.image import ContainerConfig, Healthcheck

pytestmark = pytest.mark.usefixtures("busybox")
MS = 1_000_000
OK = Healthcheck(test=("CMD-SHELL", "echo looked; test -e /ok"), interval=100 * MS, retries=2)
# Ends at once when it is asked to.
SERVICE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")


def make(engine: Engine, check: Healthcheck | None, *command: str, **options: Any) -> Container:
    asked = ContainerOptions(
        image=options.pop("image", BUSYBOX), command=command or SERVICE, healthcheck=check,
        **{"network": "none", "stop_timeout": 0, **options},
    )  # fmt: skip
    container = engine.create(asked)
    engine.start(container)
    return container


def health(engine: Engine, container: Container) -> Health:
    found = engine.container(container).state.health
    assert found is not None
    return found


def until_health(engine: Engine, container: Container, status: str) -> Health:
    until(lambda: health(engine, container).status == status)
    return health(engine, container)


def test_a_container_becomes_unhealthy_and_healthy_again(engine: Engine) -> None:
    begun = time.time_ns()
    container = make(engine, OK)
    assert health(engine, container).status == "starting"
    found = until_health(engine, container, "unhealthy")
    assert found.streak >= 2
    assert {(result.exit_code, result.output) for result in found.log} == {(1, "looked\n")}
    engine.exec(container, ExecOptions(("touch", "/ok")))
    found = until_health(engine, container, "healthy")
    assert (found.streak, found.log[-1].exit_code) == (0, 0)
    engine.exec(container, ExecOptions(("rm", "/ok")))
    until_health(engine, container, "unhealthy")
    engine.stop(container)
    assert health(engine, container).status == "unhealthy"

    def told() -> list[str]:
        events = engine.events(since=begun, until=time.time_ns(), filters={"container": [container.id]})
        return [event.action.removeprefix("health_status: ") for event in events if "health_status" in event.action]

    until(lambda: len(told()) == 3)
    assert told() == ["unhealthy", "healthy", "unhealthy"]


def test_the_last_five_results_are_kept_and_between_them_is_the_interval(engine: Engine) -> None:
    container = make(engine, OK)
    first = until_health(engine, container, "unhealthy").log[0]
    until(lambda: health(engine, container).log[0] != first and len(health(engine, container).log) == 5)
    log = health(engine, container).log
    for before, after in itertools.pairwise(log):
        assert before.start <= before.end
        assert after.start - before.end >= 100 * MS
    engine.remove(container, force=True)


def test_a_check_that_takes_too_long_is_killed_with_what_it_started(engine: Engine) -> None:
    check = Healthcheck(
        test=("CMD-SHELL", "echo before; sleep 1234 & sleep 1234"), interval=100 * MS, timeout=900 * MS, retries=1
    )
    container = make(engine, check)
    found = until_health(engine, container, "unhealthy")
    assert (found.log[0].exit_code, found.log[0].output) == (-1, "Health check exceeded timeout (900ms): before\n")
    assert found.log[0].end - found.log[0].start >= 900 * MS
    # Of later checks at most one runs just now.
    assert engine.exec(container, ExecOptions(("sh", "-c", "pgrep -f 'sleep 1234' | wc -l"))).stdout.strip() in "0123"
    engine.remove(container, force=True)


def test_a_check_that_cannot_run_has_failed(engine: Engine) -> None:
    container = make(engine, Healthcheck(test=("CMD", "/no/such"), interval=100 * MS, retries=1))
    found = until_health(engine, container, "unhealthy")
    assert found.log[0].exit_code == -1
    assert "/no/such" in found.log[0].output
    engine.remove(container, force=True)


@needs.USERS
def test_a_check_has_the_containers_user_environment_and_directory_and_no_log(engine: Engine) -> None:
    check = Healthcheck(test=("CMD-SHELL", "id -u; echo $WHO; pwd"), interval=100 * MS)
    container = make(engine, check, env=("WHO=me",), user="1000", working_dir="/tmp")
    found = until_health(engine, container, "healthy")
    assert found.log[0].output == "1000\nme\n/tmp\n"
    assert list(engine.logs(container)) == []
    engine.remove(container, force=True)


def test_of_long_output_the_beginning_is_kept(engine: Engine) -> None:
    container = make(engine, Healthcheck(test=("CMD-SHELL", "yes | head -c 100000"), interval=100 * MS))
    found = until_health(engine, container, "healthy")
    assert found.log[0].output == "y\n" * 2048 + "..."
    engine.remove(container, force=True)


def test_in_the_start_period_failures_do_not_count_and_looks_are_often(engine: Engine) -> None:
    check = Healthcheck(
        test=("CMD-SHELL", "test -e /ok"), interval=3600 * 1000 * MS, start_interval=50 * MS,
        start_period=3600 * 1000 * MS, retries=1,
    )  # fmt: skip
    container = make(engine, check)
    until(lambda: len(health(engine, container).log) == 5)
    assert (health(engine, container).status, health(engine, container).streak) == ("starting", 0)
    engine.exec(container, ExecOptions(("touch", "/ok")))
    until_health(engine, container, "healthy")
    engine.remove(container, force=True)


@needs.IN_PROCESS
def test_the_images_check_holds_where_nothing_else_is_asked_for(engine: Engine) -> None:

    of_image = Healthcheck(test=("CMD", "true"), interval=3600 * 1000 * MS, retries=7)
    engine.import_image(
        io.BytesIO(busybox_tar()), "checked:test", config=ContainerConfig(cmd=("sh",), healthcheck=of_image)
    )
    container = make(engine, Healthcheck(interval=100 * MS), image="checked:test")
    assert engine.container(container).config.healthcheck == Healthcheck(("CMD", "true"), 100 * MS, retries=7)
    until_health(engine, container, "healthy")
    engine.remove(container, force=True)
    container = make(engine, Healthcheck(test=("NONE",)), image="checked:test")
    assert engine.container(container).state.health is None
    engine.remove(container, force=True)


@pytest.mark.parametrize(
    ("action", "code", "by_hand"),
    [("kill", 137, False), ("stop", 0, True)],
)
def test_what_follows_when_it_is_unhealthy(engine: Engine, action: str, code: int, by_hand: bool) -> None:
    container = make(engine, OK, health_on_failure=action, stop_timeout=10)
    until(lambda: engine.container(container).state.status == "exited")
    state = engine.container(container).state
    assert (state.exit_code, state.by_hand, state.restart_count) == (code, by_hand, 0)


def test_an_unhealthy_container_may_be_restarted_without_a_policy(engine: Engine) -> None:
    container = make(engine, OK, health_on_failure="restart", stop_timeout=10)
    until(lambda: engine.container(container).state.restart_count == 2)
    assert engine.container(container).state.by_hand is False
    engine.stop(container)
    assert engine.container(container).state.status == "exited"


def test_a_kill_for_bad_health_leaves_the_policy(engine: Engine) -> None:
    container = make(engine, OK, health_on_failure="kill", restart=RestartPolicy("on-failure", 1))
    until(lambda: engine.container(container).state.status == "exited")
    assert engine.container(container).state.restart_count == 1


def test_a_new_run_begins_with_no_health(engine: Engine) -> None:
    container = make(engine, OK)
    until_health(engine, container, "unhealthy")
    engine.stop(container)
    engine.start(container)
    assert health(engine, container) == Health()
    engine.remove(container, force=True)


def test_a_wrong_action_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="invalid action on a failed health check: 'shout'"):
        make(engine, OK, health_on_failure="shout")


# on the command line, and without an engine


def run(cli: Cli, *options: str) -> str:
    checks = ("--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "2")
    return cli.good("run", "-d", "--name", "web", "--network", "none", *checks, *options, BUSYBOX, "sleep", "1000")


def state_of(cli: Cli, identifier: str) -> dict[str, Any]:
    """What the monitor wrote, without an engine."""
    path = cli.directory / "run" / "containers" / identifier / "state.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_health_in_lists_and_inspect(swept: Cli) -> None:
    run(swept)
    swept.good("run", "-d", "--name", "plain", "--network", "none", BUSYBOX, "sleep", "1000")
    until(lambda: "(unhealthy)" in swept.good("ps"))
    assert re.search(r"Up .+ \(unhealthy\) .*web", swept.good("ps"))
    assert swept.good("ps", "-q", "--filter", "health=unhealthy") == swept.good("ps", "-q", "--filter", "name=web")
    assert swept.good("ps", "-q", "--filter", "health=none") == swept.good("ps", "-q", "--filter", "name=plain")
    swept.good("exec", "web", "touch", "/ok")
    until(lambda: "(healthy)" in swept.good("ps"))
    (found,) = json.loads(swept.good("inspect", "web"))
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["State"]["Health"]["FailingStreak"] == 0
    assert found["State"]["Health"]["Log"][-1].keys() == {"Start", "End", "ExitCode", "Output"}
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "test -e /ok"]


def test_checks_go_on_without_an_engine_and_the_next_one_tells_of_it(swept: Cli) -> None:
    identifier = run(
        swept, "--health-on-failure", "kill", "--health-start-period", "1h", "--health-start-interval", "1s"
    )
    kill_engine(swept)
    pid = state_of(swept, identifier)["pid"]
    with open(f"/proc/{pid}/root/ok", "w", encoding="ascii"):
        until(lambda: state_of(swept, identifier)["health"]["status"] == "healthy")
    os.unlink(f"/proc/{pid}/root/ok")
    ended = swept.directory / "data" / "containers" / identifier / "state.json"
    until(ended.exists)
    assert json.loads(ended.read_text(encoding="utf-8"))["exit_code"] == 137
    events = swept.good("events", "--since", "1", "--until", str(time.time()), "--filter", f"container={identifier}")
    assert [word for word in ("healthy", "unhealthy") if f"health_status: {word} " in events] == [
        "healthy",
        "unhealthy",
    ]


def test_another_monitor_goes_on_with_the_checks(swept: Cli) -> None:
    identifier = run(swept)
    until(lambda: state_of(swept, identifier)["health"]["status"] == "unhealthy")
    before = state_of(swept, identifier)
    os.kill(before["monitor"], signal.SIGKILL)
    until(lambda: state_of(swept, identifier)["monitor"] != before["monitor"])
    until(lambda: state_of(swept, identifier)["health"]["streak"] > before["health"]["streak"])
    swept.good("exec", "web", "touch", "/ok")
    until(lambda: state_of(swept, identifier)["health"]["status"] == "healthy")
