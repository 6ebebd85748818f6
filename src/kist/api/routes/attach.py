"""Attach and wait: the streams of a container (Engine API, ContainerAttach and ContainerWait)."""

import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kist.api import websocket
from kist.api.access import Access
from kist.api.call import Call
from kist.api.hijack import hijack, keys_of, stream_type
from kist.api.http import StreamResponse
from kist.api.logstream import LogForm, LogStream, Replay
from kist.api.routing import Route
from kist.api.session import Leaving
from kist.errors import InvalidInput
from kist.spec.container import Container
from kist.spec.json import decode, encode
from kist.spec.logs import LogQuery

if TYPE_CHECKING:
    from kist.engine import Engine
    from kist.engine.watcher import Condition

_CONDITIONS: tuple["Condition", ...] = ("not-running", "next-exit", "removed")
_CHUNK = 4096
_STREAMS = ("stdin", "stdout", "stderr")


class _Joined(NamedTuple):
    """A container's streams: the engine's socket, what was printed before, and how a client detaches."""

    container: Container
    engine: socket.socket
    before: Replay | None
    leaving: Leaving | None


async def attach(call: Call) -> StreamResponse:
    """Join the connection with a container's input and output."""
    wanted = {name: call.flag(name) for name in _STREAMS}
    await call.body()
    joined = await _join(call, wanted, raw=False)
    return await hijack(
        call,
        joined.engine,
        stream_type(call, tty=joined.container.options.tty),
        forward=wanted["stdin"] and call.flag("stream"),
        before=joined.before,
        leaving=joined.leaving,
    )


async def attach_websocket(call: Call) -> StreamResponse:
    """The same over a websocket. Before API 1.42 it had all three streams, whatever was asked for."""
    refused = websocket.refusal(call.request)
    if refused is not None:
        return refused
    wanted = {name: not call.follows("a websocket's streams are chosen") or call.flag(name) for name in _STREAMS}
    joined = await _join(call, wanted, raw=True)
    options = joined.container.options
    forward = wanted["stdin"] and call.flag("stream") and options.open_stdin
    manner = websocket.Manner(
        framed=not options.tty,
        text=not call.follows("a websocket's frames are binary"),
        forward=forward,
        ends_input=forward and options.stdin_once and not options.tty,
    )
    return await websocket.serve(call, joined.engine, manner, before=joined.before, leaving=joined.leaving)


async def _join(call: Call, wanted: dict[str, bool], *, raw: bool) -> _Joined:
    """Open what a client asks for: with ``logs`` what was printed so far, with ``stream`` what comes from then on.

    Args:
        call: the request.
        wanted: which streams.
        raw: what was printed before is written without frames, too, where the container has no terminal.
    """
    keys = keys_of(call, call.text("detachKeys"))
    with_log = call.flag("logs") and (wanted["stdout"] or wanted["stderr"])
    if with_log:
        container = await call.run(call.engine.container, call.fields["id"])
        engine, before = await _open_with_log(call, container, wanted, raw=raw or container.options.tty)
    elif call.flag("stream"):
        container, engine = await call.run_long(_open, call.engine, call.fields["id"], wanted)
        before = None
    else:
        container, before = await call.run(call.engine.container, call.fields["id"]), None
        engine = _ended()
    leaving = None
    if container.options.tty and wanted["stdin"]:
        leaving = Leaving(keys, partial(call.run, call.engine.note_detached, container))
    return _Joined(container, engine, before, leaving)


def _open(engine: "Engine", name: str, wanted: dict[str, bool]) -> tuple[Container, socket.socket]:
    container = engine.container(name)
    return container, engine.open_attach(container.id, **wanted)


async def _open_with_log(
    call: Call, container: Container, wanted: dict[str, bool], *, raw: bool
) -> tuple[socket.socket, Replay]:
    """The log, and the stream, which begins exactly where the log ends."""
    query = LogQuery(stdout=wanted["stdout"], stderr=wanted["stderr"])
    log = await call.run(call.engine.open_log, container.id, query)
    stream = LogStream(call, log, LogForm(), tty=raw)
    if not call.flag("stream"):
        return _ended(), Replay(stream, log)
    try:
        engine, place = await call.run_long(call.engine.open_attach_after_log, container.id, **wanted)
    except BaseException:
        log.close()
        raise
    return engine, Replay(stream, log, place)


def _ended() -> socket.socket:
    """The engine's end of a stream that has nothing to come."""
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


async def wait(call: Call) -> StreamResponse:
    """Answer at once with the headers, so that the client knows that it waits, and with the exit code in time."""
    text = call.text("condition") or "not-running"
    condition = next((known for known in _CONDITIONS if known == text), None)
    if condition is None:
        raise InvalidInput(f'invalid condition: "{text}"', hint="a condition is " + ", ".join(_CONDITIONS))
    ended = await call.run_long(call.engine.open_wait, call.fields["id"], condition)
    with contextlib.closing(ended):
        ended.setblocking(False)
        if not call.follows("a wait answers its headers at once"):
            told = await _hear(call, ended)
            return call.reply(told, operation="ContainerWait")
        response = await call.stream("application/json")
        if told := await _hear(call, ended):
            await response.write(encode(call.told("ContainerWait", told)) + b"\n")
    return response


async def _hear(call: Call, ended: socket.socket) -> dict[str, Any]:
    """What the socket tells; nothing when the engine stops."""
    heard = b""
    while True:
        try:
            data = ended.recv(_CHUNK)  # mostly it has ended, and its answer goes in one piece
        except BlockingIOError:
            data = await call.loop.sock_recv(ended, _CHUNK)
        if not data:
            break
        heard += data
    return decode(heard, dict[str, Any]) if heard else {}


ROUTES = (
    Route("POST", "/containers/{id}/attach", attach, Access.THEIRS),
    Route("GET", "/containers/{id}/attach/ws", attach_websocket, Access.THEIRS),
    Route("POST", "/containers/{id}/wait", wait, Access.THEIRS),
)
