"""RUN --network, --security and --device, and what a build has to be given for them."""

import json
from pathlib import Path

import pytest

from building import Session
from harness import Cli
from kist.engine import Engine
from kist.errors import Forbidden, InvalidInput, NotFound


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    context = tmp_path / "context"
    context.mkdir()
    return Session(engine, context)


def test_a_command_without_a_network(session: Session, busybox: str) -> None:
    session.build(
        f"FROM {busybox}\nRUN --network=none ls /sys/class/net\nRUN --network=default ls /sys/class/net | wc -l"
    )
    assert session.output.startswith("lo\n")


@pytest.mark.parametrize(
    ("flag", "entitlement"),
    [
        ("--network=host", "network.host"),
        ("--security=insecure", "security.insecure"),
        ("--device=kist.test/none=x", "device=kist.test/none=x"),
    ],
)
def test_what_is_not_every_commands_to_have_needs_an_entitlement(
    session: Session, busybox: str, flag: str, entitlement: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        session.build(f"FROM {busybox}\nRUN echo began\nRUN {flag} true")
    assert caught.value.message.startswith("Dockerfile:3: RUN --")
    assert caught.value.hint.endswith(f"--allow {entitlement}")
    assert session.output == ""


def test_there_are_no_other_entitlements(session: Session, busybox: str) -> None:
    with pytest.raises(InvalidInput, match="invalid entitlement"):
        session.build(f"FROM {busybox}", allow=("everything",))


def test_the_hosts_network_for_who_is_given_it(session: Session, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN --network=host cat /proc/net/unix > /dev/null && readlink /proc/self/ns/net"
    session.build(text, allow=("network.host",))
    with_host = session.output
    session.build(f"FROM {busybox}\nRUN readlink /proc/self/ns/net")
    assert with_host.startswith("net:[")
    assert session.output != with_host


def test_an_insecure_command_has_all_rights(session: Session, busybox: str) -> None:
    status = "grep -E '^(CapEff|Seccomp):' /proc/self/status"
    session.build(f"FROM {busybox}\nRUN --security=insecure {status}", allow=("security.insecure",))
    insecure = session.output.split()
    session.build(f"FROM {busybox}\nRUN --security=sandbox {status}")
    sandboxed = session.output.split()
    assert int(insecure[1], 16) > int(sandboxed[1], 16)
    assert insecure[3] == "0"
    assert sandboxed[3] == "2"


def test_a_device_that_nothing_describes(session: Session, busybox: str) -> None:
    session.build(f"FROM {busybox}\nRUN --device=kist.test/none=x echo without", allow=("device",))
    assert session.output == "without\n"
    with pytest.raises(NotFound, match="is required"):
        session.build(f"FROM {busybox}\nRUN --device=kist.test/none=x,required true", allow=("device",))


def test_a_device_that_is_described(
    session: Session, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(session.engine, Engine):
        pytest.skip("the engine is in another process")
    from kist.engine import cdi

    described = {
        "cdiVersion": "0.6.0",
        "kind": "kist.test/dev",
        "devices": [
            {"name": "a", "containerEdits": {"env": ["OF_DEVICE=yes"], "deviceNodes": [{"path": "/dev/full"}]}}
        ],
    }
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "a.json").write_text(json.dumps(described))
    monkeypatch.setattr(cdi, "DIRECTORIES", (str(tmp_path / "cdi"),))
    session.build(
        f"FROM {busybox}\nRUN --device=kist.test/dev=a,required echo $OF_DEVICE && ls /dev/full",
        allow=("device=kist.test/dev=a",),
    )
    assert session.output == "yes\n/dev/full\n"


def test_the_command_lines_option(cli: Cli, tmp_path: Path) -> None:
    context = tmp_path / "c"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox:test\nRUN --network=host true\n")
    refused = cli("build", str(context))
    assert refused.returncode != 0
    assert "kist build --allow network.host" in refused.stderr
    cli.good("build", "--allow", "network.host", str(context))
