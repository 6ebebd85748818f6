"""Attach and wait: the streams of a container (Engine API, ContainerAttach and ContainerWait)."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.api.call import Call
from kist.api.hijack import hijack, stream_type
from kist.api.http import StreamResponse
from kist.api.logstream import LogForm, LogStream
from kist.api.routing import Route
from kist.errors import InvalidInput, Unsupported
from kist.spec.logs import LogQuery

if TYPE_CHECKING:
    from kist.engine import Engine
    from kist.engine.logs import OpenLog
    from kist.engine.watcher import Condition

_CONDITIONS: tuple["Condition", ...] = ("not-running", "next-exit", "removed")
_CHUNK = 4096


async def attach(call: Call) -> StreamResponse:
    """Join the connection with a container's input and output."""
    if not call.flag("stream"):
        return await _replay(call)
    wanted = {name: call.flag(name) for name in ("stdin", "stdout", "stderr")}
    await call.body()
    if call.flag("logs") and (wanted["stdout"] or wanted["stderr"]):
        return await _attach_after_log(call, wanted)
    tty, stream = await call.run(_open, call.engine, call.fields["id"], wanted)
    return await hijack(call, stream, stream_type(call, tty=tty), forward=wanted["stdin"])


def _open(engine: "Engine", name: str, wanted: dict[str, bool]) -> tuple[bool, socket.socket]:
    container = engine.container(name)
    return container.options.tty, engine.open_attach(container.id, **wanted)


async def _attach_after_log(call: Call, wanted: dict[str, bool]) -> StreamResponse:
    """What was printed so far, and then the stream: it begins exactly where the log ends."""
    container = await call.run(call.engine.container, call.fields["id"])
    tty = container.options.tty
    log = await call.run(call.engine.open_log, container.id, LogQuery(stdout=wanted["stdout"], stderr=wanted["stderr"]))
    try:
        stream, place = await call.run(call.engine.open_attach_after_log, container.id, **wanted)
    except BaseException:
        log.close()
        raise
    before = _log_until(LogStream(call, log, LogForm(), tty=tty), log, place)
    return await hijack(call, stream, stream_type(call, tty=tty), forward=wanted["stdin"], before=before)


async def _log_until(stream: LogStream, log: "OpenLog", place: tuple[int, int]) -> AsyncIterator[bytes]:
    with contextlib.closing(log):
        async for batch in stream.read_until(place):
            yield batch


async def _replay(call: Call) -> StreamResponse:
    """Without ``stream`` only the log so far, over the same kind of connection."""
    await call.body()
    container = await call.run(call.engine.container, call.fields["id"])
    query = LogQuery(stdout=call.flag("stdout"), stderr=call.flag("stderr"))
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    if call.flag("logs") and (query.stdout or query.stderr):
        log = await call.run(call.engine.open_log, container.id, query)
        stream = LogStream(call, log, LogForm(), tty=container.options.tty)
        call.api.track(call.loop.create_task(_pour(stream, log, theirs)))
    else:
        theirs.close()
    return await hijack(call, ours, stream_type(call, tty=container.options.tty), forward=False)


async def _pour(stream: LogStream, log: "OpenLog", target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.closing(log), contextlib.closing(target), contextlib.suppress(ConnectionError):  # the client went
        async for batch in stream.read():
            await loop.sock_sendall(target, batch)


async def wait(call: Call) -> StreamResponse:
    """Answer at once with the headers, so that the client knows that it waits, and with the exit code in time."""
    text = call.text("condition") or "not-running"
    condition = next((known for known in _CONDITIONS if known == text), None)
    if condition is None:
        raise InvalidInput(f'invalid condition: "{text}"', hint="a condition is " + ", ".join(_CONDITIONS))
    ended = await call.run(call.engine.open_wait, call.fields["id"], condition)
    with contextlib.closing(ended):
        ended.setblocking(False)
        response = await call.stream("application/json")
        while data := await call.loop.sock_recv(ended, _CHUNK):
            await response.write(data)
    return response


async def attach_websocket(_call: Call) -> StreamResponse:
    """Not done yet."""
    raise Unsupported("attaching through a websocket is not supported yet", hint="use POST /containers/{id}/attach")


ROUTES = (
    Route("POST", "/containers/{id}/attach", attach, Access.THEIRS),
    Route("GET", "/containers/{id}/attach/ws", attach_websocket, Access.THEIRS),
    Route("POST", "/containers/{id}/wait", wait, Access.THEIRS),
)
