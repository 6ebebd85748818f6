"""From a question to its answer: the container's networks, what is kept, other servers."""

from __future__ import annotations

import time

from kist.runtime.names import message
from kist.runtime.names.answers import Answers, Repeated, respelt
from kist.runtime.names.forward import Forwarder
from kist.runtime.names.message import Query
from kist.runtime.names.registry import Registry, of_length
from kist.runtime.names.upstreams import Upstreams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.runtime.loop import Loop
    from kist.runtime.names.upstreams import Place

    Say = Callable[[bytes], None]

_LENGTHS = {message.A: 4, message.AAAA: 16}
# Seconds between looks whether the host's name servers are others by now.
_LOOKS = 1.0
_MOST_REPEATED = 1024
_MOST_WAYS = 16
# Questions that are longer are not remembered word for word.
_LONGEST_REPEATED = 320


class Resolver:
    """Answers the questions of one container.

    Args:
        loop: for what is asked of others.
        registry: of the container.
        upstreams: whom to ask.
    """

    def __init__(self, loop: Loop, registry: Registry, upstreams: Upstreams) -> None:
        self._registry = registry
        self._upstreams = upstreams
        self._servers: list[Place] = []
        self._next_look = 0.0
        self._turn = 0
        self._answers = Answers()
        self._forwarder = Forwarder(loop, lambda: self._servers)
        self._repeated: dict[bytes, Repeated] = {}

    def close(self) -> None:
        """Give up what is being asked."""
        self._forwarder.close()

    def answer_again(self, data: bytes) -> bytes | None:
        """The answer to a datagram that was asked before; None when it is to be read (``answer``)."""
        now = self._look()
        repeated = self._repeated.get(data[2:])
        if repeated is None:
            return None
        found = repeated.at(now)
        if found is None:
            del self._repeated[data[2:]]
            return None
        return data[:2] + found

    def answer(self, data: bytes, say: Say, *, tcp: bool = False) -> bool:
        """Answer a message, at once or when somebody has told; whether it has an answer at all.

        Args:
            data: the message, without the length that it has over TCP.
            say: called once.
            tcp: it came by a stream.
        """
        try:
            query = message.read_query(data)
        except message.Malformed:
            say(message.refusal(data, message.FORMERR))
            return True
        if query is None:
            return False
        if query.opcode:
            say(message.refusal(data, message.NOTIMP))
            return True
        if query.version:
            say(message.answer(query, message.BADVERS, own=False))
            return True
        if tcp:
            self._look()
        records = self._own(query)
        if records is None:
            self._ask(query, data, say, tcp=tcp)
        else:
            self._say_own(query, records, data, say, tcp=tcp)
        return True

    # what is ours

    def _own(self, query: Query) -> list[tuple[int, bytes]] | None:
        """The records of a name that is on the container's networks; None for one that is not."""
        if query.dns_class not in {message.IN, message.ANY}:
            return None
        packed = self._registry.addresses(query.name)
        if packed is not None:
            wanted = _LENGTHS if query.kind == message.ANY else {query.kind: _LENGTHS.get(query.kind, 0)}
            return [(kind, each) for kind, length in wanted.items() for each in of_length(packed, length)]
        names = self._registry.pointers(query.name)
        if names is not None:
            return [(message.PTR, name) for name in names] if query.kind in {message.PTR, message.ANY} else []
        return None

    def _say_own(self, query: Query, records: list[tuple[int, bytes]], data: bytes, say: Say, *, tcp: bool) -> None:
        """Each time another address is the first, so that what has several gets its clients in turn."""
        limit = message.LONGEST if tcp else query.limit
        turns = range(min(max(1, len(records)), _MOST_WAYS))
        ways = [message.answer(query, message.NOERROR, records[n:] + records[:n], limit=limit)[2:] for n in turns]
        self._turn += 1
        repeated = Repeated(ways, self._turn)
        if not tcp:
            self._repeat(data, repeated)
        say(query.identifier + (repeated.at(0) or b""))

    # what others know

    def _ask(self, query: Query, data: bytes, say: Say, *, tcp: bool) -> None:
        asked = message.passed_on(query)
        # A stream has more room than a datagram.
        key = (b"t" if tcp else b"u") + message.passed_on(query, spelt=False)
        now = time.monotonic()
        kept = self._answers.get(key, now)
        if kept is not None and (found := kept.at(now)) is not None:
            if not tcp:
                self._repeat(data, Repeated(kept=kept, question=query.question))
            say(query.identifier + respelt(found, query.question))
            return

        def done(answer: bytes | None) -> None:
            if answer is None:
                answer = message.answer(query, message.SERVFAIL, own=False)
            elif not tcp and len(answer) > query.limit:
                answer = message.cut_off(query)
            self._answers.keep(key, answer, time.monotonic())
            say(query.identifier + respelt(answer, query.question))

        self._forwarder.ask(asked, done, tcp=tcp)

    # what has changed

    def _look(self) -> float:
        """Take notice of what has changed; the time."""
        now = time.monotonic()
        changed = self._registry.look()
        if changed:
            self._repeated.clear()
        if changed or now >= self._next_look:
            self._next_look = now + _LOOKS
            self._look_at_servers()
        return now

    def _look_at_servers(self) -> None:
        self._upstreams.look(time.monotonic_ns())
        servers = self._upstreams.servers(self._registry.told)
        if servers != self._servers:
            self._servers = servers
            self._answers.clear()
            self._repeated.clear()

    def _repeat(self, data: bytes, repeated: Repeated) -> None:
        if len(data) > _LONGEST_REPEATED:
            return
        if len(self._repeated) >= _MOST_REPEATED:
            del self._repeated[next(iter(self._repeated))]
        self._repeated[data[2:]] = repeated
