"""A data root's containers run in one run root."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import is_waited_for, until
from kist.engine.claim import Claim, file_name, unused
from kist.errors import Conflict
from kist.kernel import process


def test_the_first_to_come_says_where(tmp_path: Path) -> None:
    first = Claim(str(tmp_path), str(tmp_path / "a"))
    second = Claim(str(tmp_path), str(tmp_path / "a"))
    with pytest.raises(Conflict, match=f"run in {tmp_path}/a") as caught:
        Claim(str(tmp_path), str(tmp_path / "b"))
    assert f"KIST_RUN={tmp_path}/a" in caught.value.hint
    first.close()
    with pytest.raises(Conflict):
        Claim(str(tmp_path), str(tmp_path / "b"))
    second.close()


def test_another_place_is_taken_when_nobody_is_there_any_more(tmp_path: Path) -> None:
    Claim(str(tmp_path), str(tmp_path / "long" / "a")).close()
    Claim(str(tmp_path), str(tmp_path / "b")).close()
    assert (tmp_path / file_name()).read_text() == f"{tmp_path}/b"


@pytest.mark.parametrize("who", ["monitor", "pid"])
def test_a_container_that_runs_keeps_it(tmp_path: Path, who: str) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for place in (data / "containers" / "c1", run / "containers" / "c1"):
        place.mkdir(parents=True)
    Claim(str(data), str(run)).close()
    started = process.start_time(os.getpid())
    state = run / "containers" / "c1" / "state.json"
    state.write_text(json.dumps({who: os.getpid(), f"{who}_start": started}))
    with pytest.raises(Conflict):
        Claim(str(data), str(tmp_path / "other"))
    state.write_text(json.dumps({who: os.getpid(), f"{who}_start": started + 1}))
    Claim(str(data), str(tmp_path / "other")).close()


def test_one_place_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    first = Claim(str(tmp_path), str(tmp_path / "a"))
    Claim(str(tmp_path), str(tmp_path / "link" / "a")).close()
    first.close()


ELSEWHERE = "run-root-node-a"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root with one container that was started, and that another machine has used."""
    (tmp_path / "data" / "containers" / "c1").mkdir(parents=True)
    (tmp_path / "data" / ELSEWHERE).write_text("/run/kist")
    return tmp_path / "data"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """While an engine of the other machine lives: another process has its file locked."""
    program = "import fcntl, sys; fcntl.flock(f := open(sys.argv[1]), fcntl.LOCK_SH); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.communicate("\n")


def test_an_engine_of_another_machine_keeps_it(tmp_path: Path, data: Path) -> None:
    with locked(data / ELSEWHERE):
        with pytest.raises(Conflict, match="an engine on node-a has it open"):
            Claim(str(data), str(tmp_path / "run"))
        with pytest.raises(Conflict, match="an engine on node-a has it open"), unused(str(data)):
            pass
    Claim(str(data), str(tmp_path / "run")).close()


def test_what_may_run_on_another_machine_is_not_settled_here(tmp_path: Path, data: Path) -> None:
    with pytest.raises(Conflict, match="node-a, too, where containers may still run: c1") as caught:
        Claim(str(data), str(tmp_path / "run"), lambda: ["c1"])
    assert f"rm {data / ELSEWHERE}" in caught.value.hint
    (data / "containers" / "c1" / "state.json").write_text("{}")  # its end
    Claim(str(data), str(tmp_path / "run"), lambda: ["c1"]).close()
    (data / "containers" / "c1" / "state.json").unlink()
    here = tmp_path / "run" / "containers" / "c1"
    here.mkdir(parents=True)
    alive = {"monitor": os.getpid(), "monitor_start": process.start_time(os.getpid())}
    (here / "state.json").write_text(json.dumps(alive))
    Claim(str(data), str(tmp_path / "run"), lambda: ["c1"]).close()
    (here / "state.json").unlink()
    (data / ELSEWHERE).unlink()
    Claim(str(data), str(tmp_path / "run"), lambda: ["c1"]).close()


def test_a_conversion_wants_to_be_told_that_nobody_is_elsewhere(data: Path) -> None:
    with pytest.raises(Conflict, match="was used on node-a, too") as caught, unused(str(data)):
        pass
    assert f"rm {data / ELSEWHERE}" in caught.value.hint
    (data / ELSEWHERE).unlink()
    with unused(str(data)):
        pass


def test_who_begins_beside_another_that_has_not_written_yet_waits_for_it(tmp_path: Path, data: Path) -> None:
    path = data / file_name()
    with path.open("w") as other, ThreadPoolExecutor() as pool:
        fcntl.flock(other, fcntl.LOCK_SH)
        made = pool.submit(Claim, str(data), str(tmp_path / "run"))
        until(lambda: made.done() or is_waited_for(path))
        fcntl.flock(other, fcntl.LOCK_UN)
        made.result().close()
    assert path.read_text() == str(tmp_path / "run")


def test_many_that_begin_at_once_do_not_take_each_other_for_another_machines(tmp_path: Path, data: Path) -> None:
    failures: list[BaseException] = []

    def begin() -> None:
        try:
            for _ in range(50):
                Claim(str(data), str(tmp_path / "run")).close()
        except Conflict as error:
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
