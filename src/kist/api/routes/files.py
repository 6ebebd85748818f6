"""Files of containers: archive, export, changes (Engine API, ContainerArchive, ContainerExport, ContainerChanges)."""

from typing import BinaryIO

from kist.api.access import Access
from kist.api.bodies import with_download, with_upload
from kist.api.call import HEADERS, Call
from kist.api.http import Response, StreamResponse
from kist.api.routing import Route
from kist.spec.docker.archive import HEADER, write_path_status

_TAR = "application/x-tar"


async def stat(call: Call) -> StreamResponse:
    """What is at a path, in a header."""
    status = await call.run_long(call.engine.stat_path, call.fields["id"], call.text("path"))
    return Response(headers={**HEADERS, HEADER: write_path_status(status)})


async def get_archive(call: Call) -> StreamResponse:
    """The tar of what is at a path, and the header of ``stat``."""
    path = call.text("path")
    headers: dict[str, str] = {}

    def work(target: BinaryIO) -> None:
        with call.engine.files.open(call.fields["id"]) as view:
            headers[HEADER] = write_path_status(call.engine.files.status(view, path))
            call.engine.files.pack(view, path, target)

    return await with_download(call, _TAR, work, headers)


async def put_archive(call: Call) -> StreamResponse:
    """Unpack a tar into a directory of the container."""
    keep_kinds, as_user = call.flag("noOverwriteDirNonDir"), call.flag("copyUIDGID")

    def work(body: BinaryIO) -> None:
        call.engine.put_archive(call.fields["id"], call.text("path"), body, keep_kinds=keep_kinds, as_user=as_user)

    await with_upload(call, work)
    return call.done(200)


async def export(call: Call) -> StreamResponse:
    """The tar of the container's own files."""
    return await with_download(
        call, "application/octet-stream", lambda target: call.engine.export(call.fields["id"], target)
    )


async def changes(call: Call) -> StreamResponse:
    """What is not as in the image; null when nothing is, as Docker says it."""
    found = await call.run_long(call.engine.changes, call.fields["id"])
    if call.wants_values:
        return call.reply_value(found)
    return call.reply([{"Path": change.path, "Kind": int(change.kind)} for change in found] or None)


ROUTES = (
    Route("HEAD", "/containers/{id}/archive", stat, Access.THEIRS),
    Route("GET", "/containers/{id}/archive", get_archive, Access.THEIRS),
    Route("PUT", "/containers/{id}/archive", put_archive, Access.THEIRS),
    Route("GET", "/containers/{id}/export", export, Access.THEIRS),
    Route("GET", "/containers/{id}/changes", changes, Access.THEIRS),
)
