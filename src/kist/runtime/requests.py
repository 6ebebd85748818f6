"""What a monitor answers on its socket: one line of JSON in, one line out, then a stream where one was asked for.

``attach``   the container's streams from now on (stdin, stdout, stderr: bool); with ``logs``, the answer's ``log`` says
             how far the log has come: inode and size of its current file
``wait``     lines for what happens in the container, ``{"notice": …}``, and one at its end, ``{"exited": STATE}``
``follow``   a byte whenever the log has grown, and the end of the connection at the end of the container
``signal``   a signal to the first process; one that asks for its end also ends its restarts
``stop``     the container is to end: a signal (number), and SIGKILL after so many seconds (patience; negative: never)
``update``   another restart policy (restart: name, maximum_retry_count), other limits (limits), or both
``publish``  its published ports lead to other addresses (address, address6), by other rules (rules; None: by none)
``resize``   the terminal of the container, or of the exec'd process ``exec``
``leave``    the client of the exec'd process ``exec`` is about to detach: its end is not to be the process's
``freeze``   stop all processes where they are, or (``frozen`` false) let them go on
``exec``     a further process; the connection becomes its streams unless ``detach``
``expect``   (no answer) a further process is about to be asked for, in these namespaces (``namespaces``)
``volume``   a descriptor of the mounted volume ``name``, or none
``inside``   the number of the first process, which has its own files by now
``hold``     between two runs: the next one does not begin as long as the connection is open
``guard``    the keeper has died, and another one listens in the directory ``at`` under the name ``name``
"""

from __future__ import annotations

import errno

from kist.kernel import tty
from kist.kernel.lean import socket
from kist.runtime import execs, messages
from kist.runtime import loop as events
from kist.runtime.streams import Client
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.runtime.monitor import Monitor


# What the kernel says of a limit that does not go with the others, or with what is used already.
_UNFIT = frozenset({errno.EBUSY, errno.EINVAL, errno.ERANGE})


class Refused(Exception):
    """What is asked for cannot be, as the container is at this moment."""


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
            messages.send_line(
                self._connection, {"error": f"the request is longer than {messages.MAX_LINE} bytes", "errno": 7}
            )
            self._close()
        elif end >= 0:
            self._monitor.loop.forget(self._connection.fileno())
            self._handle()

    def _handle(self) -> None:
        try:
            message = jsontext.loads(bytes(self._line))
            if self._monitor.state is not None:
                # Connected before the end, asked after it.
                messages.send_line(self._connection, {"exited": self._monitor.state})
                self._close()
                return
            operation = message.pop("op")
            if self._monitor.life.resting and operation in _FOR_A_PROCESS:
                messages.send_line(self._connection, {"exited": self._monitor.record.state})
                self._close()
                return
            if operation in _INSIDE and self._monitor.first.when_started(self._handle):
                return
            handler = _HANDLERS[operation]
            handler(self._monitor, self._connection, **message)
        except Refused as error:
            messages.send_line(self._connection, {"refused": str(error)})
            self._close()
        except (OSError, KeyError, TypeError, ValueError) as error:
            messages.send_line(self._connection, {"error": str(error), "errno": getattr(error, "errno", 0) or 0})
            self._close()

    def _close(self) -> None:
        self._monitor.loop.forget(self._connection.fileno())
        self._connection.close()


def _attach(
    monitor: Monitor, connection: socket.socket, *, stdin: bool, stdout: bool, stderr: bool, logs: bool = False
) -> None:
    client = Client(connection, stdin=stdin, stdout=stdout, stderr=stderr)
    if not logs:
        messages.send_line(connection, {"ok": True})
        monitor.streams.attach(client)
        return
    client.held = True
    reached = monitor.streams.attach_to_log(client)
    messages.send_line(connection, {"ok": True, "log": list(reached)})
    monitor.streams.release(client)


def _wait(monitor: Monitor, connection: socket.socket) -> None:
    monitor.waiters.append(connection)
    monitor.notices.pass_on()
    _drop_when_closed(monitor, connection, monitor.waiters)


def _follow(monitor: Monitor, connection: socket.socket) -> None:
    monitor.followers.append(connection)
    # What was printed while the follower was on its way here woke nobody.
    connection.send(b"\n")
    _drop_when_closed(monitor, connection, monitor.followers)


def _drop_when_closed(
    monitor: Monitor,
    connection: socket.socket,
    group: list[socket.socket],
    afterwards: Callable[[], None] | None = None,
) -> None:
    def ready(_: int) -> None:
        monitor.loop.forget(connection.fileno())
        group.remove(connection)
        connection.close()
        if afterwards is not None:
            afterwards()

    monitor.loop.watch(connection.fileno(), 0, ready)


def _signal(monitor: Monitor, connection: socket.socket, *, number: int) -> None:
    monitor.life.signal(number)
    messages.send_line(connection, {"ok": True})
    connection.close()


def _stop(monitor: Monitor, connection: socket.socket, *, number: int, patience: float) -> None:
    monitor.life.stop(number, patience)
    messages.send_line(connection, {"ok": True})
    connection.close()


def _update(
    monitor: Monitor,
    connection: socket.socket,
    *,
    restart: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
) -> None:
    try:
        warnings = monitor.update(limits) if limits else ()
    except OSError as error:
        if error.errno not in _UNFIT:
            raise
        raise Refused(f"the kernel refuses the limit: {str(error.strerror).lower()}: {error.filename}") from error
    if restart is not None:
        monitor.life.update(restart)
    messages.send_line(connection, {"ok": True, "warnings": list(warnings)})
    connection.close()


def _publish(
    monitor: Monitor, connection: socket.socket, *, address: str, address6: str, rules: dict[str, Any] | None
) -> None:
    monitor.publish_otherwise(address, address6, rules)
    messages.send_line(connection, {"ok": True})
    connection.close()


def _resize(monitor: Monitor, connection: socket.socket, *, height: int, width: int, exec: str = "") -> None:  # noqa: A002
    if exec and exec not in monitor.execs:
        raise Refused("exec process is not started")
    process = monitor.execs[exec].child if exec else monitor.first
    if process.streams.terminal < 0:
        raise Refused("the process has no terminal")
    tty.set_size(process.streams.terminal, height, width)
    messages.send_line(connection, {"ok": True})
    connection.close()


def _leave(monitor: Monitor, connection: socket.socket, *, exec: str) -> None:  # noqa: A002
    if exec in monitor.execs:  # else it has ended meanwhile
        monitor.execs[exec].leave()
    messages.send_line(connection, {"ok": True})
    connection.close()


def _freeze(monitor: Monitor, connection: socket.socket, *, frozen: bool) -> None:
    """A process that was frozen on its way in would answer nobody, so those that are there get in first."""
    for each in monitor.execs.values() if frozen else ():
        if each.is_starting:
            each.afterwards.append(lambda: _freeze_at_last(monitor, connection))
            return
    monitor.freeze(frozen=frozen)
    messages.send_line(connection, {"ok": True})
    connection.close()


def _freeze_at_last(monitor: Monitor, connection: socket.socket) -> None:
    """Where all that may be asked for is over, who has asked is told of an error all the same."""
    try:
        _freeze(monitor, connection, frozen=True)
    except OSError as error:
        messages.send_line(connection, {"error": str(error), "errno": error.errno or 0})
        connection.close()


def _exec(monitor: Monitor, connection: socket.socket, *, id: str, plan: dict[str, Any], detach: bool) -> None:  # noqa: A002
    if monitor.record.state.get("status") == "paused":
        raise Refused("the container is paused")
    if id in monitor.execs:
        raise Refused(f"exec {id} was started before")
    execs.Exec(monitor, id).start(plan, connection, detach=detach)


def _expect(monitor: Monitor, connection: socket.socket, *, namespaces: list[str]) -> None:
    connection.close()
    monitor.zygotes.expect(namespaces, execs.STAYS)


def _inside(monitor: Monitor, connection: socket.socket) -> None:
    if monitor.life.resting:
        raise Refused("the container is between two runs")
    messages.send_line(connection, {"ok": True, "pid": monitor.record.state["pid"]})
    connection.close()


def _hold(monitor: Monitor, connection: socket.socket) -> None:
    if not monitor.life.resting:
        raise Refused("the container is not between two runs")
    monitor.life.holders.append(connection)
    messages.send_line(connection, {"ok": True})
    _drop_when_closed(monitor, connection, monitor.life.holders, monitor.life.let_go)


def _guard(monitor: Monitor, connection: socket.socket, *, at: str, name: str) -> None:
    monitor.seek_guard(at, name)
    messages.send_line(connection, {"ok": True})
    connection.close()


def _volume(monitor: Monitor, connection: socket.socket, *, name: str) -> None:
    """The connection is no packet's, so the descriptor comes with the answer's first byte."""
    descriptor = monitor.volumes.get(name, -1)
    messages.send_line(connection, {"ok": descriptor >= 0}, [descriptor] if descriptor >= 0 else ())
    connection.close()


_HANDLERS: dict[str, Callable[..., None]] = {
    "attach": _attach,
    "wait": _wait,
    "follow": _follow,
    "signal": _signal,
    "stop": _stop,
    "update": _update,
    "publish": _publish,
    "resize": _resize,
    "leave": _leave,
    "freeze": _freeze,
    "exec": _exec,
    "expect": _expect,
    "volume": _volume,
    "inside": _inside,
    "hold": _hold,
    "guard": _guard,
}
# What a container between two runs has not.
_FOR_A_PROCESS = frozenset({"attach", "resize", "leave", "exec", "expect", "freeze"})
# What goes where the first process is, which is among the host's files until it has changed its root.
_INSIDE = frozenset({"exec", "expect", "inside"})
