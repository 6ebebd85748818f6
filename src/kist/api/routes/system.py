"""``/_ping``, ``/version``, ``/info`` (Engine API, tag System)."""

import os
import platform
import time

from kist.api.access import Access
from kist.api.call import HEADERS, Call
from kist.api.http import Response, StreamResponse
from kist.api.routing import Route
from kist.spec.docker.system import write_info, write_version
from kist.spec.docker.times import write_time

# Builder-Version 1 keeps clients from trying the BuildKit protocol.
_PING_HEADERS = {
    **HEADERS,
    "Builder-Version": "1",
    "Swarm": "inactive",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Content-Type": "text/plain; charset=utf-8",
}


async def ping(_call: Call) -> StreamResponse:
    """Tell the client that the engine is there, and which API it speaks."""
    return Response(body=b"OK", headers=_PING_HEADERS)


async def version(call: Call) -> StreamResponse:
    """Versions of the engine and what it stands on."""
    found = await call.run(call.engine.version)
    return call.answer(found, write_version, operation="SystemVersion")


async def info(call: Call) -> StreamResponse:
    """The machine and the store."""
    found = await call.run_long(call.engine.info)
    if call.wants_values:
        return call.reply_value(found)
    machine = os.uname()
    written = write_info(
        found,
        now=write_time(time.time_ns()),
        hostname=machine.nodename,
        machine=machine.machine,
        operating_system=await call.run(_operating_system),
    )
    return call.reply(written, operation="SystemInfo")


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


ROUTES = (
    Route("GET", "/_ping", ping, Access.ANYBODY),
    Route("GET", "/version", version, Access.ANYBODY),
    Route("GET", "/info", info, Access.ANYBODY),
)
