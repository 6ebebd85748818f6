"""The build session: a connection beside the build's, over which the engine says what it wants of an offer.

Lines are JSON objects. The engine writes ``{"open": CHANNEL, "kind": KIND, "name": NAME}``; the client connects once
more for it, and the thing is on that connection, as raw bytes; or it writes
``{"channel": CHANNEL, "error": CLASS, "message": TEXT, "hint": TEXT}``, and of a terminal
``{"channel": CHANNEL, "size": [HEIGHT, WIDTH]}`` as often as that changes. ``{"end": true}`` ends it, and so does the
end of the connection, which is the end of a build that uses it.
"""

import os
import threading
from contextlib import suppress
from functools import partial

from kist.errors import KistError, NotFound, Unsupported
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from kist.client.offer import Offer
    from kist.client.pump import Stream
    from kist.client.wire import Wire

_PATH = "/kist/build/session"


class Session:
    """Serves an offer to the builds that name it; a context manager.

    Args:
        wire: the engine.
        offer: which is open.

    Attributes:
        query: the query parameters of a build that is to have it.
    """

    def __init__(self, wire: "Wire", offer: "Offer") -> None:
        self._wire = wire
        self._offer = offer
        self._identity = os.urandom(32).hex()
        self.query = [("session", self._identity)]
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="build-session", daemon=True)

    def __enter__(self) -> "Self":
        """Begin it.

        Raises:
            Unsupported: the engine is none of Kist's.
            KistError: it would not have it.
        """
        try:
            self._line, _ = self._wire.hijack(_PATH, [("id", self._identity)], self._offer.told)
        except NotFound as error:
            raise Unsupported("this engine takes no secrets, agents and contexts for a build from Kist",
                              hint="it is none of Kist's, or an older one") from error  # fmt: skip
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.tell({"end": True})
        self._thread.join()
        self._line.close()

    def tell(self, message: "dict[str, Any]") -> None:
        """Write a line; a session that has ended hears nothing."""
        rest = memoryview(jsontext.dumps(message).encode() + b"\n")
        with self._sending, suppress(BrokenPipeError, OSError):
            while rest:
                rest = rest[self._line.send(rest) :]

    def _tell_of(self, channel: int, height: int, width: int) -> None:
        self.tell({"channel": channel, "size": [height, width]})

    def _serve(self) -> None:
        """Read what is wanted, until the engine has no more."""
        text = b""
        with suppress(OSError):
            while data := self._line.receive():
                *lines, text = (text + data).split(b"\n")
                for line in lines:
                    self._take(jsontext.loads(line))

    def _take(self, wanted: "dict[str, Any]") -> None:
        """Serve one thing, in a thread of its own."""
        threading.Thread(target=self._give, args=(wanted,), name="build-channel", daemon=True).start()

    def _give(self, wanted: "dict[str, Any]") -> None:
        channel = int(wanted["open"])
        try:
            tell = partial(self._tell_of, channel)
            give = self._offer.opener(str(wanted["kind"]), str(wanted["name"]), tell)
            stream, _ = self._wire.hijack(_PATH, [("id", self._identity), ("channel", channel)])
        except KistError as error:
            told = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
            self.tell({"channel": channel, **told})
            return
        _serve_stream(give, stream)


def _serve_stream(give: "Any", stream: "Stream") -> None:
    """Serve it to its end; what goes wrong from here on is the end of the stream."""
    try:
        give(stream)
    except (KistError, OSError):
        return
    finally:
        stream.close()


class Local:
    """The same for an engine in this process: ``kist.spec.provision.Provision`` without a connection."""

    def __init__(self, offer: "Offer") -> None:
        told = offer.told
        self._offer = offer
        self.secrets = frozenset(told["secrets"])
        self.agents = frozenset(told["agents"])
        self.contexts = frozenset(told["contexts"])
        self.terminal = told["terminal"]

    def open(self, kind: str, name: str) -> "Any":
        """A stream of one thing, served by a thread."""
        import socket  # noqa: PLC0415 - Kist's command line has none

        from kist.client.pump import Stream  # noqa: PLC0415 - the same

        give = self._offer.opener(kind, name, lambda _height, _width: None)
        ours, theirs = socket.socketpair()
        stream = Stream(theirs)
        threading.Thread(target=_serve_stream, args=(give, stream), name="build-channel", daemon=True).start()
        return ours

    def watch_size(self, listener: "Callable[[int, int], None] | None") -> None:
        """There is no terminal."""

    def check(self) -> None:
        """This process cannot have gone."""
