"""The engine's end of the spawner and of the monitors."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import kist
from kist.errors import Conflict, InvalidInput, KistError
from kist.kernel import mounts
from kist.runtime import messages
from kist.runtime.plan import Plan
from kist.spec.json import encode

SOCKET = "monitor.sock"
_PLAN = "plan.json"
_INIT = "init.json"
_MAX_SOCKET_NAME = 100


@dataclass(frozen=True, slots=True)
class Attachment:
    """A stream socket that is attached from before the first byte, and what it wants; it is handed over."""

    connection: socket.socket
    stdin: bool
    stdout: bool
    stderr: bool


class Spawner:
    """The spawner process of this engine: started when it is first needed, and again when it has died.

    ``_lock`` protects the start of the process; requests are single packets and need no lock.
    """

    def __init__(self, error_log: str) -> None:
        self._error_log = error_log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the process ahead of the first request."""
        self._ensure()

    def launch(
        self, plan: Plan, directory: str, run_directory: str, attached: Sequence[Attachment] = ()
    ) -> socket.socket:
        """Have a monitor that starts the container of the plan, which is written to the run directory.

        Returns:
            The control socket to the monitor: it sends ``created`` (with the network namespace when the plan waits
            for the network), ``started`` or ``failed``, and ``exited``.
        """
        plan_path = _write_plan(plan, run_directory)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wants = [{"stdin": a.stdin, "stdout": a.stdout, "stderr": a.stderr} for a in attached]
        request = {"plan": plan_path, "directory": directory, "run_directory": run_directory, "attached": wants}
        descriptors = [theirs.fileno(), *(a.connection.fileno() for a in attached)]
        try:
            channel = self._ensure()
            try:
                messages.send(channel, request, descriptors)
            except OSError:
                # The spawner has died since; a new one costs 40 ms.
                self._forget(channel)
                messages.send(self._ensure(), request, descriptors)
        finally:
            theirs.close()
            for attachment in attached:
                attachment.connection.close()
        return ours

    def close(self) -> None:
        """End the spawner; monitors and containers go on."""
        self._forget()

    def _ensure(self) -> socket.socket:
        with self._lock:
            if self._channel is None:
                self._start()
            assert self._channel is not None
            return self._channel

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Nothing of the user's environment is imported (-I), no site-packages (-S), only our own package; and no
        # columns for tracebacks are kept, which are memory in every monitor.
        source = os.path.dirname(os.path.dirname(os.path.abspath(kist.__file__)))
        run_root = os.path.dirname(os.path.abspath(self._error_log))
        with open(self._error_log, "ab") as log, _unchangeable(sys.executable) as program:
            code = (
                f"import os, sys; os.closerange({program}, {program + 1}); sys.path.append({source!r}); "
                f"from kist.runtime.spawner import main; main({theirs.fileno()}, {run_root!r})"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "no_debug_ranges", "-c", code],
                executable=f"/proc/self/fd/{program}" if program >= 0 else None,
                pass_fds=[theirs.fileno(), *([program] if program >= 0 else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        theirs.close()
        self._channel = ours

    def _forget(self, channel: socket.socket | None = None) -> None:
        """End the process; with ``channel`` only that one, not what another thread has put in its place since."""
        with self._lock:
            if channel is not None and channel is not self._channel:
                return
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            if self._process is not None:
                self._process.wait()
                self._process = None


def _write_plan(plan: Plan, directory: str) -> str:
    init_path = os.path.join(directory, _INIT)
    with open(init_path, "w", encoding="utf-8") as file:
        file.write(plan.init_text())
    path = os.path.join(directory, _PLAN)
    with open(path, "wb") as file:
        file.write(encode({**plan.message(), "init_path": init_path}))
    return path


@contextlib.contextmanager
def _unchangeable(path: str) -> Iterator[int]:
    """A descriptor of the program through a read-only mount; -1 where the machine does not let us make one.

    ``/proc/self/exe`` of what is executed through it cannot be opened for writing. An image may name that file as its
    command and so get hold of the host's interpreter.
    """
    try:
        tree = mounts.clone_tree(os.path.realpath(path), recursive=False)
    except OSError:
        yield -1
        return
    try:
        mounts.set_attributes("", mounts.MOUNT_ATTR_RDONLY, dir_fd=tree)
        yield tree
    finally:
        os.close(tree)


def connect(run_directory: str) -> socket.socket:
    """A connection to the monitor of the container with this run directory.

    Raises:
        Conflict: there is no monitor; the container does not run.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = os.path.join(run_directory, SOCKET)
        if len(path) < _MAX_SOCKET_NAME:
            connection.connect(path)
        else:
            directory = os.open(run_directory, os.O_PATH | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
            finally:
                os.close(directory)
    except OSError as error:
        connection.close()
        raise Conflict("the container is not running") from error
    return connection


def request(run_directory: str, message: dict[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
    """Ask a monitor; the connection (for the stream that may follow) and its answer.

    Raises:
        Conflict: the container does not run, or ended just now.
        InvalidInput: arguments and environment are more than a process can be given.
        KistError: the monitor could not do it; its words.
    """
    line = json.dumps(message).encode() + b"\n"
    if len(line) > messages.MAX_LINE:
        raise InvalidInput("argument list too long", hint="pass large data through a file or standard input")
    connection = connect(run_directory)
    try:
        connection.sendall(line)
        answer = read_line(connection)
    except OSError as error:
        connection.close()
        raise Conflict("the container is not running") from error
    if not answer or "exited" in answer:
        connection.close()
        raise Conflict("the container is not running")
    if "error" in answer:
        connection.close()
        raise KistError(answer["error"])
    return connection, answer


def ask(run_directory: str, message: dict[str, Any]) -> dict[str, Any]:
    """Ask a monitor for something without a stream."""
    connection, answer = request(run_directory, message)
    connection.close()
    return answer


def read_line(connection: socket.socket) -> dict[str, Any]:
    """One line of JSON, and nothing of what follows it; empty when the other side has gone."""
    line = bytearray()
    while not line.endswith(b"\n"):
        peeked = connection.recv(4096, socket.MSG_PEEK)
        if not peeked:
            return {}
        end = peeked.find(b"\n")
        line += connection.recv(end + 1 if end >= 0 else len(peeked))
    value: dict[str, Any] = json.loads(line)
    return value
