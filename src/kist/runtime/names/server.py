"""The two sockets of a container's name server: datagrams, and streams that ask many questions one after the other."""

from __future__ import annotations

import time

from kist.kernel import lean
from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.names import message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.runtime.names.resolve import Resolver

# Datagrams that are answered before the monitor looks after its container again.
_BATCH = 64
_MOST_STREAMS = 32
# Questions of one stream that wait for answers, and bytes of answers that it has not taken: then it is not heard.
_MOST_ASKED = 32
_MOST_UNTAKEN = 1 << 17
# Nanoseconds that a stream may say nothing.
_PATIENCE = 10_000_000_000


class Server:
    """Hears and answers.

    Args:
        loop: where the sockets are watched.
        udp, tcp: bound, and listening; they stay the caller's.
        resolver: knows the answers.
    """

    def __init__(self, loop: events.Loop, udp: socket.socket, tcp: socket.socket, resolver: Resolver) -> None:
        self._loop = loop
        self._udp = udp
        self._tcp = tcp
        self._resolver = resolver
        self._streams: dict[_Stream, None] = {}
        loop.watch(udp.fileno(), events.READ, self._hear, on_error=events.go_on)
        loop.watch(tcp.fileno(), events.READ, self._accept, on_error=events.go_on)

    def close(self) -> None:
        """Stop, and end the streams."""
        self._loop.forget(self._udp.fileno())
        self._loop.forget(self._tcp.fileno())
        self._loop.clear_timer(self._end_idle)
        for stream in tuple(self._streams):
            stream.close()
        self._resolver.close()

    def _hear(self, _: int) -> None:
        udp, again = self._udp, self._resolver.answer_again
        for _number in range(_BATCH):
            try:
                data, client = udp.recvfrom(message.PAYLOAD)
            except OSError:
                return  # no more for now; or an error that an earlier answer met, whose client has gone
            answer = again(data)
            if answer is None:
                self._resolver.answer(data, self._to(client))
                continue
            try:
                udp.sendto(answer, client)
            except OSError:
                continue  # it does not take more answers, and will ask again

    def _to(self, client: tuple[str, int]) -> Callable[[bytes], None]:
        def say(answer: bytes) -> None:
            try:
                self._udp.sendto(answer, client)
            except OSError:
                return  # as above

        return say

    # streams

    def _accept(self, _: int) -> None:
        try:
            connection = lean.accept(self._tcp)
        except OSError:
            return  # who wanted to connect has gone
        if len(self._streams) >= _MOST_STREAMS:
            min(self._streams, key=lambda stream: stream.active).close()
        self._streams[_Stream(self._loop, connection, self._resolver, self._gone)] = None
        if len(self._streams) == 1:
            self._set_timer()

    def _gone(self, stream: _Stream) -> None:
        self._streams.pop(stream, None)
        if not self._streams:
            self._loop.clear_timer(self._end_idle)

    def _set_timer(self) -> None:
        moment = min(stream.active for stream in self._streams) + _PATIENCE
        self._loop.set_timer(moment, self._end_idle, on_error=events.go_on)

    def _end_idle(self) -> None:
        now = time.monotonic_ns()
        for stream in tuple(self._streams):
            if now - stream.active >= _PATIENCE:
                stream.close()
        if self._streams:
            self._set_timer()


class _Stream:
    """A client's connection: each message has its length in two bytes before it, in both directions.

    Answers come as they are known, in whatever order (RFC 7766, section 6.2.1.1).
    """

    def __init__(
        self, loop: events.Loop, connection: socket.socket, resolver: Resolver, gone: Callable[[_Stream], None]
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._fd = connection.fileno()
        self._resolver = resolver
        self._gone = gone
        self._got = b""
        self._unsent = b""
        self._asked = 0
        self._ended = False
        self._closed = False
        self._taking = False
        # When it last said something, or took an answer.
        self.active = time.monotonic_ns()
        connection.setblocking(False)
        # Or the last of many answers would wait until the client has acknowledged those before.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def close(self) -> None:
        """End it; what is still found out for it is told nobody."""
        if not self._closed:
            self._closed = True
            self._loop.forget(self._fd)
            self._connection.close()
            self._gone(self)

    def _watch(self) -> None:
        """Hear it as long as it takes what it has asked for; close it when all has been said."""
        if self._closed:
            return  # an answer was said to a client that has gone
        if self._ended and not self._asked and not self._unsent:
            self.close()
            return
        hears = not self._ended and self._asked < _MOST_ASKED and len(self._unsent) < _MOST_UNTAKEN
        awaited = (events.READ if hears else 0) | (events.WRITE if self._unsent else 0)
        self._loop.watch(self._fd, awaited, self._ready, on_error=self.close)

    def _ready(self, event: int) -> None:
        try:
            if event & events.WRITE:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
                self.active = time.monotonic_ns()
            if event & events.READ:
                self._read()
            elif event & events.CLOSED:
                self.close()
                return
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._closed:
            self._take_questions()
            self._watch()

    def _read(self) -> None:
        data = self._connection.recv(message.LONGEST)
        if data:
            self.active = time.monotonic_ns()
            self._got += data
        else:
            self._ended = True

    def _take_questions(self) -> None:
        """Ask for all that has been said and may be asked now; answers that are known come meanwhile."""
        self._taking = True
        place = 0
        while self._asked < _MOST_ASKED and len(self._unsent) < _MOST_UNTAKEN and len(self._got) >= place + 2:
            end = place + 2 + int.from_bytes(self._got[place : place + 2], "big")
            if len(self._got) < end:
                break
            self._asked += 1
            if not self._resolver.answer(self._got[place + 2 : end], self._say, tcp=True):
                self._asked -= 1  # nothing that has an answer
            place = end
        self._got = self._got[place:]
        self._taking = False

    def _say(self, answer: bytes) -> None:
        """Send an answer, and go on with questions that had to wait for it."""
        self._asked -= 1
        if self._closed:
            return
        self._unsent += len(answer).to_bytes(2, "big") + answer
        try:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]
            self.active = time.monotonic_ns()
        except BlockingIOError:
            pass  # the watch below tells when there is room
        except OSError:
            self.close()
            return
        if not self._taking:
            self._take_questions()
            self._watch()
