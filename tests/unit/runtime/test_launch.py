"""The engine's end: a spawner that comes back, and a program that cannot be written to."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import remove_parent_groups
from kist.errors import Conflict, InvalidInput
from kist.runtime import door, launch, messages
from kist.runtime.launch import Spawner
from kist.runtime.plan import Command, Plan

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts are made")


@pytest.mark.root
@needs_root
def test_a_program_that_runs_from_the_read_only_mount_can_never_be_opened_for_writing(tmp_path: Path) -> None:
    program = str(tmp_path / "program")
    shutil.copy("/bin/sleep", program)
    with launch._unchangeable(program) as descriptor:
        process = subprocess.Popen(
            ["sleep", "60"], executable=f"/proc/self/fd/{descriptor}", pass_fds=[descriptor], close_fds=True
        )
    held = os.open(f"/proc/{process.pid}/exe", os.O_PATH)
    process.kill()
    process.wait()
    # Now that nothing executes it, only the mount stands against it.
    with pytest.raises(OSError, match="Read-only file system") as caught:
        os.open(f"/proc/self/fd/{held}", os.O_WRONLY)
    assert caught.value.errno == errno.EROFS
    os.close(held)
    os.close(os.open(program, os.O_WRONLY))


IMPOSSIBLE = Plan(
    id="0" * 64,
    namespaces=("nowhere",),
    cgroup="",
    limits={},
    wait_for_network=False,
    ends_with_engine=False,
    terminal=False,
    stdin=False,
    stdin_once=False,
    log=None,
    operations=(),
    command=Command((), ()),
)


@pytest.fixture
def spawner(tmp_path: Path) -> Iterator[Spawner]:
    made = Spawner(str(tmp_path / "log"))
    yield made
    made.close()
    remove_parent_groups()  # a keeper has tried one, to learn


def dead_monitor(spawner: Spawner, tmp_path: Path) -> bool:
    """Have a monitor forked for a plan that cannot be: it dies, which tells that the spawner lives."""
    place = tempfile.mkdtemp(dir=tmp_path)
    with spawner.launch(IMPOSSIBLE, place, place) as control:
        control.settimeout(20)
        return messages.receive(control) == (None, [])


@pytest.mark.root
@needs_root
def test_a_spawner_that_was_killed_is_replaced(spawner: Spawner, tmp_path: Path) -> None:
    assert spawner.pid == 0
    spawner.start()
    first = spawner.pid
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert dead_monitor(spawner, tmp_path)
    assert spawner.pid not in {0, first}


@pytest.mark.root
@needs_root
def test_many_who_find_the_spawner_dead_get_one_new_one(spawner: Spawner, tmp_path: Path) -> None:
    spawner.start()
    os.kill(spawner.pid, signal.SIGKILL)
    os.waitid(os.P_PID, spawner.pid, os.WEXITED | os.WNOWAIT)
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(dead_monitor(spawner, tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


@pytest.mark.root
@needs_root
def test_the_spawner_holds_nothing_but_its_own(spawner: Spawner) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    spawner.start()
    os.close(write)
    os.set_blocking(read, False)
    assert os.read(read, 1) == b"", "the spawner inherited a descriptor"
    os.close(read)


class Monitor:
    """A listener in the place of a monitor, which answers one request with the bytes given."""

    def __init__(self, directory: Path, answer: bytes | None) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / door.SOCKET))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(answer,))
        self._thread.start()

    def _serve(self, answer: bytes | None) -> None:
        connection, _ = self._listener.accept()
        with connection:
            if answer is not None:
                launch.read_line(connection)
                connection.sendall(answer)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


@pytest.mark.parametrize("answer", [None, b"", b'{"exited": {"exit_code": 1}}\n', b'{"half": '])
def test_a_monitor_that_is_on_its_way_out_means_a_container_that_does_not_run(
    tmp_path: Path, answer: bytes | None
) -> None:
    monitor = Monitor(tmp_path, answer)
    try:
        with pytest.raises(Conflict, match="is not running"):
            launch.ask(str(tmp_path), {"op": "signal", "number": 15})
    finally:
        monitor.close()


def test_nothing_of_the_stream_after_the_answer_is_taken(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, b'{"ok": true}\nstream\n')
    try:
        connection, answer = launch.request(str(tmp_path), {"op": "attach"})
        with connection:
            assert answer == {"ok": True}
            assert connection.recv(99) == b"stream\n"
    finally:
        monitor.close()


def test_arguments_that_no_process_can_take_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="argument list too long"):
        launch.ask(str(tmp_path), {"op": "exec", "plan": "x" * messages.MAX_LINE})


def test_a_long_run_directory_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    here = os.open(deep, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{door.SOCKET}")
        listener.listen()
        launch.connect(str(deep)).close()
    os.close(here)
    with pytest.raises(Conflict):
        launch.connect(str(deep))
