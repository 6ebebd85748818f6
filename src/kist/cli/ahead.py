"""A command that is written plainly is executed without most of the program.

``kist exec CONTAINER COMMAND…``, without options, needs no table of them to be understood. Of what is imported at the
top here every module delays the request; so it is written here as bytes, and becomes a ``Wire``'s when it is out.
Where all goes well the answer needs little, too: to read the whole program meanwhile would take a processor from those
who work on it. What does not go well is the verb's to tell, which hears of it as if it had asked itself.

Where the launcher was compiled (``src/launcher/kist.c``) it does all this, and leaves here what does not go well.
"""

import _socket
import os

from kist.client.dial import dial, is_own
from kist.client.endpoint import resolve
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from kist.client.endpoint import Endpoint
    from kist.client.pump import Stream
    from kist.client.wire import Exchange, Wire

# ``body_of`` a command alone, as ``execute`` sends it (a test compares).
_REQUEST = (
    "POST /kist/containers/%s/exec HTTP/1.1\r\nHost: kist\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_BODY = (
    '{"Cmd":[%s],"Tty":false,"AttachStdin":false,"AttachStdout":true,"AttachStderr":true,"Env":[],"User":"",'
    '"WorkingDir":"","Privileged":false}'
)

BEGUN, LOST = "__begun", "__lost"
"""What the launcher puts before its own words: ``__begun DESCRIPTOR`` with a connection on which the answer waits,
``__lost DESCRIPTOR ID`` with one that has ended without the exit code of this exec."""


class Begun:
    """A request that is under way.

    Attributes:
        wire: the engine that was asked.
        execution: what was asked for; it is the verb's to hear the answer, unless ``hear`` has it all.
    """

    __slots__ = ("execution", "wire")

    def __init__(self, wire: "Wire", execution: "Exchange | Heard") -> None:
        self.wire = wire
        self.execution = execution


class Heard:
    """The answer to a request, when it has been heard: its stream and its headers, or what went wrong."""

    __slots__ = ("_answer",)

    def __init__(self, answer: "tuple[Stream, dict[str, str]] | Exception") -> None:
        self._answer = answer

    def stream(self) -> "tuple[Stream, dict[str, str]]":
        """As ``Exchange.stream``."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def begin(argv: "Sequence[str]", environment: "Mapping[str, str]") -> "Begun | None":
    """Ask for what is plain; None for all else, and where no engine is at hand: the verb starts one, or tells why not.

    Args:
        argv: without the program.
        environment: as ``os.environ``.
    """
    if len(argv) < 3 or argv[0] != "exec" or not argv[1] or argv[1].startswith("-"):
        return None
    try:
        endpoint = resolve(environment, os.getuid())
        if not endpoint.socket:
            return None
        connected = dial(endpoint.socket)
    except (KistError, OSError):
        return None
    try:
        if endpoint.roots is not None and not is_own(connected):
            connected.close()
            return None
        connected.sendall(_request(argv[1], argv[2:]))
    except (UnicodeEncodeError, OSError):
        connected.close()
        return None
    return _under_way(endpoint, connected)


def taken_over(argv: "Sequence[str]", environment: "Mapping[str, str]") -> "tuple[Sequence[str], Begun | None]":
    """The words that somebody has written, and what the launcher has begun of them.

    Args:
        argv: without the program.
        environment: as ``os.environ``.

    Returns:
        What was given, and None, where it is not the launcher's.
    """
    how, word, *words = argv
    try:
        connected = _socket.socket(fileno=int(word))
    except (ValueError, OSError):
        return argv, None
    os.set_inheritable(connected.fileno(), False)
    endpoint = resolve(environment, os.getuid())
    if how == BEGUN:
        return words, _under_way(endpoint, connected)
    from kist.client.pump import Stream  # noqa: PLC0415 - for what has not gone well
    from kist.client.wire import Wire  # noqa: PLC0415 - the same

    return words[1:], Begun(Wire(endpoint), Heard((Stream(connected), {"kist-exec": words[0]})))


def _under_way(endpoint: "Endpoint", connected: _socket.socket) -> Begun:
    """A request that has been sent on a connection, whose answer is still to be read."""
    from kist.client.transport import Connection  # noqa: PLC0415 - while the engine is at work
    from kist.client.wire import Exchange, Wire  # noqa: PLC0415 - the same

    wire = Wire(endpoint)
    return Begun(wire, Exchange(wire, Connection(connected=connected.detach()), "POST"))


def hear(begun: Begun) -> "int | None":
    """Pass on what the command prints; its exit code, None where that is not all: the verb goes on from here."""
    from kist.client.frames import STDERR, Demultiplexer  # noqa: PLC0415 - while the engine is at work
    from kist.client.part import write_all  # noqa: PLC0415 - the same

    frames = Demultiplexer()
    try:
        stream, headers = begun.execution.stream()
    except (KistError, OSError) as error:
        begun.execution = Heard(error)
        return None
    try:
        while data := stream.receive():
            for kind, payload in frames.feed(data):
                write_all(2 if kind == STDERR else 1, payload)
            if frames.exit_code is not None:
                stream.close()
                return frames.exit_code & 0xFF
    except OSError as error:
        stream.close()
        begun.execution = Heard(error)
    else:
        begun.execution = Heard((stream, headers))  # which has ended, and the engine is asked how
    return None


def _request(name: str, command: "Sequence[str]") -> bytes:
    """What ``execute`` sends for a command alone.

    Raises:
        UnicodeEncodeError: a word is no Unicode.
    """
    body = (_BODY % ",".join([_quoted(word) for word in command])).encode()
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        from kist.cli.common import quote_name  # noqa: PLC0415 - for what is hardly ever written

        name = quote_name(name)
    return (_REQUEST % (name, len(body))).encode("ascii") + body


def _quoted(word: str) -> str:
    """A JSON string."""
    if word.isascii() and word.isprintable() and '"' not in word and "\\" not in word:
        return f'"{word}"'
    from kist.spec.jsontext import dumps  # noqa: PLC0415 - a shared object to load, for words that need it

    return dumps(word)


def body_of(
    command: "Sequence[str]",
    *,
    tty: bool = False,
    stdin: bool = False,
    attached: bool = True,
    env: "Sequence[str]" = (),
    user: str = "",
    directory: str = "",
    privileged: bool = False,
) -> "dict[str, Any]":
    """The body of ContainerExec."""
    return {
        "Cmd": list(command),
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Env": list(env),
        "User": user,
        "WorkingDir": directory,
        "Privileged": privileged,
    }


def execute(wire: "Wire", name: str, body: "dict[str, Any]") -> "Exchange":
    """Ask for a process that is made, started and attached to by one request (docs/decisions/0034)."""
    from kist.cli.common import container_path  # noqa: PLC0415 - for what is not plain

    return wire.begin_hijack(f"/kist{container_path(name, 'exec')}", value=body)
