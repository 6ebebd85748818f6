"""Containers from create to remove (Engine API, tag Container), but for their streams."""

import contextlib
import time
from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import Conflict, Forbidden, InvalidInput, KistError, NotFound, Unsupported
from kist.spec.container import Container, ContainerOptions
from kist.spec.docker.containers import write_inspect, write_summaries
from kist.spec.docker.create import read_create
from kist.spec.docker.filters import Filters, Resolved, descendants, match_container, read_container_filters
from kist.spec.docker.history.bodies import container_create
from kist.spec.docker.usage import write_sizes

if TYPE_CHECKING:
    from kist.engine import Engine

_MAX_SIDE = 0xFFFF
# As in Docker: so long is null or {} with a few blanks; the shortest body that asks for something is longer.
_EMPTY_BODY = 7


async def list_containers(call: Call) -> StreamResponse:
    """The containers that pass the filters, youngest first."""
    filters = read_container_filters(call.text("filters"))
    limit = call.integer("limit") or 0
    everything = call.flag("all") or limit > 0 or "status" in filters or "exited" in filters
    found = await call.run(_select, call.engine, filters, everything=everything)
    found = found[:limit] if limit > 0 else found
    if call.wants_values:
        return call.reply_value(found)
    now = time.time_ns()
    if not call.text("fields") and not call.flag("size"):
        return call.reply_text(call.api.summaries.write(found, now, call.version))
    # Kist's own parameter: a table needs half of the fields, and networks are the longest of the rest.
    only = frozenset(filter(None, call.text("fields").split(",")))
    summaries = write_summaries(found, now, only)
    if call.flag("size"):
        sizes = await call.run_long(lambda: [_sizes(call.engine, container) for container in found])
        summaries = [summary | size for summary, size in zip(summaries, sizes, strict=True)]
    return call.reply(summaries, operation="ContainerList")


def _select(engine: "Engine", filters: Filters, *, everything: bool) -> tuple[Container, ...]:
    resolved = _resolve(engine, filters)
    found = engine.containers(all=everything)  # the youngest first
    return tuple(each for each in found if match_container(each, filters, resolved)) if filters else found


def _resolve(engine: "Engine", filters: Filters) -> Resolved:
    ancestors = None
    if "ancestor" in filters:
        ancestors = descendants(engine.images(), [engine.image(name).id for name in filters["ancestor"]])
    before = [engine.container(name).created_at for name in filters.get("before", ())]
    since = [engine.container(name).created_at for name in filters.get("since", ())]
    return Resolved(ancestors, min(before, default=None), max(since, default=None))


async def create(call: Call) -> StreamResponse:
    """Make a container."""
    body, told = container_create(call.version, await call.json())
    options = read_create(body, call.text("name"), call.text("platform"))
    container, warnings = await call.run(_create, call.engine, options)
    call.noted.made(container.id, container.name)
    return call.reply({"Id": container.id, "Warnings": [*warnings, *told]}, 201)


def _create(engine: "Engine", options: ContainerOptions) -> tuple[Container, tuple[str, ...]]:
    """Both in one go: from thread to thread takes longer than to look for warnings."""
    return engine.create(options), engine.warnings(options)


async def inspect(call: Call) -> StreamResponse:
    """The whole of a container."""
    container = await call.run(call.engine.container, call.fields["id"])
    if call.wants_values:
        return call.reply_value(container)
    sizes = await call.run_long(_sizes, call.engine, container) if call.flag("size") else {}
    written = write_inspect(container, driver=call.engine.store.snapshots.driver)
    return call.reply(written | sizes, operation="ContainerInspect")


def _sizes(engine: "Engine", container: Container) -> dict[str, int]:
    return write_sizes(engine.usage.of_container(container))


async def start(call: Call) -> StreamResponse:
    """Start a container; 304 when it runs already."""
    length = call.request.content_length
    if call.request.body_exists and (length is None or length > _EMPTY_BODY):
        raise InvalidInput(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    if call.text("checkpoint"):
        raise Unsupported("checkpoints are not supported yet")
    changed = await call.run_long(_start, call.engine, call.fields["id"])
    return call.done(204 if changed else 304)


def _start(engine: "Engine", name: str) -> bool:
    try:
        return engine.ensure_started(name)
    except KistError:
        # As in Docker: a container that is to go when it ends goes when it cannot begin, and its waiters are told.
        with contextlib.suppress(NotFound, Forbidden, InvalidInput, Conflict):
            container = engine.container(name)
            if container.options.auto_remove and not container.state.running:
                engine.remove(container, force=True)
        raise


async def stop(call: Call) -> StreamResponse:
    """Stop a container; 304 when it does not run."""
    changed = await call.run_long(_stop, call.engine, call.fields["id"], call.integer("t"), call.text("signal"))
    return call.done(204 if changed else 304)


def _stop(engine: "Engine", name: str, timeout: int | None, signal: str) -> bool:
    container = engine.container(name)
    if not container.state.running:
        return False
    engine.stop(container, timeout=timeout, signal=signal)
    return True


async def restart(call: Call) -> StreamResponse:
    """Stop a container if it runs, and start it."""
    timeout, signal = call.integer("t"), call.text("signal")
    await call.run_long(lambda: call.engine.restart(call.fields["id"], timeout=timeout, signal=signal))
    return call.done()


async def kill(call: Call) -> StreamResponse:
    """Send a signal."""
    name = call.fields["id"]
    try:
        await call.run_long(call.engine.kill, name, call.text("signal") or "KILL")
    except NotFound as error:
        raise NotFound(f"cannot kill container: {name}: {error}", hint=error.hint) from error
    return call.done()


async def remove(call: Call) -> StreamResponse:
    """Remove a container."""
    if call.flag("link"):
        raise Unsupported("a link alone cannot be removed", hint="remove the container that has it, and make it anew")
    if call.flag("dry-run"):  # Kist's own: what would go
        gone = await call.run_long(call.engine.removal, call.fields["id"], force=call.flag("force"))
        if call.wants_values:
            return call.reply_value(gone)
        return call.reply({"Id": gone.container.id, "Name": f"/{gone.container.name}"} | write_sizes(gone))
    await call.run_long(call.engine.remove, call.fields["id"], force=call.flag("force"), volumes=call.flag("v"))
    return call.done()


async def rename(call: Call) -> StreamResponse:
    """Give a container another name."""
    try:
        await call.run(call.engine.rename, call.fields["id"], call.text("name"))
    except Conflict as error:
        raise Conflict(f"Error when allocating new name: {error}", hint=error.hint) from error
    return call.done()


async def resize(call: Call) -> StreamResponse:
    """Tell a container's terminal its size."""
    height, width = read_size(call)
    await call.run_long(call.engine.resize, call.fields["id"], height, width)
    return call.done(200)


def read_size(call: Call) -> tuple[int, int]:
    """The parameters ``h`` and ``w``.

    Raises:
        InvalidInput: one is absent, or no size that a terminal can have.
    """
    size = call.integer("h"), call.integer("w")
    height, width = size
    if height is None or width is None or not (0 <= height <= _MAX_SIDE and 0 <= width <= _MAX_SIDE):
        raise InvalidInput("invalid size of the terminal", hint=f"h and w are numbers from 0 to {_MAX_SIDE}")
    return height, width


ROUTES = (
    Route("GET", "/containers/json", list_containers, Access.CHECKED),
    Route("POST", "/containers/create", create, Access.CHECKED),
    Route("GET", "/containers/{id}/json", inspect, Access.THEIRS),
    Route("POST", "/containers/{id}/start", start, Access.THEIRS),
    Route("POST", "/containers/{id}/stop", stop, Access.THEIRS),
    Route("POST", "/containers/{id}/restart", restart, Access.THEIRS),
    Route("POST", "/containers/{id}/kill", kill, Access.THEIRS),
    Route("POST", "/containers/{id}/resize", resize, Access.THEIRS),
    Route("POST", "/containers/{id}/rename", rename, Access.THEIRS),
    Route("DELETE", "/containers/{id}", remove, Access.THEIRS),
)
