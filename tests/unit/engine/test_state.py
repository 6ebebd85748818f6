"""What the files of a monitor say about a container."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from kist.engine import state
from kist.kernel import process
from kist.spec.container import ContainerState, Health, HealthResult


def running(**changes: Any) -> dict[str, Any]:
    me = os.getpid()
    return {
        "status": "running", "pid": 7, "pid_start": 0, "started_at": 5, "boot": process.boot_id(), "monitor": me,
        "monitor_start": process.start_time(me), "keeper": [me, 0], "pipes": [0, 0, 0], **changes,
    }  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "data").mkdir()
    (tmp_path / "run").mkdir()
    return tmp_path / "data", tmp_path / "run"


def read(places: tuple[Path, Path], started: int = 0) -> ContainerState:
    return state.read(str(places[0]), str(places[1]), lambda: started)


def put(directory: Path, content: dict[str, Any]) -> None:
    (directory / state.FILE).write_text(json.dumps(content), encoding="utf-8")


def test_without_a_word_the_record_tells(places: tuple[Path, Path]) -> None:
    assert read(places).status == "created"
    assert read(places, started=5).status == "created", "it is being started just now"
    places[1].rmdir()
    unseen = read(places, started=5)
    assert (unseen.status, unseen.exit_code, unseen.started_at, unseen.finished_at) == ("exited", 255, 5, 0)


def test_a_living_monitor_is_believed(places: tuple[Path, Path]) -> None:
    put(places[1], running())
    found = read(places)
    assert found.running
    assert (found.pid, found.started_at) == (7, 5)


@pytest.mark.parametrize(
    "change",
    [{"boot": "another"}, {"monitor_start": 1}, {"monitor": 2**22 + 1}, {"monitor": None, "monitor_start": None}],
)
def test_a_monitor_that_is_gone_is_not(places: tuple[Path, Path], change: dict[str, Any]) -> None:
    content = {key: value for key, value in running(**change).items() if value is not None}
    put(places[1], content)
    found = read(places)
    assert (found.status, found.exit_code, found.finished_at) == ("exited", 255, 0)
    assert ("machine went down" if "boot" in change else "not seen") in found.error


@pytest.mark.parametrize("who", ["keeper", "first process"])
def test_whoever_is_left_after_the_monitor_means_that_it_runs(places: tuple[Path, Path], who: str) -> None:
    me, began = os.getpid(), process.start_time(os.getpid())
    left = {"keeper": [me, began]} if who == "keeper" else {"pid": me, "pid_start": began}
    put(places[1], running(monitor_start=1, **left))
    assert read(places).running
    assert bool(state.left_alone(str(places[1]))) == (who == "first process")
    assert state.is_guarded(str(places[1])) == (who == "keeper")


def test_a_monitor_that_ended_and_was_not_waited_for_is_gone_too(places: tuple[Path, Path]) -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        started = process.start_time(pid)
        put(places[1], running(monitor=pid, monitor_start=started))
        assert read(places).running
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not read(places).running
    finally:
        os.waitpid(pid, 0)


def test_the_end_is_stronger_than_the_beginning_until_it_is_forgotten(places: tuple[Path, Path]) -> None:
    put(places[1], running())
    put(places[0], {"status": "exited", "exit_code": 3, "finished_at": 9, "oom_killed": True})
    found = read(places)
    assert (found.status, found.exit_code, found.finished_at, found.oom_killed) == ("exited", 3, 9, True)
    state.forget_end(str(places[0]))
    state.forget_end(str(places[0]))
    assert read(places).running


def test_a_failed_start_has_its_message(places: tuple[Path, Path]) -> None:
    put(places[0], {"status": "exited", "exit_code": 127, "error": {"message": "no such command"}})
    assert read(places).error == "no such command"


@pytest.mark.parametrize("text", ["", "{", '{"status": "run'])
def test_a_damaged_file_is_an_end_that_nobody_saw(places: tuple[Path, Path], text: str) -> None:
    (places[0] / state.FILE).write_text(text, encoding="utf-8")
    found = read(places)
    assert (found.status, found.exit_code) == ("exited", 255)
    assert "damaged" in found.error


@pytest.mark.parametrize("status", ["running", "restarting", "paused"])
def test_what_needs_a_monitor_is_over_without_one(places: tuple[Path, Path], status: str) -> None:
    put(places[1], running(status=status, restart_count=3))
    found = read(places)
    assert (found.status, found.running, found.restart_count) == (status, True, 3)
    put(places[1], running(status=status, monitor_start=1))
    assert read(places).status == "exited"


def test_health_is_read(places: tuple[Path, Path]) -> None:
    result = {"start": 1, "end": 2, "exit_code": 1, "output": "no"}
    put(places[1], running(health={"status": "unhealthy", "streak": 3, "log": [result]}, by_hand=True))
    found = read(places)
    assert found.health == Health("unhealthy", 3, (HealthResult(1, 2, 1, "no"),))
    assert found.by_hand
