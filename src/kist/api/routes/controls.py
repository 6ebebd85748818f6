"""What is done to containers that run: pause, update, top (Engine API, tag Container)."""

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.spec.docker.resources import read_update


async def pause(call: Call) -> StreamResponse:
    """Stop all its processes where they are."""
    await call.run_long(call.engine.pause, call.fields["id"])
    return call.done()


async def unpause(call: Call) -> StreamResponse:
    """Let them go on."""
    await call.run_long(call.engine.unpause, call.fields["id"])
    return call.done()


async def update(call: Call) -> StreamResponse:
    """Change limits and the restart policy."""
    asked = read_update(await call.json(operation="ContainerUpdate"))
    warnings = await call.run_long(
        call.engine.update, call.fields["id"], asked.changes, asked.restart, emptied=asked.emptied
    )
    return call.reply({"Warnings": list(warnings)})


async def top(call: Call) -> StreamResponse:
    """Its processes, as ps on the host shows them."""
    titles, rows = await call.run_long(call.engine.top, call.fields["id"], call.text("ps_args"))
    return call.reply({"Titles": titles, "Processes": rows})


ROUTES = (
    Route("POST", "/containers/{id}/pause", pause, Access.THEIRS),
    Route("POST", "/containers/{id}/unpause", unpause, Access.THEIRS),
    Route("POST", "/containers/{id}/update", update, Access.THEIRS),
    Route("GET", "/containers/{id}/top", top, Access.THEIRS),
)
