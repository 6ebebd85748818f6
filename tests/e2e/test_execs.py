"""What is kept of exec'd processes, and for how long."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import needs
from harness import until
from kist.engine import Engine, exec_room, execs
from kist.errors import CommandNotExecutable, Conflict, NotFound
from kist.spec.container import Container, ContainerOptions, ExecOptions

pytestmark = needs.IN_PROCESS
TRUE = ExecOptions(("true",))


@pytest.fixture
def container(engine: Engine, busybox: str) -> Iterator[Container]:
    made = engine.create(ContainerOptions(image=busybox, command=("sleep", "1000"), network="none"))
    engine.start(made)
    yield made
    engine.remove(made, force=True)


def files(engine: Engine, container: Container) -> list[Path]:
    return sorted(Path(engine.run_root, "containers", container.id).glob("exec-*"))


def age(paths: list[Path], seconds: float) -> None:
    then = time.time() - seconds
    for path in paths:
        os.utime(path, (then, then))


def test_those_that_ended_long_ago_are_forgotten(
    engine: Engine, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execs, "_LOOK_SECONDS", 0.0)
    running = engine.exec_create(container, ExecOptions(("sleep", "1000")))
    engine.exec_start(running, detach=True)
    old = engine.exec_create(container, TRUE)
    engine.exec_start(old, detach=True)
    until(lambda: engine.exec_inspect(old).exit_code == 0)
    assert engine.exec_ended(old) == engine.exec_inspect(old), "what is told at once is what is told otherwise"
    assert engine.exec_ended(running) is None
    waiting = engine.exec_create(container, TRUE)
    age(files(engine, container), 299)
    engine.exec_create(container, TRUE)
    assert engine.exec_inspect(old).exit_code == 0
    age(files(engine, container), 301)
    new = engine.exec_create(container, TRUE)
    with pytest.raises(NotFound):
        engine.exec_inspect(old)
    assert engine.exec_ended(old) is None
    assert not [path for path in files(engine, container) if old in path.name]
    assert engine.exec_inspect(running).running
    assert [engine.exec_inspect(each).exit_code for each in (waiting, new)] == [None, None]


def test_those_that_nobody_starts_are_forgotten_in_the_end(
    engine: Engine, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execs, "_LOOK_SECONDS", 0.0)
    unused = engine.exec_create(container, TRUE)
    age(files(engine, container), 3601)
    new = engine.exec_create(container, TRUE)
    with pytest.raises(NotFound):
        engine.exec_inspect(unused)
    assert [path.name for path in files(engine, container)] == [f"exec-{new}.options.json"]


def test_a_directory_that_is_missing_is_none_to_work_in(engine: Engine, container: Container) -> None:
    with pytest.raises(CommandNotExecutable, match="working directory /no/such: no such file or directory") as caught:
        engine.exec(container, ExecOptions(("true",), working_dir="/no/such"))
    assert caught.value.exit_code == 126
    assert engine.exec(container, ExecOptions(("ls", "-d", "/no"))).exit_code == 1, "it is not made"


def test_they_are_not_looked_through_at_each_creation(engine: Engine, container: Container) -> None:
    first = engine.exec_create(container, TRUE)
    age(files(engine, container), 3601)
    engine.exec_create(container, TRUE)
    assert engine.exec_inspect(first).exit_code is None


def test_those_that_nobody_starts_are_so_many_at_most(
    engine: Engine, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_room, "MOST_UNSTARTED", 3)
    made = [engine.exec_create(container, TRUE) for _ in range(3)]
    with pytest.raises(Conflict, match="has 3 commands that were made and never started"):
        engine.exec_create(container, TRUE)
    assert len(files(engine, container)) == 3
    engine.exec_start(made[0], detach=True)
    until(lambda: engine.exec_inspect(made[0]).exit_code == 0)
    assert engine.exec_create(container, TRUE)
    with pytest.raises(Conflict):
        engine.exec_create(container, TRUE)


def test_what_they_are_asked_with_is_bounded_and_what_has_ended_makes_room(
    engine: Engine, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty bodies of three mebibytes had stayed for an hour."""
    monkeypatch.setattr(exec_room, "MOST_BYTES", 100_000)
    large = ExecOptions(("true", "x" * 40_000))
    ended = []
    for _ in range(5):
        ended.append(engine.exec_create(container, large))
        engine.exec_start(ended[-1], detach=True)
        until(lambda: engine.exec_inspect(ended[-1]).exit_code == 0)
    assert sum(path.stat().st_size for path in files(engine, container)) < 300_000
    assert engine.exec_inspect(ended[-1]).exit_code == 0
    with pytest.raises(NotFound):
        engine.exec_inspect(ended[0])
    kept = [engine.exec_create(container, large) for _ in range(2)]
    with pytest.raises(Conflict, match=r"have not ended take 0 MiB"):
        engine.exec_create(container, large)
    assert [engine.exec_inspect(each).exit_code for each in kept] == [None, None]
