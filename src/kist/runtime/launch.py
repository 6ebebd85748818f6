"""The engine's end of its keeper, of the spawner and of the monitors."""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

import kist
from kist.errors import Conflict, InvalidInput, KistError
from kist.kernel import faults, mounts
from kist.runtime import door, messages
from kist.runtime.plan import Plan
from kist.spec.json import encode

PLAN = "plan.json"
_INIT = "init.json"
_CHECK = "check.json"
_numbers = itertools.count(1)
_MOST_ASKED = 50  # of one monitor
# Keepers that stay for their containers while this process goes on without them; looked at when another one starts.
_left: "list[subprocess.Popen[bytes]]" = []

_NONE: Mapping[str, int] = {}
# What a keeper, its monitors and their containers' first processes run of ours.
_THEIRS = ("kernel", "runtime", "spec")
_SHARED = re.compile(r"keeper\.[0-9a-f]{8}\.sock")


class Attachment(msgspec.Struct, frozen=True):
    """A stream socket that is attached from before the first byte, and what it wants; it is handed over."""

    connection: socket.socket
    stdin: bool
    stdout: bool
    stderr: bool


class Line:
    """To a monitor that does one thing after the other, as it is asked to; to none before the first.

    Attributes:
        goes_on: whether more is to be asked of it after what is asked next; else it ends then.
    """

    def __init__(self) -> None:
        self.goes_on = True
        self._control: socket.socket | None = None
        self._keeper = 0
        self._asked = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be asked of it: what it had to do with a container stays in its memory."""
        return not self.goes_on or self._asked >= _MOST_ASKED

    def begin(self, control: socket.socket, keeper: int) -> socket.socket:
        """The control socket of the monitor, a new one of this keeper's, that does the first thing."""
        self._control, self._keeper, self._asked = control, keeper, 1
        return control

    def ask(self, request: dict[str, Any], descriptors: Sequence[int], keeper: int) -> socket.socket | None:
        """Ask the monitor for one thing more; its control socket.

        None where it is not there (any more), or where its keeper is not this one, and nobody would take over from it.
        """
        if self._control is None:
            return None
        if self._keeper == keeper:
            with contextlib.suppress(OSError):
                messages.send(self._control, request, descriptors)
                self._asked += 1
                return self._control
        self.close()
        return None

    def close(self) -> None:
        """Let the monitor end; a fork of this process may hold the line open."""
        if self._control is not None:
            with self._control, contextlib.suppress(OSError):
                messages.send(self._control, {"end": True})
            self._control = None


class Spawner:
    """This engine's line to its keeper, and through it to the spawner; started when first needed, and when it has died.

    ``_lock`` protects the start of the process; requests are single packets and need no lock.

    Args:
        error_log: where the processes write what goes wrong; its directory is the run root.
        shared: use the keeper that an earlier engine of this run root left (there is one such engine at a time), if it
            runs the code that this one does; otherwise the keeper, and with it the containers, are this process's own
            descendants.
        bound: the containers end with this process, so ``close`` waits for their ends, and for the keeper's.
    """

    def __init__(self, error_log: str, *, shared: bool = False, bound: bool = False) -> None:
        self._error_log = error_log
        self.run_root = os.path.dirname(os.path.abspath(error_log))
        self._shared = shared
        self.bound = bound
        self.name = keeper_name() if shared else keeper_name(f"{os.getpid()}-{next(_numbers)}")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._requests: socket.socket | None = None
        self._pid = 0
        self._greeted = True
        self._minded = -1
        self.on_keeper: Callable[[int], None] = lambda _: None
        """Called with the process id of each keeper that this engine comes to have."""

    @property
    def pid(self) -> int:
        """The keeper's process id; 0 while there is none."""
        return self._pid

    def start(self) -> None:
        """Start the process ahead of the first request."""
        self._ensure()

    def be_ready(self) -> None:
        """Start the process if need be, and wait until it takes connections.

        Raises:
            OSError: it died before.
        """
        self._ensure()
        with self._lock:
            self._await_greeting()

    def launch(
        self,
        plan: Plan,
        directory: str,
        run_directory: str,
        attached: Sequence[Attachment] = (),
        volumes: Mapping[str, int] = _NONE,
        network: int = -1,
        line: Line | None = None,
    ) -> socket.socket:
        """Have a monitor that starts the container of the plan, which is written to the run directory.

        Args:
            plan: what is to be.
            directory: the container's own.
            run_directory: the one that a run of it has.
            attached: what is attached from the start; handed over.
            volumes: descriptors of mounted volumes, by name, which stay the caller's (``kist.runtime.held``).
            network: of a network namespace that it has in place of a new one, the caller's too; -1 for none.
            line: of a monitor that does this one, too, and of which more may be asked afterwards.

        Returns:
            The control socket to the monitor: it sends ``created`` (with the network namespace when the plan waits
            for the network), ``started`` or ``failed``, and ``exited``.
        """
        plan_path = write_plan(plan, run_directory)
        faults.point("engine: wrote the plan")
        wants = [{"stdin": a.stdin, "stdout": a.stdout, "stderr": a.stderr} for a in attached]
        request: dict[str, Any] = {
            "plan": plan_path,
            "directory": directory,
            "run_directory": run_directory,
            "attached": wants,
        }
        descriptors = [*(a.connection.fileno() for a in attached), *volumes.values()]
        if volumes:
            request["volumes"] = list(volumes)
        if network >= 0:
            request["network"] = True
            descriptors.append(network)
        try:
            control = self._launch(request, descriptors) if line is None else self._ask_on(line, request, descriptors)
        finally:
            for attachment in attached:
                attachment.connection.close()
        faults.point("engine: sent the request")
        return control

    def _ask_on(self, line: Line, request: dict[str, Any], descriptors: Sequence[int]) -> socket.socket:
        """Have the line's monitor do it, or a new one, which is the line's from then on."""
        if line.goes_on:
            request["more"] = True
        self._ensure()
        control = line.ask(request, descriptors, self._pid)
        return control if control is not None else line.begin(self._launch(request, descriptors), self._pid)

    def _launch(self, request: dict[str, Any], descriptors: Sequence[int]) -> socket.socket:
        """Have a new monitor do it; the control socket to it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors = (theirs.fileno(), *descriptors)
        try:
            channel = self._ensure()
            try:
                messages.send(channel, request, descriptors)
            except OSError:
                # It has died since; a new one costs 40 ms.
                self._forget(channel)
                messages.send(self._ensure(), request, descriptors)
        finally:
            theirs.close()
        return ours

    def mind(self, pidfd: int) -> None:
        """Have a process ended when no engine is there any more and no container: the last one that was named.

        Args:
            pidfd: a descriptor of it, which stays the caller's.
        """
        with self._lock:
            if self._minded >= 0:
                os.close(self._minded)
            self._minded = os.dup(pidfd)
            self._tell_whom_to_mind()

    def _tell_whom_to_mind(self) -> None:
        if self._minded >= 0 and self._connection is not None:
            with contextlib.suppress(OSError):  # it has died, and the next one is told
                messages.send(self._connection, {"mind": True}, [self._minded])

    def settle(self, run_directory: str) -> None:
        """Wait until no keeper has a part in this container any more: its end, or that of its start, is on disk."""
        for name in shared_keepers(self.run_root) if self._shared else ():
            if name != self.name:  # that of an engine before an upgrade
                self._converse(name, {"settle": run_directory})
        self._ask({"settle": run_directory})

    def adopt(
        self, request: dict[str, Any], pid: int, pid_start: int, pipes: Sequence[int], given: Mapping[str, int]
    ) -> bool:
        """Have a monitor for a running container whose monitor and keeper are dead; whether the process lives.

        Args:
            request: as ``launch`` makes it.
            pid: of the container's first process.
            pid_start: when that started (``process.start_time``).
            pipes: the inodes of its streams.
            given: descriptors that the monitor gets, which stay the caller's.
        """
        message = {"adopt": request, "pid": pid, "pid_start": pid_start, "pipes": list(pipes), "names": list(given)}
        return bool(self._ask(message, list(given.values())).get("adopted"))

    def close(self) -> None:
        """Let go of the keeper, which ends unless there are containers; those go on unless they are bound to us."""
        with self._lock:
            if self._connection is None:
                return
            if self.bound:
                with contextlib.suppress(OSError):  # a fork of this process may hold the line open
                    messages.send(self._connection, {"end": True})
                self._let_go(wait=True)
                return
            stays = False
            if self._minded >= 0:
                os.close(self._minded)
                self._minded = -1
            with contextlib.suppress(OSError):
                self._await_greeting()
                messages.send(self._connection, {"leave": True})
                message, _ = messages.receive(self._connection)
                stays = message is not None
            self._let_go(wait=not stays)

    def _ask(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Ask the keeper, which is started if need be; empty when it died meanwhile."""
        try:
            self.be_ready()
        except OSError:
            return {}
        return self._converse(self.name, message, descriptors)

    def _converse(self, name: str, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Ask a keeper on a connection of its own, so that many may wait; empty when it is dead."""
        try:
            with _reach(self.run_root, name, socket.SOCK_SEQPACKET) as connection:
                _greeting(connection).close()
                messages.send(connection, message, descriptors)
                answer, _ = messages.receive(connection)
        except OSError:
            return {}
        return answer or {}

    def _await_greeting(self) -> None:
        """A keeper that has just been started says when it listens."""
        if not self._greeted and self._connection is not None:
            _greeting(self._connection).close()
            self._greeted = True

    def _ensure(self) -> socket.socket:
        with self._lock:
            if self._connection is not None and _hung_up(self._connection):
                self._let_go(wait=True)
            if self._requests is None:
                self._requests = (self._find() if self._shared else None) or self._start()
                self._tell_whom_to_mind()
            return self._requests

    def _find(self) -> socket.socket | None:
        """The keeper of an earlier engine, if it lives."""
        try:
            connection = _reach(self.run_root, self.name, socket.SOCK_SEQPACKET)
        except OSError:
            return None
        try:
            requests = _greeting(connection)
        except OSError:
            connection.close()  # it was about to end
            return None
        self._connection, self._greeted = connection, True
        self._pid = messages.peer(connection)
        self.on_keeper(self._pid)
        return requests

    def _start(self) -> socket.socket:
        _left[:] = [process for process in _left if process.poll() is None]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        requests, taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Nothing of the user's environment is imported (-I), no site-packages (-S), only our own package; and no
        # columns for tracebacks are kept, which are memory in every monitor.
        source = os.path.dirname(os.path.dirname(os.path.abspath(kist.__file__)))
        with open(self._error_log, "ab") as log, _unchangeable(sys.executable) as program:
            numbers = [requests.fileno(), taken.fileno(), theirs.fileno()]
            arguments = ", ".join(map(repr, [*numbers, self.run_root, self.name]))
            code = (
                f"import os, sys; os.closerange({program}, {program + 1}); sys.path.append({source!r}); "
                f"from kist.runtime.keeper import main; main({arguments}, rehearsed={not self.bound})"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "no_debug_ranges", "-c", code],
                executable=f"/proc/self/fd/{program}" if program >= 0 else None,
                pass_fds=[*numbers, *([program] if program >= 0 else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", **faults.environment()},
                start_new_session=True,
            )
        for each in (theirs, taken):
            each.close()
        self._pid = self._process.pid
        self.on_keeper(self._pid)
        self._connection, self._greeted = ours, False
        return requests

    def _forget(self, channel: socket.socket) -> None:
        """Let go of that keeper, not of what another thread has put in its place since."""
        with self._lock:
            if channel is self._requests:
                self._let_go(wait=True)

    def _let_go(self, *, wait: bool) -> None:
        for each in (self._connection, self._requests):
            if each is not None:
                each.close()
        self._connection = self._requests = None
        self._pid = 0
        if self._process is not None:
            if wait:
                self._process.wait()
            else:
                _left.append(self._process)
        self._process = None


def keeper_name(owner: str = "") -> str:
    """The name of a keeper's socket in the run root: of the one that engines share, or of one's own.

    Engines share a keeper only with those that run the same code: plans are made for it, and what it forks lives as it
    did when the keeper began. After an upgrade the old one stays with its containers, and a new one has the new.
    """
    return f"keeper-{owner}.sock" if owner else f"keeper.{_code()}.sock"


@cache
def _code() -> str:
    """Eight digits that differ where the code does that keepers run: of its files' sizes and times, for speed."""
    top = os.path.dirname(os.path.abspath(kist.__file__))
    found = [kist.__version__, sys.executable]
    for directory, inside, names in (each for package in _THEIRS for each in os.walk(os.path.join(top, package))):
        inside.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                status = os.stat(os.path.join(directory, name))
                found.append(f"{os.path.join(directory, name)} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:8]


def shared_keepers(run_root: str) -> list[str]:
    """The sockets of keepers that engines share or shared, that of this code first; some may be dead."""
    found = sorted(name for name in os.listdir(run_root) if _SHARED.fullmatch(name))
    return sorted(found, key=lambda name: name != keeper_name())


def listens(directory: str, name: str) -> bool:
    """Whether a keeper listens there."""
    try:
        _reach(directory, name, socket.SOCK_SEQPACKET).close()
    except OSError:
        return False
    return True


def keepers_of_others(run_root: str) -> list[str]:
    """The sockets of keepers that were for one process each; it may be gone, and they too."""
    first, last = keeper_name("\0").split("\0")
    return [name for name in os.listdir(run_root) if name.startswith(first) and name.endswith(last)]


def keeper_pid(run_root: str, name: str) -> int:
    """The process id of the keeper with this socket; 0 when there is none."""
    try:
        with _reach(run_root, name, socket.SOCK_SEQPACKET) as connection:
            return messages.peer(connection)
    except OSError:
        return 0


def _reach(directory: str, name: str, kind: int) -> socket.socket:
    return socket.socket(fileno=door.connect(directory, name, kind).detach())


def _greeting(connection: socket.socket) -> socket.socket:
    """What a keeper says first: where requests for monitors go."""
    greeting, descriptors = messages.receive(connection)
    if greeting is None:
        raise ConnectionResetError(errno.ECONNRESET, "the keeper has ended")
    return socket.socket(fileno=descriptors[0])


def _hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))


def write_plan(plan: Plan, directory: str) -> str:
    """Write what the monitor and init read; the path for the request."""
    init_path = os.path.join(directory, _INIT)
    with open(init_path, "w", encoding="utf-8") as file:
        file.write(plan.init_text())
    path = os.path.join(directory, PLAN)
    message = {**plan.message(), "init_path": init_path}
    if plan.health_check is not None:
        check_path = os.path.join(directory, _CHECK)
        with open(check_path, "w", encoding="utf-8") as file:
            file.write(plan.health_check.init_text())
        message["life"]["health"]["check"]["init_path"] = check_path
    with open(path, "wb") as file:
        file.write(encode(message))
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
    try:
        return _reach(run_directory, door.SOCKET, socket.SOCK_STREAM)
    except OSError as error:
        raise Conflict("the container is not running") from error


def request(run_directory: str, message: dict[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
    """Ask a monitor; the connection (for the stream that may follow) and its answer.

    Raises:
        Conflict: the container does not run, or ended just now.
        InvalidInput: arguments and environment are more than a process can be given.
        KistError: the monitor could not do it; its words.
    """
    return converse(lambda: connect(run_directory), message)


def converse(connecting: Callable[[], socket.socket], message: dict[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
    """As ``request``, with a connection that is made in another way."""
    begun = Conversation(connecting, message)
    return begun.connection, begun.answer()


class Conversation:
    """A monitor that has been asked, and has not answered yet: ``converse`` in two halves.

    Attributes:
        connection: has something to read when there is an answer; it is closed where that is an error.
    """

    def __init__(self, connecting: Callable[[], socket.socket], message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        if len(line) > messages.MAX_LINE:
            raise InvalidInput("argument list too long", hint="pass large data through a file or standard input")
        self.connection = connecting()
        self._answer = bytearray()
        try:
            self.connection.sendall(line)
        except OSError as error:
            raise self._gone() from error

    def answer(self) -> dict[str, Any]:
        """What it answers.

        Raises:
            BlockingIOError: nothing yet, or not all, on a connection that does not block.
            Conflict, KistError: as ``request``.
        """
        try:
            answer = read_line(self.connection, self._answer)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._gone() from error
        if not answer or "exited" in answer:
            raise self._gone()
        if "error" in answer:
            if answer.get("errno") == errno.ESRCH:  # its first process ended just now
                raise self._gone()
            self.connection.close()
            raise KistError(answer["error"])
        return answer

    def _gone(self) -> Conflict:
        self.connection.close()
        return Conflict("the container is not running")


def take_descriptor(run_directory: str, message: dict[str, Any]) -> int:
    """Ask a monitor for something that it answers with a descriptor; -1 where it has none to give, or has ended."""
    try:
        with connect(run_directory) as connection:
            connection.sendall(json.dumps(message).encode() + b"\n")
            _, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
    except (Conflict, OSError):
        return -1
    return descriptors[0] if descriptors else -1


def ask(run_directory: str, message: dict[str, Any]) -> dict[str, Any]:
    """Ask a monitor for something without a stream."""
    connection, answer = request(run_directory, message)
    connection.close()
    return answer


def read_line(connection: socket.socket, line: bytearray | None = None) -> dict[str, Any]:
    """One line of JSON, and nothing of what follows it; empty when the other side has gone.

    On a connection that does not block it is called again after BlockingIOError, with the same ``line``.
    """
    line = bytearray() if line is None else line
    while not line.endswith(b"\n"):
        peeked = connection.recv(4096, socket.MSG_PEEK)
        if not peeked:
            return {}
        end = peeked.find(b"\n")
        line += connection.recv(end + 1 if end >= 0 else len(peeked))
    value: dict[str, Any] = json.loads(line)
    return value
