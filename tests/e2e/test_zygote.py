"""Who makes a container's exec'd processes: goes in once, is not seen there, and goes in time."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import needs
from harness import until
from kist.engine import Engine
from kist.errors import KistError
from kist.kernel.cgroup import Cgroup, detect
from kist.runtime import launch
from kist.spec.container import Container, ContainerOptions, ExecOptions
from kist.spec.resources import Resources

pytestmark = needs.CONTROL_GROUPS
Start = Callable[..., Container]


@pytest.fixture
def start(engine: Engine, busybox: str) -> Iterator[Start]:
    made: list[Container] = []

    def started(*command: str, **options: Any) -> Container:
        given = {"command": command or ("sleep", "1000"), "network": "none", **options}
        made.append(engine.create(ContainerOptions(image=busybox, **given)))
        engine.start(made[-1])
        return engine.container(made[-1])

    yield started
    for container in made:
        engine.remove(container, force=True)


def run(engine: Engine, container: Container, *command: str) -> str:
    done = engine.exec(container, ExecOptions(command))
    assert done.exit_code == 0, done.stderr
    return done.stdout


def zygotes(engine: Engine, container: Container) -> list[int]:
    """Those of a running container's monitor."""
    state = Path(engine.run_root, "containers", container.id, "state.json").read_text(encoding="ascii")
    monitor = json.loads(state)["monitor"]
    found = []
    for pid in children(monitor):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/comm").read_bytes() == b"kist-zygote\n":
                found.append(pid)
    return found


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _state(pid: int) -> str:
    """A letter; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_commands_one_after_the_other_are_made_by_one(engine: Engine, start: Start) -> None:
    container = start()
    assert zygotes(engine, container) == []
    numbers = [int(run(engine, container, "sh", "-c", "echo $$")) for _ in range(3)]
    assert numbers == [2, 3, 4], "in the container's pid namespace there are the commands, and nobody else"
    [first] = zygotes(engine, container)
    run(engine, container, "true")
    assert zygotes(engine, container) == [first]
    assert os.readlink(f"/proc/{first}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    assert os.readlink(f"/proc/{first}/ns/pid") == os.readlink("/proc/self/ns/pid")


def test_it_is_there_when_the_command_is_asked_for(engine: Engine, start: Start) -> None:
    container = start()
    identifier = engine.exec_create(container, ExecOptions(("true",)))
    until(lambda: len(zygotes(engine, container)) == 1)
    [first] = zygotes(engine, container)
    engine.exec_start(identifier, detach=True)
    until(lambda: engine.exec_inspect(identifier).exit_code == 0)
    assert zygotes(engine, container) == [first]


def test_it_has_nothing_of_the_hosts_but_its_line_and_the_way_into_the_cgroup(engine: Engine, start: Start) -> None:
    container = start()
    run(engine, container, "true")
    [zygote] = zygotes(engine, container)
    until(lambda: os.readlink(f"/proc/{zygote}/cwd") == os.readlink(f"/proc/{zygote}/root"))
    names = {number: os.readlink(f"/proc/{zygote}/fd/{number}") for number in os.listdir(f"/proc/{zygote}/fd")}
    others = [name for number, name in names.items() if int(number) > 2]
    assert sum(name.startswith("socket:") for name in others) == 1
    ways = [name for name in others if name.endswith((f"/{container.id}/tasks", f"/{container.id}"))]
    spaces = [name for name in others if name.startswith("cgroup:[")]
    assert len(others) == 1 + len(ways) + len(spaces), others


def test_it_is_no_process_of_the_container(engine: Engine, start: Start) -> None:
    container = start("sleep", "1000", resources=Resources(pids=10))
    run(engine, container, "true")
    [zygote] = zygotes(engine, container)
    assert zygote not in Cgroup(detect(), f"kist/{container.id}").pids()
    assert "kist-zygote" not in run(engine, container, "sh", "-c", "cat /proc/[0-9]*/comm").split()
    assert len(engine.top(container)[1]) == 1


def test_it_ends_with_the_container_and_with_its_monitor(engine: Engine, start: Start) -> None:
    container = start("sh", "-c", "while ! test -e /go; do sleep 0.02; done")
    run(engine, container, "true")
    [zygote] = zygotes(engine, container)
    run(engine, container, "touch", "/go")
    assert engine.wait(container) == 0
    assert not os.path.exists(f"/proc/{zygote}")
    other = start()
    run(engine, other, "true")
    [zygote] = zygotes(engine, other)
    os.kill(int(Path(f"/proc/{zygote}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1]), signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{zygote}"))
    assert run(engine, other, "echo", "on") == "on\n"


def test_another_takes_the_place_of_one_that_was_killed(engine: Engine, start: Start) -> None:
    container = start()
    run(engine, container, "true")
    [zygote] = zygotes(engine, container)
    os.kill(zygote, signal.SIGKILL)
    until(lambda: Path(f"/proc/{zygote}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z")
    assert run(engine, container, "echo", "there") == "there\n"
    assert zygote not in zygotes(engine, container)


def test_what_one_had_made_that_was_killed_before_it_told_is_ended_and_waited_for(engine: Engine, start: Start) -> None:
    """Kills at random moments: some come between the making of a process and the word of it."""
    container = start()
    state = Path(engine.run_root, "containers", container.id, "state.json").read_text(encoding="ascii")
    monitor = json.loads(state)["monitor"]
    done = threading.Event()

    def kill() -> None:
        while not done.is_set():
            for pid in zygotes(engine, container):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    said: list[str] = []
    try:
        deadline = time.monotonic() + 20
        while len(said) < 3 and time.monotonic() < deadline:
            try:
                engine.exec(container, ExecOptions(("true",)))
            except KistError as error:
                said.append(str(error))
    finally:
        done.set()
        killer.join()
    assert said
    assert set(said) == {"who was to execute the command has been killed"}
    until(lambda: "Z" not in map(_state, children(monitor)))
    assert len(children(monitor)) - len(zygotes(engine, container)) == 1, "the first process alone"


def test_each_command_has_its_own_capabilities(engine: Engine, start: Start) -> None:
    container = start()

    def bounding(*, privileged: bool) -> int:
        options = ExecOptions(("sed", "-n", "s/CapBnd:.//p", "/proc/self/status"), privileged=privileged)
        return int(engine.exec(container, options).stdout, 16)

    plain = bounding(privileged=False)
    privileged = bounding(privileged=True)
    assert plain < privileged
    assert plain & ~privileged == 0
    [zygote] = zygotes(engine, container)
    assert bounding(privileged=False) == plain
    assert zygotes(engine, container) == [zygote], "one with all of them has fewer to give, too"
    assert bounding(privileged=True) == privileged


def test_commands_go_where_the_first_process_has_gone(engine: Engine, start: Start) -> None:
    script = "mkdir -p /there/bin; cp /bin/busybox /there/bin/sh; touch /made; while ! test -e /go; do sleep 0.02; done"
    container = start("sh", "-c", f"{script}; exec chroot /there sh -c 'touch /here; read x; true'", open_stdin=True)
    until(lambda: engine.exec(container, ExecOptions(("test", "-e", "/made"))).exit_code == 0)
    run(engine, container, "touch", "/go")
    until(lambda: engine.exec(container, ExecOptions(("sh", "-c", "test -e /here"))).exit_code == 0)
    assert run(engine, container, "sh", "-c", "echo /*").split() == ["/bin", "/here"]


def test_a_command_is_as_long_as_the_kernel_takes(engine: Engine, start: Start) -> None:
    container = start()
    for length in (20_000, 40_000, 120_000):
        assert run(engine, container, "sh", "-c", "echo ${#0}", "x" * length) == f"{length}\n"


@pytest.mark.parametrize("before", [0, 1])
def test_one_that_meets_a_freeze_holds_the_monitor_up_for_nobody(engine: Engine, start: Start, before: int) -> None:
    container = start()
    for _ in range(before):
        run(engine, container, "true")
    group = Cgroup(detect(), f"kist/{container.id}")
    # As a pause that comes just after the engine has looked.
    group.freeze(frozen=True)
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(run(engine, container, "echo", "late")))
    thread.start()
    try:
        until(lambda: len(group.pids()) > 1)
        engine.update(container, Resources(pids=100))
        assert told == []
    finally:
        group.freeze(frozen=False)
        thread.join(20)
    assert told == ["late\n"]


def test_all_who_pause_while_a_command_is_on_its_way_are_answered(engine: Engine, start: Start) -> None:
    container = start()
    group = Cgroup(detect(), f"kist/{container.id}")
    group.freeze(frozen=True)
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(run(engine, container, "echo", "late")))
    thread.start()
    monitor = os.path.join(engine.run_root, "containers", container.id)
    with launch.connect(monitor) as first, launch.connect(monitor) as second:
        try:
            until(lambda: len(group.pids()) > 1)
            for each in (first, second):
                each.sendall(b'{"op": "freeze", "frozen": true}\n')
            engine.update(container, Resources(pids=100))  # by its answer the monitor has both
        finally:
            group.freeze(frozen=False)
        for each in (first, second):
            each.settimeout(20)
            assert json.loads(each.recv(1000)) == {"ok": True}
    engine.unpause(container)
    thread.join(20)
    assert told == ["late\n"]
