"""A published tcp port: connections to a listening socket are carried to the container, each direction on its own.

What comes is first copied through one buffer that all connections share. A direction that fills it is a large
transfer, and gets a pipe through which the kernel moves the pages (splice(2)) without a copy. Memory is bounded: what
one side has sent and the other has not taken is held once for each direction, and then the sender waits.
"""

from __future__ import annotations

import contextlib
import os

from kist.kernel import lean, pipes
from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.allowance import Allowance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_buffer = memoryview(bytearray(1 << 16))


class TcpRelay:
    """One listening socket and the connections that came through it.

    Args:
        loop: the monitor's.
        listening: it listens, and does not block.
        target: where the container listens.
        allowance: of descriptors; when it is used up, who connects is turned away.
    """

    def __init__(
        self, loop: events.Loop, listening: socket.socket, target: tuple[str, int], allowance: Allowance
    ) -> None:
        self._loop = loop
        self._allowance = allowance
        self._listening = listening
        self.aim(target)
        self._pairs: set[_Pair] = set()
        # Given up for a moment to turn a connection away when there are no descriptors left: one that is not accepted
        # would be reported again and again.
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        # Those that are accepted have it from this one.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.watch(listening.fileno(), events.READ, self._accept, on_error=events.go_on)

    def aim(self, target: tuple[str, int]) -> None:
        """Carry connections there from now on; without an address they are turned away."""
        self._target = target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET

    def close(self) -> None:
        """Stop listening, and end what is carried."""
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        if self._spare >= 0:
            os.close(self._spare)
        for pair in tuple(self._pairs):
            pair.close()

    def _accept(self, _: int) -> None:
        try:
            client = lean.accept(self._listening)
        except OSError as error:
            if error.errno in pipes.USED_UP:
                self._turn_away()
            return
        if not self._target[0] or not self._allowance.take(2):
            client.close()  # the container is on no network any more, or has as many clients as it may have
            return
        try:
            server = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            client.close()
            self._allowance.give(2)
            return
        client.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.add(_Pair(self._loop, client, server, self._target, self._allowance, self._pairs.discard))

    def _turn_away(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with contextlib.suppress(OSError):  # it has gone, or another process was faster: it is reported again
            lean.accept(self._listening).close()
        try:
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # the next time, then


class _Side:
    """One end of a pair: its socket, what it is still to get, and whether it has said all.

    Attributes:
        pending: what it is to get and has not taken yet; empty when all of that is in the pipe.
        pipe: through which it gets large transfers; None until one comes.
        piped: how many bytes are in the pipe.
        watched: the events that the loop looks for; -1 when it does not look.
    """

    def __init__(self, connection: socket.socket, allowance: Allowance) -> None:
        self.connection = connection
        self._allowance = allowance
        self.fd = connection.fileno()
        self.pending = b""
        self.pipe: tuple[int, int] | None = None
        self.piped = 0
        self.ended = False
        self.watched = -1

    def flush(self) -> None:
        """Hand over what it can take now."""
        try:
            if self.piped:
                assert self.pipe is not None
                self.piped -= os.splice(self.pipe[0], self.fd, self.piped)
            else:
                self.pending = self.pending[self.connection.send(self.pending) :]
        except BlockingIOError:
            return

    def take(self, count: int) -> None:
        """Hand over the first so many bytes of the buffer, and keep what it cannot take now."""
        try:
            sent = self.connection.send(_buffer[:count])
        except BlockingIOError:
            sent = 0
        if sent < count:
            self.pending = bytes(_buffer[sent:count])
        elif count == len(_buffer):
            self._take_pipe()

    def _take_pipe(self) -> None:
        """Where no more can be had, it goes on as it is."""
        if self._allowance.take(2):
            self.pipe = pipes.roomy()
            if self.pipe is None:
                self._allowance.give(2)

    def close(self) -> None:
        """Close the socket and the pipe."""
        self.connection.close()
        self._allowance.give(1)
        if self.pipe is not None:
            os.close(self.pipe[0])
            os.close(self.pipe[1])
            self._allowance.give(2)


class _Pair:
    """A client's connection and the one to the container; each direction ends on its own."""

    def __init__(
        self,
        loop: events.Loop,
        client: socket.socket,
        server: socket.socket,
        target: tuple[str, int],
        allowance: Allowance,
        on_end: Callable[[_Pair], None],
    ) -> None:
        self._loop = loop
        self._on_end = on_end
        self._client, self._server = _Side(client, allowance), _Side(server, allowance)
        self._open = True
        try:
            server.connect(target)
        except BlockingIOError:
            loop.watch(self._server.fd, events.WRITE, self._connected, on_error=self.close)
            return
        except OSError:
            loop.watch(self._server.fd, events.WRITE, self._refused, on_error=self.close)
            return
        self._watch()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        for side in (self._client, self._server):
            self._loop.forget(side.fd)
            side.close()
        self._on_end(self)

    def _connected(self, event: int) -> None:
        if event & events.CLOSED:
            self.close()  # nobody listens there
            return
        self._server.watched = events.WRITE
        # Most clients have said something by now.
        self._ready(self._client, self._server, events.READ)

    def _refused(self, _: int) -> None:
        self.close()

    def _watch(self) -> None:
        self._watch_side(self._client, self._server, self._client_ready)
        self._watch_side(self._server, self._client, self._server_ready)

    def _watch_side(self, side: _Side, other: _Side, ready: Callable[[int], None]) -> None:
        wanted = 0 if side.ended or other.pending or other.piped else events.READ | events.ENDED
        if side.pending or side.piped:
            wanted |= events.WRITE
        if not wanted and side.ended:
            wanted = -1
        if wanted == side.watched:
            return
        side.watched = wanted
        if wanted >= 0:
            self._loop.watch(side.fd, wanted, ready, on_error=self.close)
        else:
            self._loop.forget(side.fd)

    def _client_ready(self, event: int) -> None:
        self._ready(self._client, self._server, event)

    def _server_ready(self, event: int) -> None:
        self._ready(self._server, self._client, event)

    def _ready(self, side: _Side, other: _Side, event: int) -> None:
        if event & events.CLOSED and (other.pending or other.piped):
            # It has gone; what it had sent is still on its way. Its end is read when that has been taken.
            self._loop.forget(side.fd)
            side.watched = -1
            return
        try:
            if event & events.WRITE and (side.pending or side.piped):
                side.flush()
            if event & (events.READ | events.CLOSED) and not (other.pending or other.piped):
                self._read(side, other)
                if event & events.ENDED:
                    self._read_on(side, other)
        except BlockingIOError:
            pass  # it has nothing now
        except OSError:
            self.close()
            return
        if self._all_said():
            self.close()
        elif self._open:
            self._watch()

    def _all_said(self) -> bool:
        one, two = self._client, self._server
        return one.ended and two.ended and not (one.pending or one.piped or two.pending or two.piped)

    def _read_on(self, side: _Side, other: _Side) -> None:
        """Read once more of who has said all by now: the end itself, mostly."""
        if not (side.ended or other.pending or other.piped):
            self._read(side, other)

    def _read(self, side: _Side, other: _Side) -> None:
        if other.pipe is not None:
            count = other.piped = os.splice(side.fd, other.pipe[1], pipes.ROOM)
            if count:
                other.flush()
        else:
            count = side.connection.recv_into(_buffer)
            if count:
                other.take(count)
        if not count:
            side.ended = True
            other.connection.shutdown(socket.SHUT_WR)
