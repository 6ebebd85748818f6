"""Output that goes to syslog or journald: messages in a bounded buffer, and a connection that may come and go.

Imported by the monitors whose plan names such a target, and by no other. A target that is down, or that takes nothing,
never holds the container up for long: messages are dropped, counted, and the number is told in the log and, when there
is room again, to the target. One that is there and slow holds the container up (``blocking``, as in Docker) until it
has taken some, or has taken nothing for ``_PATIENCE`` seconds.
"""

from __future__ import annotations

import os
import select
import time

from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.logwriter import MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from kist.runtime.logwriter import LogWriter

    class Format(Protocol):
        """How one message looks on its way."""

        def message(self, stream: str, text: bytes, part: tuple[str, int, bool] | None) -> bytes:
            """The bytes of a line; ``part``: the line's id, which part of it this is (from 1), whether the last."""
            ...

        def send(self, connection: socket.socket, message: bytes) -> int:
            """Send, without waiting; how much of it went."""
            ...


_PATIENCE = 5.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LAST_WORDS = 10.0
_LAST_PAUSE = 1.0
_KINDS = {
    "unixgram": (socket.AF_UNIX, socket.SOCK_DGRAM),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM),
    "tcp": (socket.AF_INET, socket.SOCK_STREAM),
}


class Forwarder:
    """A log whose messages leave; in ``Streams``' place of a ``LogWriter``.

    Args:
        loop: the monitor's.
        target: ``Log.forward`` of the plan.
        kept: the log on this machine that ``kist logs`` reads; None where there is none.
        relieve: called when the container need wait no longer.
    """

    def __init__(
        self, loop: events.Loop, target: dict[str, Any], kept: LogWriter | None, relieve: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._target = target
        self._kept = kept
        self._relieve = relieve
        self._format = _format(target)
        self._limit: int = target["buffer"]
        self._lines = {"stdout": _Lines(), "stderr": _Lines()}
        self._queue: list[bytes] = []
        self._waiting = 0
        self._sent = 0  # of the first message, on a stream
        self._connection: socket.socket | None = None
        self._connected = False
        self._blocked = False
        self._trusted = bool(target["blocking"])
        self._moved_at = 0.0
        self._pause = _FIRST_PAUSE
        self._retry_at = 0.0
        self._untold = 0
        self._closing = False
        self.dropped = 0
        self.full = False

    def reached(self) -> tuple[int, int, dict[str, bytes]]:
        """How far the log that is kept here has come; see ``LogWriter.reached``."""
        return self._kept.reached() if self._kept is not None else (0, 0, {})

    def write(self, stream: str, data: bytes) -> None:
        """Add what the container printed on ``stream``."""
        if self._kept is not None:
            self._kept.write(stream, data)
        if self._connection is None and time.monotonic() >= self._retry_at:
            self._connect()
        for text, part in self._lines[stream].feed(data):
            self._add(self._format.message(stream, text, part))
        self._flush()

    def close(self) -> None:
        """Send what is left: ten seconds at most, and only while it moves. What stays is told in the log."""
        self._closing = True
        for stream, lines in self._lines.items():
            for text, part in lines.end():
                self._add(self._format.message(stream, text, part))
        deadline = time.monotonic() + _LAST_WORDS
        self._flush()
        # Not by the loop: what else is ready is not to be handled in the middle of the container's end.
        while self._queue and self._connection is not None and (left := deadline - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._connection, select.POLLOUT)
            if not poll.poll(min(left, _LAST_PAUSE) * 1000):
                break
            self._ready(events.WRITE)
        self._disconnect()
        self._drop(len(self._queue))
        self._queue.clear()
        self._tell_here()
        if self._kept is not None:
            self._kept.close()

    # the buffer

    def _add(self, message: bytes) -> None:
        if self._waiting + len(message) > self._limit and self._queue and not self._may_hold():
            self._drop(1)
            return
        if self._untold and self._waiting < self._limit // 2:
            self._tell_there()
        self._queue.append(message)
        self._waiting += len(message)

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count

    def _tell_there(self) -> None:
        text = f"kist: {self._untold} messages were dropped: {self._describe()} took none".encode()
        self._tell_here()
        told = self._format.message("stderr", text, None)
        self._queue.append(told)
        self._waiting += len(told)

    def _tell_here(self) -> None:
        if self._untold and self._kept is not None:
            self._kept.note(f"{self._untold} messages did not reach {self._describe()}")
        self._untold = 0

    def _describe(self) -> str:
        where = f"{self._target['address']}:{self._target['port']}" if self._target["port"] else self._target["address"]
        return f"{self._target['kind']} at {where}"

    # the connection

    def _flush(self) -> None:
        if self._connection is None:
            if not self._queue or time.monotonic() < self._retry_at:
                return
            self._connect()
        if self._connected:
            self._send()
        self._hold_or_relieve()

    def _send(self) -> None:
        assert self._connection is not None
        done = 0
        try:
            while done < len(self._queue):
                message = self._queue[done]
                rest = message[self._sent :] if self._sent else message
                count = self._format.send(self._connection, rest)
                self._moved_at = time.monotonic()
                if self._blocked:
                    self._blocked, self._trusted = False, bool(self._target["blocking"])
                if count < len(rest):
                    self._sent += count
                    continue
                self._sent = 0
                self._waiting -= len(message)
                done += 1
        except BlockingIOError:
            self._blocked = True
            self._watch(events.READ | events.WRITE)
        except OSError:
            # Of a datagram, nobody got it. A stream is connected anew and gets the whole message again.
            if self._target["transport"] in {"udp", "unixgram"}:
                self._waiting -= len(self._queue[done])
                done += 1
                self._drop(1)
            self._lost()
        else:
            self._pause = _FIRST_PAUSE
            self._watch(events.READ)
        del self._queue[:done]

    def _hold_or_relieve(self) -> None:
        """Whether the container has to wait: the target is there, is slow, and takes something now and then."""
        held = self.full
        self.full = self._waiting >= self._limit and self._may_hold()
        if self.full and not held:
            self._moved_at = time.monotonic()
            self._loop.after(_PATIENCE, self._lose_patience)
        elif held and not self.full:
            self._relieve()

    def _may_hold(self) -> bool:
        """Whether there is somebody who may take something soon: it is connected, or being connected."""
        return self._connection is not None and self._trusted and not self._closing

    def _lose_patience(self) -> None:
        if not self.full:
            return
        left = self._moved_at + _PATIENCE - time.monotonic()
        if left > 0:
            self._loop.after(left, self._lose_patience)
            return
        # It hangs. It may connect again at once and hang again: the container is not held up before it has shown more.
        self._trusted = False
        self._lost()
        self._hold_or_relieve()

    def _connect(self) -> None:
        family, kind = _KINDS[self._target["transport"]]
        address: Any = self._target["address"]
        if self._target["port"]:
            family = socket.AF_INET6 if ":" in address else family
            address = (address, self._target["port"])
        self._connection = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._sent = 0
        self._moved_at = time.monotonic()
        try:
            self._connection.connect(address)
        except BlockingIOError:
            self._watch(events.WRITE)
        except OSError:
            self._lost()
        else:
            self._connected = True

    def _watch(self, wanted: int) -> None:
        assert self._connection is not None
        self._loop.watch(self._connection.fileno(), wanted, self._ready)

    def _ready(self, event: int) -> None:
        if self._connection is None:
            return
        if not self._connected:
            if self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._lost()
                return
            self._connected = True
            self._moved_at = time.monotonic()
        elif event & (events.READ | events.CLOSED) and self._hung_up():
            self._lost()
            self._hold_or_relieve()
            return
        self._flush()

    def _hung_up(self) -> bool:
        """Whether the other end has gone; what it says is of no interest."""
        assert self._connection is not None
        try:
            return not self._connection.recv(1 << 12) and self._target["transport"] in {"tcp", "unix"}
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _lost(self) -> None:
        """Connect again later, and each time a little later, but not while there is nothing to send."""
        self._disconnect()
        self._retry_at = time.monotonic() + self._pause
        if not self._closing:
            self._loop.after(self._pause, self._flush)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
        self._connection = None
        self._connected = self._blocked = False
        self._sent = 0


class _Lines:
    """Cuts one stream into lines, and lines that are too long into parts."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._number = 0

    def feed(self, data: bytes) -> list[tuple[bytes, tuple[str, int, bool] | None]]:
        """The lines and parts that ``data`` completes, each with its place in its line where it is a part."""
        *lines, rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            found += self._cut(line)
            found.append(self._last(line[len(line) // MAX_LINE * MAX_LINE :]))
        found += self._cut(rest)
        self._rest = rest[len(rest) // MAX_LINE * MAX_LINE :]
        return found

    def end(self) -> list[tuple[bytes, tuple[str, int, bool] | None]]:
        """What has no line end at the end of the output."""
        rest, self._rest = self._rest, b""
        return [self._last(rest)] if rest else []

    def _cut(self, line: bytes) -> list[tuple[bytes, tuple[str, int, bool] | None]]:
        found: list[tuple[bytes, tuple[str, int, bool] | None]] = []
        for start in range(0, len(line) - MAX_LINE + 1, MAX_LINE):
            self._id = self._id or os.urandom(16).hex()
            self._number += 1
            found.append((line[start : start + MAX_LINE], (self._id, self._number, False)))
        return found

    def _last(self, line: bytes) -> tuple[bytes, tuple[str, int, bool] | None]:
        part = (self._id, self._number + 1, True) if self._number else None
        self._id, self._number = "", 0
        return line, part


def _format(target: dict[str, Any]) -> Format:
    if target["kind"] == "journald":
        from kist.runtime.journald import Journal  # noqa: PLC0415 - the one of the two that is wanted

        return Journal(target["fields"])
    from kist.runtime.syslog import Syslog  # noqa: PLC0415 - the same

    return Syslog(target)
