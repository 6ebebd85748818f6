"""``POST /build``: the classic builder's request (Engine API, ImageBuild)."""

from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from aiohttp.web_response import StreamResponse

from kist.api.bodies import with_upload
from kist.api.call import Call
from kist.api.jobs import Emit, stream_job
from kist.api.routing import Route
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


def _build(engine: "Engine", options: BuildOptions, emit: Emit, body: BinaryIO) -> Finished:
    """Runs in a thread from the first byte of the context to the image, so that its directory has one owner."""
    from kist.build import build as run_build  # noqa: PLC0415 - a build's modules are loaded by the first build
    from kist.build.upload import receive_context  # noqa: PLC0415 - see above

    with engine.store.temporary() as directory:
        receive_context(body, directory)
        image = run_build(engine, directory, options, emit)
    return Finished(str(image.id), image.references)


def _write_quietly(event: Event) -> list[dict[str, Any]]:
    """With ``q`` only the id, as text, or the error."""
    if isinstance(event, Finished):
        return [{"stream": f"{event.image_id}\n"}]
    return [line for line in write_build_event(event) if "error" in line]


ROUTES = (Route("POST", "/build", build),)
