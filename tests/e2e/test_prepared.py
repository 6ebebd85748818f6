"""First processes that are made before there is a container for them."""

import os
from pathlib import Path

import pytest

from harness import BUSYBOX, Cli, kill_and_see, until
from kist.kernel import cgroup

pytestmark = pytest.mark.skipif(
    cgroup.Cgroup(cgroup.detect(), "kist").is_born_into, reason="processes are born into their cgroups here"
)


def told(pid: int, file: str) -> str:
    """What /proc tells of a process; nothing where it has ended meanwhile, as what only goes by does."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid: int) -> list[int]:
    return [int(child) for child in told(pid, f"task/{pid}/children").split()]


def name(pid: int) -> str:
    return told(pid, "comm").strip()


def prepared(cli: Cli) -> int:
    """The process that waits now for its container; 0 when there is none yet."""
    keepers = [pid for pid in children(cli.engine_pid()) if name(pid) == "kist-keeper"]
    spares = [pid for keeper in keepers for pid in children(keeper) if name(pid) == "kist-spawner"]
    waiting = [pid for spare in spares for pid in children(spare)]
    return waiting[0] if len(waiting) == 1 else 0


def wait_for_prepared(cli: Cli) -> int:
    until(lambda: is_ready(prepared(cli)))
    return prepared(cli)


def is_ready(pid: int) -> bool:
    """Whether it has nothing left to do but to wait."""
    # By the way it may have as few for a moment, and is at work then.
    return bool(pid) and len(os.listdir(f"/proc/{pid}/fd")) == 4 and state(pid) == "S"


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]


def pid_of(cli: Cli, container: str) -> int:
    return int(cli.good("inspect", "--format", "{{.State.Pid}}", container))


def test_the_process_that_waits_becomes_the_containers(swept: Cli) -> None:
    waiting = wait_for_prepared(swept)
    swept.good("run", "-d", "--name", "it", "--network", "none", BUSYBOX, "sleep", "100")
    assert pid_of(swept, "it") == waiting
    assert name(waiting) == "sleep"
    assert wait_for_prepared(swept) != waiting


def test_while_it_waits_it_has_nothing_of_the_hosts_but_its_line(swept: Cli) -> None:
    waiting = wait_for_prepared(swept)
    open_now = {number: os.readlink(f"/proc/{waiting}/fd/{number}") for number in os.listdir(f"/proc/{waiting}/fd")}
    assert len(open_now) == 4
    assert open_now["0"] == "/dev/null"
    assert [what[:7] for number, what in open_now.items() if int(number) > 2] == ["socket:"]
    for kind in ("pid", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/{waiting}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("options", [("--network", "host"), ("--pid", "host"), ("--ipc", "host"), ("--uts", "host")])
def test_a_container_with_another_wish_has_another_process_and_this_one_ends(
    swept: Cli, options: tuple[str, ...]
) -> None:
    waiting = wait_for_prepared(swept)
    swept.good("run", "-d", "--name", "it", *options, BUSYBOX, "sleep", "100")
    assert pid_of(swept, "it") != waiting
    until(lambda: not os.path.exists(f"/proc/{waiting}"))


def test_a_container_starts_when_somebody_has_killed_it(swept: Cli) -> None:
    kill_and_see(wait_for_prepared(swept))
    assert swept.good("run", "--rm", "--network", "none", BUSYBOX, "echo", "ran") == "ran"


def test_it_ends_with_its_engine(swept: Cli) -> None:
    waiting = wait_for_prepared(swept)
    swept.stop_engine()
    until(lambda: not os.path.exists(f"/proc/{waiting}"))


def test_a_restart_makes_a_process_of_its_own(swept: Cli) -> None:
    waiting = wait_for_prepared(swept)
    swept.good("run", "-d", "--name", "it", "--network", "none", "--restart", "always", BUSYBOX, "sleep", "100")
    assert pid_of(swept, "it") == waiting
    kill_and_see(waiting)
    until(lambda: pid_of(swept, "it") not in (0, waiting))


def test_many_starts_at_once_each_have_one(swept: Cli) -> None:
    wait_for_prepared(swept)
    names = [f"it-{number}" for number in range(12)]
    for each in names:
        swept.good("create", "--name", each, "--network", "none", BUSYBOX, "sleep", "100")
    swept.good("start", *names)
    assert len({pid_of(swept, each) for each in names}) == len(names)
    assert swept.good("ps", "-q").count("\n") == len(names) - 1
