"""Volumes (Engine API: VolumeList, VolumeCreate, VolumeInspect, VolumeDelete), and Kist's own export and import."""

from kist.api.access import Access
from kist.api.bodies import with_download, with_upload
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.spec.docker.volumes import read_create, read_volume_filters, write_list, write_used, write_volume


async def list_all(call: Call) -> StreamResponse:
    """The volumes that pass the filters."""
    filters = read_volume_filters(call.text("filters"))
    return call.answer(await call.run(call.engine.volumes, filters), write_list, operation="VolumeList")


async def create(call: Call) -> StreamResponse:
    """Make a volume, unless there is one of this name."""
    options = read_create(await call.json(required=False))
    return call.answer(
        await call.run_long(call.engine.create_volume, options), write_volume, status=201, operation="VolumeInspect"
    )


async def inspect(call: Call) -> StreamResponse:
    """One volume."""
    return call.answer(await call.run(call.engine.volume, call.fields["name"]), write_volume, operation="VolumeInspect")


async def remove(call: Call) -> StreamResponse:
    """Remove a volume; with ``dry-run`` (Kist's own parameter) only tell its size."""
    name = call.fields["name"]
    if call.flag("dry-run"):
        return call.answer(await call.run_long(call.engine.volume_removal, name), write_used)
    await call.run_long(call.engine.remove_volume, name, force=call.flag("force"))
    return call.done()


async def export(call: Call) -> StreamResponse:
    """The tar of what is in a volume."""
    name = call.fields["name"]
    return await with_download(call, "application/x-tar", lambda target: call.engine.export_volume(name, target))


async def import_(call: Call) -> StreamResponse:
    """Put what is in a tar into a volume."""
    await with_upload(call, lambda body: call.engine.import_volume(call.fields["name"], body))
    return call.done()


ROUTES = (
    Route("GET", "/volumes", list_all, Access.CHECKED),
    Route("POST", "/volumes/create", create, Access.CHECKED),
    Route("GET", "/volumes/{name}", inspect, Access.CHECKED),
    Route("DELETE", "/volumes/{name}", remove, Access.CHECKED),
    Route("GET", "/kist/volumes/{name}/export", export, Access.CHECKED),
    Route("POST", "/kist/volumes/{name}/import", import_, Access.CHECKED),
)
