"""What a monitor answers on its socket: one line of JSON in, one line out, then a stream where one was asked for.

``attach``   the container's streams from now on (stdin, stdout, stderr: bool)
``wait``     lines for what happens in the container, ``{"notice": …}``, and one at its end, ``{"exited": STATE}``
``follow``   a byte whenever the log has grown, and the end of the connection at the end of the container
``signal``   a signal to the first process
``resize``   the terminal of the container, or of the exec'd process ``exec``
``exec``     a further process; the connection becomes its streams unless ``detach``
"""

from __future__ import annotations

import os

from kist.kernel import tty
from kist.kernel.lean import socket
from kist.runtime import child, messages
from kist.runtime import loop as events
from kist.runtime.streams import Client, Streams
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.runtime.monitor import Monitor


def answer(connection: socket.socket, message: dict[str, Any]) -> bool:
    """Send a line; somebody who has gone needs none. Whether it was sent."""
    try:
        connection.send(jsontext.dumps(message).encode() + b"\n")
    except OSError:
        return False
    return True


class Request:
    """One connection, until its line is complete and it is handed on."""

    def __init__(self, monitor: Monitor, connection: socket.socket) -> None:
        self._monitor = monitor
        self._connection = connection
        self._line = bytearray()
        connection.setblocking(False)
        monitor.loop.watch(connection.fileno(), events.READ, lambda _: self._ready())

    def _ready(self) -> None:
        """Read up to the line's end and no further: what follows belongs to the stream."""
        try:
            data = self._connection.recv(1 << 16, socket.MSG_PEEK)
            end = data.find(b"\n")
            data = self._connection.recv(end + 1 if end >= 0 else len(data))
        except BlockingIOError:
            return
        except OSError:
            data = b""
            end = -1
        self._line += data
        if not data:
            self._close()
        elif len(self._line) > messages.MAX_LINE:
            answer(self._connection, {"error": f"the request is longer than {messages.MAX_LINE} bytes", "errno": 7})
            self._close()
        elif end >= 0:
            self._monitor.loop.forget(self._connection.fileno())
            self._handle()

    def _handle(self) -> None:
        try:
            message = jsontext.loads(bytes(self._line))
            if self._monitor.state is not None:
                # Connected before the end, asked after it.
                answer(self._connection, {"exited": self._monitor.state})
                self._close()
                return
            handler = _HANDLERS[message.pop("op")]
            handler(self._monitor, self._connection, **message)
        except (OSError, KeyError, TypeError, ValueError) as error:
            answer(self._connection, {"error": str(error), "errno": getattr(error, "errno", 0) or 0})
            self._close()

    def _close(self) -> None:
        self._monitor.loop.forget(self._connection.fileno())
        self._connection.close()


def _attach(monitor: Monitor, connection: socket.socket, *, stdin: bool, stdout: bool, stderr: bool) -> None:
    answer(connection, {"ok": True})
    monitor.streams.attach(Client(connection, stdin=stdin, stdout=stdout, stderr=stderr))


def _wait(monitor: Monitor, connection: socket.socket) -> None:
    monitor.waiters.append(connection)
    monitor.pass_on()
    _drop_when_closed(monitor, connection, monitor.waiters)


def _follow(monitor: Monitor, connection: socket.socket) -> None:
    monitor.followers.append(connection)
    # What was printed while the follower was on its way here woke nobody.
    connection.send(b"\n")
    _drop_when_closed(monitor, connection, monitor.followers)


def _drop_when_closed(monitor: Monitor, connection: socket.socket, group: list[socket.socket]) -> None:
    def ready(_: int) -> None:
        monitor.loop.forget(connection.fileno())
        group.remove(connection)
        connection.close()

    monitor.loop.watch(connection.fileno(), 0, ready)


def _signal(monitor: Monitor, connection: socket.socket, *, number: int) -> None:
    monitor.first.signal(number)
    answer(connection, {"ok": True})
    connection.close()


def _resize(monitor: Monitor, connection: socket.socket, *, height: int, width: int, exec: str = "") -> None:  # noqa: A002
    process = monitor.execs[exec] if exec else monitor.first
    if process.streams.terminal < 0:
        raise ValueError("the process has no terminal")
    tty.set_size(process.streams.terminal, height, width)
    answer(connection, {"ok": True})
    connection.close()


def _exec(monitor: Monitor, connection: socket.socket, *, id: str, plan: dict[str, Any], detach: bool) -> None:  # noqa: A002
    _Exec(monitor, connection, id, plan, detach=detach).start()


class _Exec:
    """A further process in the container."""

    def __init__(
        self, monitor: Monitor, connection: socket.socket, identifier: str, plan: dict[str, Any], *, detach: bool
    ) -> None:
        self._monitor = monitor
        self._connection = connection
        self._id = identifier
        self._plan = plan
        self._detach = detach
        self._streams = Streams(monitor.loop, None, stdin_once=True, on_idle=self._forget, on_output=lambda: None)
        self._child = child.Child(monitor.loop, self._streams, self._started, self._ended)
        self._client = Client(connection, stdin=plan["stdin"], stdout=True, stderr=True)
        self._failure: dict[str, Any] | None = None

    def start(self) -> None:
        join = self._monitor.cgroup.join if self._monitor.cgroup is not None else lambda: None
        clone = child.clone_into(self._monitor.first.pidfd, self._plan["namespaces"], join)
        if not self._detach:
            # Attached before the first byte, and held until the answer's line has gone ahead of the stream.
            self._client.held = True
            self._streams.attach(self._client)
        self._child.start(self._plan, clone, None)
        self._monitor.execs[self._id] = self._child

    def _started(self, failure: dict[str, Any] | None) -> None:
        self._failure = failure
        self._record(running=failure is None, exit_code=0)
        answer(self._connection, {"failed": failure} if failure else {"ok": True, "pid": self._child.pid})
        if self._detach:
            self._connection.close()
        else:
            self._streams.release(self._client)

    def _ended(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        if self._failure is not None:
            code = self._failure.get("exit_code", 126)
        code = code if code >= 0 else 128 - code
        self._record(running=False, exit_code=code)
        self._monitor.notice("exec_die", {"execID": self._id, "exitCode": str(code)})
        self._streams.end()
        if self._streams.idle:
            self._forget()

    def _record(self, *, running: bool, exit_code: int) -> None:
        path = os.path.join(self._monitor.run_directory, f"exec-{self._id}.json")
        try:
            messages.write_json(path, {"running": running, "exit_code": exit_code, "pid": self._child.pid})
        except OSError as error:
            messages.complain(error)

    def _forget(self) -> None:
        self._monitor.execs.pop(self._id, None)


_HANDLERS: dict[str, Callable[..., None]] = {
    "attach": _attach,
    "wait": _wait,
    "follow": _follow,
    "signal": _signal,
    "resize": _resize,
    "exec": _exec,
}
