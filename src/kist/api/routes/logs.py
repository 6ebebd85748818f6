"""``/containers/{id}/logs``: what a container printed, once or for as long as it runs (Engine API, ContainerLogs)."""

import asyncio
import contextlib
import socket
import time

from aiohttp.web_response import StreamResponse

from kist.api.call import Call
from kist.api.hijack import stream_type
from kist.api.logstream import LogReader, read_query
from kist.api.routing import Route

_CHUNK = 64 << 10
_SECOND = 1_000_000_000


async def logs(call: Call) -> StreamResponse:
    """The lines that the query asks for; with ``follow`` also those to come, until the container has ended."""
    query = read_query(call)
    container = await call.run(call.engine.container, call.fields["id"])
    reader = LogReader(call, container.id, query, tty=container.options.tty)
    # The follower is there before the first reading, so no line falls between the two.
    follower = await call.run(call.engine.open_follow, container.id) if query.follow else None
    with contextlib.closing(follower) if follower else contextlib.nullcontext():
        response = await call.stream(stream_type(call, tty=container.options.tty))
        await _copy(reader, response)
        if follower:
            follower.setblocking(False)
            while await _grown(call, follower, query.until):
                await _copy(reader, response)
            await _copy(reader, response)
    return response


async def _copy(reader: LogReader, response: StreamResponse) -> None:
    async for batch in reader.read():
        await response.write(batch)


async def _grown(call: Call, follower: socket.socket, until: int) -> bool:
    """Wait for more; False when there will be no more: the container has ended, or the time is up."""
    seconds = max(0.0, (until - time.time_ns()) / _SECOND) if until else None
    try:
        async with asyncio.timeout(seconds):
            return bool(await call.loop.sock_recv(follower, _CHUNK))
    except TimeoutError:
        return False


ROUTES = (Route("GET", "/containers/{id}/logs", logs),)
