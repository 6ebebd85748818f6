"""Build sessions: what a build gets of its client while it goes on (``kist.client.session`` has the words on the line).

A session is its caller's: nobody else finds it. It ends with its connection, and everything that was open with it; a
build that uses it then fails at its next event. Nothing of what goes over its streams is kept or written here.
"""

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import json as msgspec_json

from kist.errors import Conflict, InvalidInput, KistError, NotFound, Unavailable, by_name
from kist.spec.json import encode
from kist.spec.provision import NOTHING, Kind, Provision

_SECONDS = 60.0
_LONGEST_LINE = 1 << 16
_READ = 1 << 14
_LARGEST_SIZE = 1 << 16
_MOST_NAMES, _LONGEST_NAME = 1000, 1000
_GONE = "cancelled: the client that the build gets secrets and files from has gone"


class BuildSession:
    """One session; used in the event loop but for ``open`` and ``check``, which are a build's.

    Args:
        loop: the event loop.
        told: what the client gives: names of ``secrets``, ``agents`` and ``contexts``, and whether it has a terminal.
        line: our end of the client's connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, told: Mapping[str, Any], line: socket.socket) -> None:
        self.secrets, self.agents, self.contexts = (_names(told, name) for name in ("secrets", "agents", "contexts"))
        self.terminal = told.get("terminal") is True
        self._loop = loop
        self._line = line
        self._line.setblocking(False)
        self._last = 0
        self._waiting: dict[int, tuple[socket.socket, concurrent.futures.Future[None]]] = {}
        self._gone = False
        self._size: tuple[int, int] | None = None
        self._listener: Callable[[int, int], None] | None = None
        # Sizes are passed on one at a time, each as it is then: of two threads the later one may be the faster.
        self._passing = threading.Lock()

    # in a build's thread

    def open(self, kind: Kind, name: str) -> socket.socket:
        """A stream of one thing, when the client has connected for it.

        Raises:
            KistError: it cannot be had; the client's own words.
            Unavailable: the client has gone, or does not answer.
        """
        if not self._has(kind, name):
            return NOTHING.open(kind, name)
        ours, theirs = socket.socketpair()
        answered: concurrent.futures.Future[None] = concurrent.futures.Future()
        try:
            self._loop.call_soon_threadsafe(self._ask, kind, name, theirs, answered)
            answered.result(_SECONDS)
        except BaseException as error:
            ours.close()
            if isinstance(error, TimeoutError):
                raise Unavailable(f"the client does not give the build the {kind} {name}") from None
            raise
        return ours

    def _has(self, kind: Kind, name: str) -> bool:
        if kind == "shell":
            return self.terminal
        return name in {"secret": self.secrets, "ssh": self.agents, "context": self.contexts}[kind]

    def watch_size(self, listener: Callable[[int, int], None] | None) -> None:
        """Have the terminal's height and width told."""
        self._listener = listener
        self._loop.call_soon_threadsafe(self._tell_size)

    def check(self) -> None:
        """Raise ``Unavailable`` where the client has gone."""
        if self._gone:
            raise Unavailable(_GONE)

    def _pass_size_on(self) -> None:
        with self._passing:
            listener, size = self._listener, self._size
            if listener is not None and size is not None:
                listener(*size)

    # in the event loop

    def _tell_size(self) -> None:
        if self._listener is not None and self._size is not None:
            self._loop.run_in_executor(None, self._pass_size_on)

    def _ask(self, kind: Kind, name: str, stream: socket.socket, answered: "concurrent.futures.Future[None]") -> None:
        self._last += 1
        self._waiting[self._last] = (stream, answered)
        if self._gone:
            self._refuse(self._last, Unavailable(_GONE))
            return
        try:
            self._line.send(encode({"open": self._last, "kind": kind, "name": name}) + b"\n")
        except OSError:  # it has gone; or it reads nothing, and then it cannot be waited for
            self.end()

    def take(self, channel: int) -> socket.socket:
        """The end of a stream that a client has connected for.

        Raises:
            NotFound: nobody has asked for that one.
        """
        if channel not in self._waiting:
            raise NotFound(f"no such channel of the build session: {channel}")
        stream, answered = self._waiting.pop(channel)
        answered.set_result(None)
        return stream

    def _refuse(self, channel: int, error: KistError) -> None:
        if channel in self._waiting:
            stream, answered = self._waiting.pop(channel)
            stream.close()
            answered.set_exception(error)

    def end(self) -> None:
        """Let nobody wait for the client any more."""
        self._gone = True
        for channel in tuple(self._waiting):
            self._refuse(channel, Unavailable(_GONE))

    async def run(self) -> None:
        """Hear what the client says, until it ends."""
        text = b""
        with contextlib.suppress(OSError), self._line:
            while data := await self._loop.sock_recv(self._line, _READ):
                *lines, text = (text + data).split(b"\n")
                if len(text) > _LONGEST_LINE or not all(map(self._hear, lines)):
                    break
        self.end()

    def _hear(self, line: bytes) -> bool:
        """Take one line in; whether it goes on."""
        try:
            said = msgspec_json.decode(line, type=dict[str, Any])
            channel = int(said.get("channel", 0))
        except (ValueError, TypeError):  # no JSON: nothing more can be understood
            return False
        if "error" in said:
            made = by_name(str(said["error"]))(str(said.get("message", "")), hint=str(said.get("hint", "")))
            self._refuse(channel, made)
        elif size := _read_size(said.get("size")):
            self._size = size
            self._tell_size()
        return "end" not in said


def _names(told: Mapping[str, Any], key: str) -> frozenset[str]:
    found = told.get(key) or []
    if not isinstance(found, list) or len(found) > _MOST_NAMES or not all(map(_is_name, found)):
        raise InvalidInput(f"invalid {key} of a build session: a list of at most {_MOST_NAMES} names is expected")
    return frozenset(found)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME


class BuildSessions:
    """The sessions of one server, by their callers and the identities that those have chosen."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], BuildSession] = {}

    def add(self, uid: int, identity: str, session: BuildSession) -> None:
        """Let a session be found.

        Raises:
            Conflict: there is one of that identity.
        """
        if (uid, identity) in self._open:
            raise Conflict("there is a build session of that id already")
        self._open[uid, identity] = session

    def remove(self, uid: int, identity: str) -> None:
        """Let it be found no more."""
        del self._open[uid, identity]

    def find(self, uid: int, identity: str) -> BuildSession:
        """A caller's session.

        Raises:
            NotFound: there is none.
        """
        found = self._open.get((uid, identity))
        if found is None:
            raise NotFound("no such build session", hint="it ends with its connection; begin one before the build")
        return found

    def provision(self, uid: int, identity: str) -> Provision:
        """What a build gets: of the session that it names, or nothing."""
        return self.find(uid, identity) if identity else NOTHING


def _read_size(told: Any) -> tuple[int, int] | None:
    """The height and width of a terminal; None where it is nothing of the kind."""
    if not (
        isinstance(told, list) and len(told) == 2 and all(isinstance(n, int) and 0 < n < _LARGEST_SIZE for n in told)
    ):
        return None
    return told[0], told[1]
