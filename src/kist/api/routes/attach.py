"""Attach and wait: the streams of a container (Engine API, ContainerAttach and ContainerWait)."""

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from aiohttp.web_response import StreamResponse

from kist.api.call import Call
from kist.api.hijack import hijack, stream_type
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
    tty, stream = await call.run(_open, call.engine, call.fields["id"], wanted, logs=call.flag("logs"))
    return await hijack(call, stream, stream_type(call, tty=tty), forward=wanted["stdin"])


def _open(engine: "Engine", name: str, wanted: dict[str, bool], *, logs: bool) -> tuple[bool, socket.socket]:
    container = engine.container(name)
    stream = engine.open_attach(
        container.id, stdin=wanted["stdin"], stdout=wanted["stdout"], stderr=wanted["stderr"], logs=logs
    )
    return container.options.tty, stream


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
    Route("POST", "/containers/{id}/attach", attach),
    Route("GET", "/containers/{id}/attach/ws", attach_websocket),
    Route("POST", "/containers/{id}/wait", wait),
)
