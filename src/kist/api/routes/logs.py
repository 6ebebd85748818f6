"""``/containers/{id}/logs``: what a container printed, once or for as long as it runs (Engine API, ContainerLogs).

Beside Docker's parameters: ``grep`` (a regular expression that a line must hold), ``ignorecase`` for it, and ``joined``
(frames may hold many lines each).
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

from kist.api.access import Access
from kist.api.call import Call
from kist.api.hijack import stream_type
from kist.api.http import StreamResponse
from kist.api.logstream import LogStream, read_form, read_query
from kist.api.routing import Route

_CHUNK = 64 << 10
_SECOND = 1_000_000_000


async def logs(call: Call) -> StreamResponse:
    """The lines that the query asks for; with ``follow`` also those to come, until the container has ended."""
    query, form = read_query(call), read_form(call)
    container = await call.run(call.engine.container, call.fields["id"])
    tty = container.options.tty
    log = await call.run(call.engine.open_log, container.id, query)
    with contextlib.closing(log):
        stream = LogStream(call, log, form, tty=tty)
        # The follower is there before the first reading, so no line falls between the two.
        follower = await call.run_long(call.engine.open_follow, container.id) if form.follow else None
        with contextlib.closing(follower) if follower else contextlib.nullcontext():
            response = await call.stream(stream_type(call, tty=tty))
            await _copy(stream.read(), response)
            if follower:
                follower.setblocking(False)
                while await _grown(call, follower, query.until):
                    await _copy(stream.read(), response)
                await _copy(stream.read(), response)
            await _copy(stream.rest(), response)
    return response


async def _copy(batches: AsyncIterator[bytes], response: StreamResponse) -> None:
    async for batch in batches:
        await response.write(batch)


async def _grown(call: Call, follower: socket.socket, until: int) -> bool:
    """Wait for more; False when there will be no more: the container has ended, or the time is up."""
    seconds = max(0.0, (until - time.time_ns()) / _SECOND) if until else None
    try:
        async with asyncio.timeout(seconds):
            return bool(await call.loop.sock_recv(follower, _CHUNK))
    except TimeoutError:
        return False


ROUTES = (Route("GET", "/containers/{id}/logs", logs, Access.THEIRS),)
