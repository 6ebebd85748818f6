"""``POST /build``: the classic builder's request (Engine API, ImageBuild), and its short cut on one machine."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from kist.api.access import Access
from kist.api.bodies import with_upload
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.jobs import Emit, stream_job
from kist.api.routing import Route
from kist.errors import Conflict, Forbidden
from kist.spec.build import BuildOptions
from kist.spec.docker.builds import read_build
from kist.spec.docker.progress import write_build_event
from kist.spec.progress import Event, Finished

if TYPE_CHECKING:
    from kist.engine import Engine


async def build(call: Call) -> StreamResponse:
    """Build an image from a context that comes as a tar archive, compressed or not."""
    options = read_build(call.text, call.values)

    async def work(emit: Emit) -> Finished:
        return await with_upload(call, partial(_build, call.engine, options, emit))

    return await stream_job(call, work, _write_quietly if call.flag("q") else write_build_event)


async def build_here(call: Call) -> StreamResponse:
    """Build a directory of this machine as it stands: nothing is packed, sent and unpacked.

    Query parameters: those of ``/build``, and ``context``, ``device``, ``inode``: the directory's path, and what the
    caller's stat(2) tells of it. A caller who sees another directory there (from inside a container, say) gets a 409
    and sends the context instead.
    """
    options = read_build(call.text, call.values)
    directory = await call.run(_same_directory, call)

    async def work(emit: Emit) -> Finished:
        return await call.run_long(_build_here, call.engine, directory, options, emit)

    return await stream_job(call, work, _write_quietly if call.flag("q") else write_build_event)


def _same_directory(call: Call) -> str:
    if not call.is_owners:
        raise Forbidden("only the engine's own user may name a directory", hint="send the build context")
    directory = call.text("context")
    seen = (call.integer("device"), call.integer("inode"))
    try:
        status = os.stat(directory)
    except OSError as error:
        raise Conflict(f"the engine does not see the directory {directory!r}") from error
    if not os.path.isabs(directory) or (status.st_dev, status.st_ino) != seen:
        raise Conflict(f"the engine sees another directory at {directory!r}")
    return directory


def _build_here(engine: "Engine", directory: str, options: BuildOptions, emit: Emit) -> Finished:
    from kist.build import build as run_build  # noqa: PLC0415 - a build's modules are loaded by the first build

    image = run_build(engine, directory, options, emit)
    return Finished(str(image.id), image.references)


def _build(engine: "Engine", options: BuildOptions, emit: Emit, body: BinaryIO) -> Finished:
    """Runs in a thread from the first byte of the context to the image, so that its directory has one owner."""
    from kist.build import build as run_build  # noqa: PLC0415 - a build's modules are loaded by the first build
    from kist.build.upload import receive_context  # noqa: PLC0415 - see above

    engine.catalogue.check(options)
    with engine.store.temporary() as directory:
        receive_context(body, directory)
        image = run_build(engine, directory, options, emit)
    return Finished(str(image.id), image.references)


def _write_quietly(event: Event) -> list[dict[str, Any]]:
    """With ``q`` only the id, as text, or the error."""
    if isinstance(event, Finished):
        return [{"stream": f"{event.image_id}\n"}]
    return [line for line in write_build_event(event) if "error" in line]


ROUTES = (Route("POST", "/build", build, Access.CHECKED), Route("POST", "/kist/build", build_here, Access.OWNER))
