"""The commands of a build that follow one another have one monitor, and it is gone when the build is."""

import glob
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import needs
from building import Session
from harness import until
from kist.build import build
from kist.engine import Engine
from kist.errors import KistError
from kist.spec.build import BuildOptions
from kist.spec.progress import Event, StepFinished, StepOutput, StepRuns

pytestmark = needs.IN_PROCESS
LOOK = "echo look; sleep 1"


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    context = tmp_path / "context"
    context.mkdir()
    return Session(engine, context)


def title(pid: str | int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0 ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def monitor_of(container: str) -> int:
    wanted = f"kist-monitor {container[:12]}"
    return next(
        int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/cmdline") if title(path.split("/")[2]) == wanted
    )


class Looker:
    """Looks at the monitor of each command that prints ``look``, and does something when the first has ended."""

    def __init__(self, after_first: Callable[[int], None] = lambda _: None) -> None:
        self.monitors: list[int] = []
        self._after_first = after_first
        self._containers: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepRuns):
            self._containers[event.id] = event.container
        elif isinstance(event, StepOutput) and "look" in event.text:
            self.monitors.append(monitor_of(self._containers[event.id]))
        elif isinstance(event, StepFinished) and len(self.monitors) == 1 and event.id in self._containers:
            self._after_first(self.monitors[0])


def look(session: Session, text: str, looker: Looker) -> list[int]:
    (session.context / "Dockerfile").write_text(text)
    build(session.engine, str(session.context), BuildOptions(), looker)
    return looker.monitors


def is_gone(pid: int) -> bool:
    return not title(pid)


@pytest.mark.parametrize("options", ["", "--network=none "])
def test_commands_of_a_build_have_one_monitor_which_ends_with_it(session: Session, busybox: str, options: str) -> None:
    text = f"FROM {busybox}\nRUN {options}{LOOK}; echo {options} > /1\nRUN {options}{LOOK}; test -e /1\n"
    first, second = look(session, text, Looker())
    assert first == second
    until(lambda: is_gone(first))


def test_one_after_commands_with_a_network_has_none_of_theirs(session: Session, busybox: str) -> None:
    """Its first process was made without a network, for the two before had one that was handed on."""
    names = "ls /sys/class/net | tr '\\n' ' '"
    none = f"RUN --network=none {names}; readlink /proc/self/ns/net"
    session.build(f"FROM {busybox}\nRUN {names}\nRUN {names}; : again\n{none}\n{none}; : again\n")
    words = session.output.split()
    assert [word for word in words if ":" not in word] == ["eth0", "lo", "eth0", "lo", "lo", "lo"]
    assert os.readlink("/proc/self/ns/net") not in words


def test_commands_side_by_side_have_each_their_own(session: Session, busybox: str) -> None:
    stages = f"FROM {busybox} AS one\nRUN {LOOK}; : one\nFROM {busybox} AS two\nRUN {LOOK}; : two\n"
    monitors = look(session, f"{stages}FROM scratch\nCOPY --from=one /etc /1\nCOPY --from=two /etc /2\n", Looker())
    assert len(set(monitors)) == 2
    until(lambda: all(map(is_gone, monitors)))


def kill_at_rest(monitor: int) -> None:
    until(lambda: title(monitor) == "kist-ended")
    death = os.pidfd_open(monitor)
    signal.pidfd_send_signal(death, signal.SIGKILL)
    assert select.select([death], [], [], 20)[0]
    os.close(death)


def test_one_that_is_killed_between_two_commands_is_replaced(session: Session, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN {LOOK}; : killed\nRUN {LOOK}; : after it\nRUN {LOOK}; : and another\n"
    first, second, third = look(session, text, Looker(kill_at_rest))
    assert first != second
    assert second == third
    until(lambda: is_gone(second))


@contextmanager
def a_fork() -> Iterator[Callable[[int], None]]:
    """What makes a process that holds all descriptors of this one, as long as the block lasts."""
    made: list[int] = []

    def fork(_: int) -> None:
        child = os.fork()
        if child == 0:
            signal.pause()
        made.append(child)

    try:
        yield fork
    finally:
        for child in made:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_it_ends_with_the_build_though_a_fork_of_the_process_holds_its_line(session: Session, busybox: str) -> None:
    with a_fork() as fork:
        text = f"FROM {busybox}\nRUN {LOOK}; : forked\nRUN {LOOK}; : after the fork\n"
        first, second = look(session, text, Looker(fork))
        assert first == second
        until(lambda: is_gone(first))


def test_a_command_that_cannot_be_started_leaves_no_monitor(session: Session, busybox: str) -> None:
    looker = Looker()
    with pytest.raises(Exception, match="no-such-program"):
        look(session, f'FROM {busybox}\nRUN {LOOK}; : before\nRUN ["no-such-program"]\n', looker)
    until(lambda: is_gone(looker.monitors[0]))


def test_the_network_of_one_that_meets_others_is_no_other_commands(session: Session, busybox: str) -> None:
    """It could have sent a socket of its network to whom it meets in a cache, to live on in there."""
    space = "readlink /proc/self/ns/net"
    cache = "--mount=type=cache,target=/cache "
    session.build(
        f"FROM {busybox}\nRUN {space}\nRUN {cache}{space}; : cache\nRUN {space}; : after\nRUN {space}; : end\n"
    )
    usual, meeting, after, end = session.output.split()
    assert usual == after == end
    assert meeting != usual


def test_one_that_is_killed_under_its_command_takes_it_along_and_leaves_nothing(session: Session, busybox: str) -> None:
    killed: list[str] = []

    def kill(event: Event) -> None:
        if isinstance(event, StepRuns):
            killed.append(event.container)
        elif isinstance(event, StepOutput) and "look" in event.text:
            os.kill(monitor_of(killed[-1]), signal.SIGKILL)

    for number in range(4):
        (session.context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo look; sleep 100; : {number}\n")
        with pytest.raises(KistError):
            build(session.engine, str(session.context), BuildOptions(), kill)
        assert glob.glob(f"/sys/fs/cgroup/**/kist/{killed[-1]}", recursive=True) == []
    assert len(killed) == 4
