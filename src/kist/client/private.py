"""An engine of this process's own, in a child that lives exactly as long: an ordinary user's ``Engine(local=True)``.

Such a user's engine is root of a user namespace, which a process can enter only while it has one thread, and is
another user from then on. A script has threads and must stay who it is, so a child of it enters. Both are joined by a
pair of sockets (``Line``): each connection of the HTTP API is another pair, one end of which travels over it. Nothing
has a name that others could find, and the end of either process is the end of the line.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import weakref

from kist.client.client import Client
from kist.client.endpoint import Endpoint
from kist.client.failure import from_fields
from kist.client.start import OF_A_SERVICE, START_SECONDS, make_run_root
from kist.client.transport import Connection
from kist.errors import Unavailable
from kist.spec.jsontext import loads

_MOST = 1 << 16
_GONE = "the engine of this kist.Engine(local=True) has ended, and its containers with it"


class PrivateEngine(Client):
    """The engine's methods, done by a child of this process.

    Args:
        data_root: where images and containers are kept.
        run_root: as for every engine.

    Raises:
        KistError: the child could not become an engine; what it said.
    """

    def __init__(self, data_root: str, run_root: str) -> None:
        data, run = os.path.abspath(data_root), os.path.abspath(run_root)
        make_run_root(run)
        self._line = Line(data, run)
        super().__init__(Endpoint("", (data, run)), lambda _: self._line.connect())

    def close(self) -> None:
        """End the engine, and what it has started."""
        super().close()
        self._line.close()


class Line:
    """The child, and what joins it with this process. Safe from many threads."""

    def __init__(self, data_root: str, run_root: str) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log = f"{run_root}/engine.log"
        with theirs:
            child = _start(theirs.fileno(), data_root, run_root, log)
        self._close = weakref.finalize(self, _end, self._ours, child, os.getpid(), threading.Lock())
        try:
            _await_word(self._ours, log)
        except BaseException:
            self.close()
            raise

    def connect(self) -> Connection:
        """A connection to the child.

        Raises:
            Unavailable: it has ended.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, theirs:
            try:
                socket.send_fds(self._ours, [b"connect"], [theirs.fileno()])
            except OSError:
                raise Unavailable(_GONE, hint="make another one") from None
            return Connection(connected=ours.detach())

    def close(self) -> None:
        """Have the child end, and wait for that; once."""
        self._close()


def _start(line: int, data_root: str, run_root: str, log_path: str) -> "subprocess.Popen[bytes]":
    own = {name: value for name, value in os.environ.items() if name not in OF_A_SERVICE}
    environment = {**own, "KIST_ROOT": data_root, "KIST_RUN": run_root}
    with open(log_path, "ab") as log:
        return subprocess.Popen(
            # -P: what lies in the caller's working directory must not be imported by the engine
            [sys.executable, "-P", "-m", "kist.cli", "engine", "--caller-fd", str(line)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(line,),
            env=environment,
        )


def _await_word(line: socket.socket, log: str) -> None:
    """Wait until the child says that it is an engine; raises what it says otherwise."""
    line.settimeout(START_SECONDS)
    try:
        said = line.recv(_MOST)
    except (TimeoutError, ConnectionResetError):
        said = b""
    line.settimeout(None)
    told = loads(said) if said else {"message": "the engine could not be started", "hint": f"see {log}"}
    if not told.get("ready"):
        raise from_fields(told)


def _end(line: socket.socket, child: "subprocess.Popen[bytes]", owner: int, alone: threading.Lock) -> None:
    """Have the child end, and wait for that. A fork of its owner only lets go of the line."""
    with alone, line:
        if os.getpid() != owner:
            return
        with contextlib.suppress(OSError):  # it has ended already
            line.send(b"end")  # a fork may hold the line open
        child.wait()
