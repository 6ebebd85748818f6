"""``POST /build``: the classic builder's request (Engine API, ImageBuild), and its short cut on one machine."""

import os
from binascii import b2a_base64
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import structs

from kist.api.access import Access
from kist.api.bodies import with_upload
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.jobs import Emit, Listener, Work, Write, stream_job
from kist.api.routing import Route
from kist.engine.stop import Stop
from kist.errors import Conflict, Forbidden, InvalidInput, Unsupported
from kist.spec.build import BuildOptions
from kist.spec.credentials import Logins
from kist.spec.docker.build_stream import BuildStream
from kist.spec.docker.builds import read_build
from kist.spec.docker.progress import EVENTS_TYPE
from kist.spec.docker.registries import read_registry_config
from kist.spec.progress import Event, Failed, Finished
from kist.spec.provision import NOTHING, Provision

if TYPE_CHECKING:
    from kist.build import Built
    from kist.engine import Engine

_MOST_HELD = 1000


async def build(call: Call) -> StreamResponse:
    """Build an image from a context that comes as a tar archive, compressed or not, or that ``remote`` names."""
    options = _read(call)
    logins = _logins(call)
    remote = call.text("remote")
    given = call.api.build_sessions.provision(call.uid, call.text("session"))

    async def work(listener: Listener) -> Finished:
        tell = _while_given(listener, given)
        if remote:
            return await call.run_long(_build_remote, call.engine, remote, options, tell, given, logins, listener.stop)
        return await with_upload(call, partial(_build, call.engine, options, tell, given, logins))

    return await _told(call, work)


def _while_given(emit: Emit, given: Provision) -> Emit:
    """Events of a build that ends when the client has gone that gives it what it needs."""

    def tell(event: Event) -> None:
        given.check()
        emit(event)

    return emit if given is NOTHING else tell


def _logins(call: Call) -> Logins:
    """Who asks registries for this build; no longer known than it goes on."""
    return read_registry_config(call.request.headers.get("X-Registry-Config", ""))


def _read(call: Call) -> BuildOptions:
    """The options; what is sent to the caller has a place only among Kist's own events."""
    options = read_build(call.text, call.values)
    sent = [output.type for output in options.outputs if output.sends_data]
    if sent and EVENTS_TYPE not in call.request.headers.get("Accept", ""):
        raise Unsupported(
            f"the output {sent[0]!r} of a build is not supported in Docker's stream",
            hint="the image is kept here; kist save writes it to a file, and kist build -o sends it",
        )
    return options


async def _told(call: Call, work: Work) -> StreamResponse:
    """The answer of a build, which ``buildid`` makes known to ``cancel``."""
    write = _Quiet() if call.flag("q") else BuildStream()
    if not call.follows("a build tells ids"):
        return await stream_job(call, work, partial(_without_ids, write), call.text("buildid"))
    return await stream_job(call, work, write, call.text("buildid"))


def _without_ids(write: Write, event: Event) -> list[dict[str, Any]]:
    return [line for line in write(event) if "aux" not in line]


async def cancel(call: Call) -> StreamResponse:
    """End the caller's build of the ``buildid`` that ``id`` names; one that is over, or never was, needs no end."""
    if not call.text("id"):
        raise InvalidInput("build ID not provided", hint="id is what the build's parameter buildid was")
    call.api.jobs.cancel(call.uid, call.text("id"))
    return call.done(200)


async def build_here(call: Call) -> StreamResponse:
    """Build a directory of this machine as it stands: nothing is packed, sent and unpacked.

    Query parameters: those of ``/build``, and ``context``, ``device``, ``inode``: the directory's path, and what the
    caller's stat(2) tells of it. A caller who sees another directory there (from inside a container, say) gets a 409
    and sends the context instead.
    """
    options = _read(call)
    if not call.is_owners:
        raise Forbidden("only the engine's own user may name a directory", hint="send the build context")
    logins = _logins(call)
    directory, seen = call.text("context"), (call.integer("device"), call.integer("inode"))
    given = call.api.build_sessions.provision(call.uid, call.text("session"))

    async def work(emit: Emit) -> Finished:
        tell = _while_given(emit, given)
        return await call.run_long(_build_here, call.engine, directory, seen, options, tell, given, logins)

    return await _told(call, work)


def _check_same(directory: str, seen: tuple[int | None, int | None]) -> None:
    try:
        status = os.stat(directory)
    except OSError as error:
        raise Conflict(f"the engine does not see the directory {directory!r}") from error
    if not os.path.isabs(directory) or (status.st_dev, status.st_ino) != seen:
        raise Conflict(f"the engine sees another directory at {directory!r}")


def _build_here(
    engine: "Engine",
    directory: str,
    seen: tuple[int | None, int | None],
    options: BuildOptions,
    emit: Emit,
    given: Provision,
    logins: Logins,
) -> Finished:
    from kist.build import carry_out  # noqa: PLC0415 - a build's modules are loaded by the first build

    _check_same(directory, seen)
    built = carry_out(engine, directory, options, emit, given, logins)
    return _finished(built, options)


def _build(
    engine: "Engine", options: BuildOptions, emit: Emit, given: Provision, logins: Logins, body: BinaryIO
) -> Finished:
    """Runs in a thread from the first byte of the context to the image, so that its directory has one owner."""
    from kist.build import carry_out  # noqa: PLC0415 - a build's modules are loaded by the first build
    from kist.build.kept_contexts import received  # noqa: PLC0415 - see above

    engine.catalogue.check(options)
    with received(engine, body, options) as (directory, known):
        built = carry_out(engine, directory, options, emit, given, logins, known=known)
    return _finished(built, options)


def _build_remote(
    engine: "Engine", url: str, options: BuildOptions, emit: Emit, given: Provision, logins: Logins, stop: Stop
) -> Finished:
    """The same of a context that the engine fetches."""
    from kist.build import carry_out  # noqa: PLC0415 - a build's modules are loaded by the first build
    from kist.build.builder_arguments import KEEP_GIT, is_set  # noqa: PLC0415 - see above
    from kist.build.remote import fetch  # noqa: PLC0415 - urllib, for the few who build so

    engine.catalogue.check(options)
    if not engine.catalogue.may_fetch:
        raise Forbidden("only the engine's own user may have it fetch a build context", hint="send the context")
    with engine.store.temporary() as directory:
        keep = is_set(options.build_args, KEEP_GIT)
        fetched = fetch(url, directory, options.dockerfile, stop, keep_git_dir=keep)
        found = structs.replace(options, dockerfile=fetched.dockerfile)
        built = carry_out(engine, fetched.directory, found, emit, given, logins, fetched.moment)
    return _finished(built, options)


async def texts(call: Call) -> StreamResponse:
    """The Dockerfile and the ``.dockerignore`` of a context at a URL (``remote``), by path, in base 64: for checks."""
    return call.reply(
        {
            "texts": await call.run_long(
                _texts, call.engine, call.text("remote"), call.text("dockerfile") or "Dockerfile"
            )
        }
    )


def _texts(engine: "Engine", url: str, dockerfile: str) -> dict[str, str]:
    from kist.build.context import Context  # noqa: PLC0415 - as for a build
    from kist.build.remote import fetch  # noqa: PLC0415 - urllib, for the few who build so

    with engine.store.temporary() as directory:
        context, path, _ = fetch(url, directory, dockerfile, Stop())
        with Context(context, dockerfile=path) as opened:
            return {name: b2a_base64(text, newline=False).decode() for name, text in opened.texts().items()}


def _finished(built: "Built", options: BuildOptions) -> Finished:
    """The end of a build: the names that it has given. Others that the image had before are no news of this one."""
    image = built.image
    if built.kept:
        return Finished(str(image.id), options.references, built.manifest)
    return Finished("", (), built.manifest, image)


class _Quiet:
    """With ``q`` only the id, as text; or what there would have been to read, the last of it, and the error."""

    def __init__(self) -> None:
        self._last: deque[dict[str, Any]] = deque(maxlen=_MOST_HELD)
        self._stream = BuildStream()

    def __call__(self, event: Event) -> list[dict[str, Any]]:
        if isinstance(event, Finished):
            return [{"stream": f"{event.image_id}\n"}] if event.image_id else []
        self._last.extend(self._stream(event))
        return list(self._last) if isinstance(event, Failed) else []


ROUTES = (
    Route("POST", "/build", build, Access.CHECKED),
    Route("POST", "/build/cancel", cancel, Access.CHECKED),
    Route("POST", "/kist/build", build_here, Access.OWNER),
    Route("POST", "/kist/build/texts", texts, Access.OWNER),
)
