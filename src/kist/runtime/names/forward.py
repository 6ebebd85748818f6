"""Questions that other name servers are asked: tried again, of the next one too, and given up in time.

Each try has a socket of its own, and with it a port that nobody can guess, as nobody can the identifier; only the
server that was asked can answer, as the socket is connected to it (RFC 5452). Who asks the same meanwhile shares the
answer.
"""

from __future__ import annotations

import contextlib
import os

from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.names import message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.runtime.names.upstreams import Place

    Done = Callable[[bytes | None], None]

# Seconds for each try. All of them are less than the five after which a client asks again.
_PATIENCE = (1.0, 1.0, 1.0, 1.5)
# Questions at a time, with up to four sockets each; as many more wait for their turn as a client can have meant to ask.
_MOST = 64
_MOST_WAITING = 1024
_USELESS = frozenset({message.SERVFAIL, message.NOTIMP, message.REFUSED, message.FORMERR})


class Forwarder:
    """Asks other servers.

    Args:
        loop: where sockets and times are watched.
        servers: gives whom to ask, as of now.
    """

    def __init__(self, loop: events.Loop, servers: Callable[[], list[Place]]) -> None:
        self._loop = loop
        self._servers = servers
        self._flights: dict[bytes, _Flight] = {}
        self._waiting: dict[bytes, list[Done]] = {}
        self._calling = False

    def ask(self, question: bytes, done: Done, *, tcp: bool) -> None:
        """Have a question answered.

        Args:
            question: as ``message.passed_on`` gives it.
            done: called once, with the answer (whatever its identifier), or with None when nobody gives one.
            tcp: ask over TCP, which has room for any answer.
        """
        key = (b"t" if tcp else b"u") + question
        if key in self._flights:
            self._flights[key].waiting.append(done)
        elif key in self._waiting:
            self._waiting[key].append(done)
        elif len(self._flights) < _MOST:
            self._begin(key, [done])
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting[key] = [done]
        else:
            done(None)

    def close(self) -> None:
        """Give all up; nobody is told."""
        self._waiting.clear()
        for flight in tuple(self._flights.values()):
            flight.close()
        self._flights.clear()

    def _begin(self, key: bytes, waiting: list[Done]) -> None:
        flight = self._flights[key] = _Flight(self._loop, key, waiting, self._servers(), self._over, self._lose)
        flight.try_next()

    def _lose(self, flight: _Flight) -> None:
        """Something unexpected happened to it: nobody is told, and who asked will ask again."""
        flight.close()
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        self._call_waiting()

    def _over(self, flight: _Flight, answer: bytes | None) -> None:
        del self._flights[flight.key]
        try:
            for done in flight.waiting:
                done(answer)
        finally:
            self._call_waiting()

    def _call_waiting(self) -> None:
        """Begin with those that wait, as many as may; one that is over at once, as without a network, makes room."""
        if self._calling:
            return  # the loop below goes on
        self._calling = True
        try:
            while self._waiting and len(self._flights) < _MOST:
                key = next(iter(self._waiting))
                self._begin(key, self._waiting.pop(key))
        finally:
            self._calling = False


class _Flight:
    """One question on its way."""

    def __init__(
        self,
        loop: events.Loop,
        key: bytes,
        waiting: list[Done],
        servers: list[Place],
        over: Callable[[_Flight, bytes | None], None],
        lose: Callable[[_Flight], None],
    ) -> None:
        self._loop = loop
        self.key = key
        self.waiting = waiting
        self._servers = servers
        self._over = over
        self._lose = lose
        self._tries: set[_Attempt] = set()
        self._tried = 0
        # What a server said that did not know: the last word, if nobody knows better.
        self._word: bytes | None = None

    def try_next(self) -> None:
        """Ask the next server, or give up; earlier ones may still answer meanwhile."""
        self._loop.clear_timer(self.try_next)
        while self._tried < len(_PATIENCE) and self._servers:
            server = self._servers[self._tried % len(self._servers)]
            patience = _PATIENCE[self._tried]
            self._tried += 1
            try:
                make = _Stream if self.key[:1] == b"t" else _Datagram
                self._tries.add(make(self._loop, self.key[1:], server, self._answered, self._failed, self.lose))
            except OSError:
                continue  # no way to it, or no descriptors left
            self._loop.set_timer(events.moment(patience), self.try_next, on_error=self.lose)
            return
        self._finish(self._word)

    def lose(self) -> None:
        """Give up after an error that nobody expected."""
        self._lose(self)

    def close(self) -> None:
        """Forget all sockets."""
        self._loop.clear_timer(self.try_next)
        for each in self._tries:
            each.close()
        self._tries = set()

    def _finish(self, answer: bytes | None) -> None:
        self.close()
        self._over(self, answer)

    def _answered(self, attempt: _Attempt, answer: bytes) -> None:
        if message.response_code(answer) in _USELESS:
            self._word = answer
            self._failed(attempt)
        else:
            self._finish(answer)

    def _failed(self, attempt: _Attempt) -> None:
        """A server says that it does not know, or nobody listens there: ask the next one at once.

        Where there is no other one, that was the answer.
        """
        attempt.close()
        self._tries.discard(attempt)
        if self._tried >= len(self._servers) and not self._tries:
            self._finish(self._word)
        elif self._tried < len(self._servers):
            self.try_next()


class _Attempt:
    """A question to one server, on a socket of its own."""

    kind: int

    def __init__(
        self,
        loop: events.Loop,
        question: bytes,
        server: Place,
        answered: Callable[[Any, bytes], None],
        failed: Callable[[Any], None],
        lose: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._answered = answered
        self._failed = failed
        self._lose = lose
        self._asked = os.urandom(2) + question
        family, address = server
        self._socket = socket.socket(family, self.kind)
        try:
            self._socket.setblocking(False)
            awaited = self._begin(address)
        except OSError:
            self._socket.close()
            raise
        loop.watch(self._socket.fileno(), awaited, self._ready, on_error=lose)

    def _begin(self, address: Any) -> int:
        """Connect; the events to wait for."""
        raise NotImplementedError

    def _ready(self, _: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._socket.close()


class _Datagram(_Attempt):
    """A question over UDP."""

    kind = socket.SOCK_DGRAM

    def _begin(self, address: Any) -> int:
        self._socket.connect(address)
        self._socket.send(self._asked)
        return events.READ

    def _ready(self, _: int) -> None:
        try:
            data = self._socket.recv(message.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            self._failed(self)  # an ICMP message says that nobody listens
            return
        # What is no answer to this question is somebody's who guesses; the real one may be on its way.
        if _answers(data, self._asked):
            self._answered(self, data)


class _Stream(_Attempt):
    """A question over TCP; each message has its length in two bytes before it."""

    kind = socket.SOCK_STREAM

    def _begin(self, address: Any) -> int:
        self._unsent = len(self._asked).to_bytes(2, "big") + self._asked
        self._got = b""
        # It can be written to when it is connected.
        with contextlib.suppress(BlockingIOError):
            self._socket.connect(address)
        return events.WRITE

    def _ready(self, _: int) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
                if not self._unsent:
                    self._loop.watch(self._socket.fileno(), events.READ, self._ready, on_error=self._lose)
                return
            data = self._socket.recv(message.LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._failed(self)
            return
        self._got += data
        length = int.from_bytes(self._got[:2], "big")
        if len(self._got) < 2 + length or len(self._got) < 2:
            return
        answer = self._got[2 : 2 + length]
        if _answers(answer, self._asked):
            self._answered(self, answer)
        else:
            self._failed(self)


def _answers(data: bytes, asked: bytes) -> bool:
    try:
        return message.answers(data, asked)
    except message.Malformed:
        return False
