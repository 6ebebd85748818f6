"""What builds have of their clients and from before: ``/kist/build/session``, and cache mounts out and in.

A session is the connection by which a client gives a build what it has, with further ones for each thing.

Query parameters: ``id``, 64 hexadecimal digits that the client chooses for a new session and tells nobody but the
builds of it; with ``channel``, a connection for a stream that the session has asked for.
"""

import re
import socket
from functools import partial

from kist.api.access import Access
from kist.api.bodies import with_download, with_upload
from kist.api.build_sessions import BuildSession
from kist.api.call import Call
from kist.api.hijack import hijack, is_upgrade
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput
from kist.spec.docker.frames import RAW_STREAM

_IDENTITY = re.compile("[0-9a-f]{64}")


async def build_session(call: Call) -> StreamResponse:
    """Begin a session, or connect for one of its streams."""
    identity, channel = call.text("id"), call.integer("channel")
    if not _IDENTITY.fullmatch(identity):
        raise InvalidInput("a build session has an id of 64 hexadecimal digits", hint="choose one at random")
    if not is_upgrade(call.request):
        raise InvalidInput("a build session is an upgraded connection", hint="Connection: Upgrade, Upgrade: tcp")
    told = await call.json(required=channel is None)
    if channel is not None:
        stream = call.api.build_sessions.find(call.uid, identity).take(channel)
        return await hijack(call, stream, RAW_STREAM, forward=True)
    ours, theirs = socket.socketpair()
    try:
        session = BuildSession(call.loop, told, ours)
        call.api.build_sessions.add(call.uid, identity, session)
    except BaseException:
        ours.close()
        theirs.close()
        raise
    call.api.track(call.loop.create_task(_run(call, identity, session)))
    return await hijack(call, theirs, RAW_STREAM, forward=True)


async def _run(call: Call, identity: str, session: BuildSession) -> None:
    uid = call.uid
    try:
        await session.run()
    finally:
        session.end()
        call.api.build_sessions.remove(uid, identity)


async def export_cache(call: Call) -> StreamResponse:
    """The tar of a cache mount, whose ``id`` the query has."""
    from kist.engine import build_caches  # noqa: PLC0415 - archives, for the few who move caches

    export = partial(build_caches.export, call.engine.store, call.engine.catalogue.scope, call.text("id"))
    return await with_download(call, "application/x-tar", export)


async def import_cache(call: Call) -> StreamResponse:
    """Put a tar into a cache mount, whose ``id`` the query has."""
    from kist.engine import build_caches  # noqa: PLC0415 - as above

    if not call.text("id"):
        raise InvalidInput("a cache has a name", hint="id is that of RUN --mount=type=cache,id=…")
    await with_upload(
        call, partial(build_caches.import_, call.engine.store, call.engine.catalogue.scope, call.text("id"))
    )
    return call.done()


ROUTES = (
    Route("POST", "/kist/build/session", build_session, Access.CHECKED),
    Route("GET", "/kist/build/cache/export", export_cache, Access.OWNER),
    Route("POST", "/kist/build/cache/import", import_cache, Access.OWNER),
)
