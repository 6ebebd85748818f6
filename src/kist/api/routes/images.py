"""Images (Engine API, tag Image), but for the build."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from kist.api.access import Access
from kist.api.bodies import with_download, with_upload
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.jobs import Emit, stream_job
from kist.api.routes.registry import pull
from kist.api.routing import Route
from kist.errors import Forbidden, InvalidInput, Unsupported
from kist.spec.digest import Digest
from kist.spec.docker.filters import Filters, match_image, matching_references, read_image_filters
from kist.spec.docker.images import write_history, write_inspect, write_manifest, write_removed, write_summary
from kist.spec.docker.platforms import read_platform
from kist.spec.docker.progress import write_load_event
from kist.spec.image import ContainerConfig
from kist.spec.platform import Platform
from kist.spec.progress import Finished, StepOutput, StepProgress
from kist.spec.reference import Reference
from kist.spec.summary import Image, LoadedImage

if TYPE_CHECKING:
    from kist.engine import Engine

_TAR = "application/x-tar"
_PARTS = 50


async def list_images(call: Call) -> StreamResponse:
    """The images that pass the filters, youngest first."""
    filters = read_image_filters(call.text("filters"))
    if pattern := call.text("filter"):  # of old: in place of a filter ``reference``
        filters = {"reference": (pattern,), **filters}
    if call.flag("identity") and not call.flag("manifests"):
        raise InvalidInput("conflicting options: identity requires manifests=1")
    found = await call.run(_select, call.engine, filters)
    if call.wants_values:
        return call.reply_value(found)
    shared = await call.run_long(call.engine.usage.shared_of_images) if call.flag("shared-size") else {}
    users = await call.run(_users, call.engine)
    listed = [write_summary(image, len(users[image.id]), shared.get(image.id, -1)) for image in found]
    if call.flag("manifests"):
        identity = call.flag("identity")
        for summary, image in zip(listed, found, strict=True):
            summary["Manifests"] = await call.run(_manifests, call.engine, image, users[image.id], identity=identity)
    return call.reply(listed, operation="ImageList")


def _users(engine: "Engine") -> Mapping[Digest, list[str]]:
    """The ids of the caller's containers, by their images."""
    found: defaultdict[Digest, list[str]] = defaultdict(list)
    for each in engine.containers(all=True):
        found[each.image_id].append(each.id)
    return found


def _manifests(engine: "Engine", image: Image, users: Sequence[str], *, identity: bool = False) -> list[dict[str, Any]]:
    return [write_manifest(image, engine.catalogue.manifest(image), users, identity=identity)]


def _select(engine: "Engine", filters: Filters) -> tuple[Image, ...]:
    before = min((engine.image(name).created_at for name in filters.get("before", ())), default=None)
    since = max((engine.image(name).created_at for name in filters.get("since", ())), default=None)
    now = time.time_ns()
    found = [each for each in engine.images() if match_image(each, filters, now=now, before=before, since=since)]
    if "reference" in filters:  # as Docker: of an image, the names that match
        patterns = filters["reference"]
        found = [msgspec.structs.replace(each, references=matching_references(each, patterns)) for each in found]
    return tuple(sorted(found, key=lambda each: each.created_at, reverse=True))


async def inspect(call: Call) -> StreamResponse:
    """The whole of an image."""
    if call.flag("manifests") and call.text("platform"):
        raise InvalidInput("conflicting options: manifests and platform options cannot both be set")
    driver = call.engine.store.snapshots.driver
    image = await _image(call)
    told: dict[str, Any] = {}
    if call.flag("manifests"):
        users = (await call.run(_users, call.engine))[image.id]
        told["Manifests"] = await call.run(_manifests, call.engine, image, users, identity=True)
    return call.answer(image, lambda found: write_inspect(found, driver=driver) | told, operation="ImageInspect")


async def _image(call: Call) -> Image:
    """The image of the path, which must be for the parameter ``platform`` where that is set."""
    platform = read_platform(call.text("platform"))
    return await call.run(call.engine.catalogue.of_platform, call.fields["name"], platform)


async def history(call: Call) -> StreamResponse:
    """The steps of its making."""
    image = await _image(call)
    if call.wants_values:
        return call.reply_value(image.config.history)
    sizes = await call.run(call.engine.catalogue.layer_sizes, image)
    return call.reply(write_history(image, sizes))


async def tag(call: Call) -> StreamResponse:
    """Give an image one more name."""
    repository = call.text("repo")
    if not repository:
        raise InvalidInput("the parameter repo is empty", hint="repo is the new name, without its tag")
    if repository == "sha256":
        raise InvalidInput("refusing to create an ambiguous tag using digest algorithm as name")
    await call.run(call.engine.tag, call.fields["name"], _named(repository, call.text("tag")))
    return call.done(201)


def _named(repository: str, tag_text: str) -> str:
    return f"{repository}:{tag_text}" if tag_text else repository


async def remove(call: Call) -> StreamResponse:
    """Take a name away, and the image with its last one."""
    if not call.fields["name"].strip():
        raise InvalidInput("image name cannot be blank")
    for platform in (read_platform(text) for text in call.values("platforms")):
        await call.run(call.engine.catalogue.of_platform, call.fields["name"], platform)
    act = call.engine.image_removal if call.flag("dry-run") else call.engine.remove_image
    removed = await call.run_long(act, call.fields["name"], force=call.flag("force"))
    if call.wants_values:
        return call.reply_value(removed)
    told = [{"SpaceReclaimed": removed.size}] if call.flag("dry-run") else []
    return call.reply([*write_removed(removed), *told])


async def save_one(call: Call) -> StreamResponse:
    """One image as an archive."""
    return await _save(call, [call.fields["name"]])


async def save_many(call: Call) -> StreamResponse:
    """Several images in one archive; ``names`` is repeated, or has commas."""
    names = [name for value in call.values("names") for name in value.split(",") if name]
    if not names:
        raise InvalidInput("no image is named", hint="set names, once for each image")
    return await _save(call, names)


async def _save(call: Call, names: list[str]) -> StreamResponse:
    wanted = _platforms(call)
    for name in names:  # before the answer begins
        await call.run(call.engine.catalogue.for_platforms, name, wanted)
    named = [str(each) for each in wanted]
    return await with_download(call, _TAR, lambda target: call.engine.save(names, target, platform=named))


def _platforms(call: Call) -> list[Platform]:
    """The platforms that the parameter ``platform`` names; none for any."""
    values = call.values("platform")
    if len(values) > 1 and not call.follows("several platforms may be named"):
        raise InvalidInput(
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later"
        )
    return [found for text in values if (found := read_platform(text)) is not None]


def _platform(call: Call) -> str:
    """The one platform of a request that brings an image: of several platforms one is kept.

    Raises:
        Unsupported: several are named.
    """
    wanted = _platforms(call)
    if len(wanted) > 1:
        raise Unsupported(
            f"an image is for one platform here, and {len(wanted)} are named",
            hint="load one of them, give it a name of its own, and then the other",
        )
    return str(wanted[0]) if wanted else ""


async def load(call: Call) -> StreamResponse:
    """Keep the images of an archive; how far that is, is told to those who ask for it (``quiet=0``)."""
    platforms = [str(each) for each in _platforms(call)]
    if call.text("quiet") and not call.flag("quiet") and not call.wants_values:  # as dockerd, whatever is the default

        async def work(emit: Emit) -> Finished:
            return await with_upload(call, partial(_load_told, call.engine, platforms, emit))

        return await stream_job(call, work, write_load_event)
    loaded = await with_upload(call, lambda body: call.engine.load_named(body, platform=platforms))
    if call.wants_values:
        return call.reply_value(tuple(each.image for each in loaded))
    return call.reply_lines({"stream": line} for line in _told_of(loaded))


def _told_of(loaded: Sequence[LoadedImage]) -> list[str]:
    """The names that were in the archive; where there was none, ids."""
    names = [Reference.parse(name).familiar for each in loaded for name in each.names]
    return [f"Loaded image: {name}\n" for name in names] or [f"Loaded image ID: {each.image.id}\n" for each in loaded]


def _load_told(engine: "Engine", platforms: Sequence[str], emit: Emit, body: BinaryIO) -> Finished:
    told = ("", 0)

    def tell(diff_id: Digest, done: int, total: int) -> None:
        """So much of a layer was read, which is told in some fifty parts."""
        nonlocal told
        before = told[1] if told[0] == diff_id else 0
        if done != before and (done >= total or done - before >= total // _PARTS):
            told = (diff_id, done)
            emit(StepProgress(diff_id.short, done, total, "bytes"))

    loaded = engine.load_named(body, platform=platforms, tell=tell)
    for line in _told_of(loaded):
        emit(StepOutput("", "stdout", line))
    last = loaded[-1].image if loaded else None
    return Finished(str(last.id), last.references) if last else Finished("")


async def create(call: Call) -> StreamResponse:
    """Import the file tree of a tar archive; with ``fromImage``, pull."""
    if call.text("fromImage"):
        return await pull(call)
    source = call.text("fromSrc")
    if not source:
        raise InvalidInput("neither fromImage nor fromSrc is set", hint="fromSrc is a URL, or - for the request's body")
    config = await call.run(_read_changes, call.values("changes"))
    reference = _named(call.text("repo"), call.text("tag")) if call.text("repo") else ""
    message, platform = call.text("message"), _platform(call)

    def work(body: BinaryIO) -> Image:
        return call.engine.import_image(body, reference, config=config, message=message, platform=platform)

    if source == "-":
        image = await with_upload(call, work)
    elif not call.engine.catalogue.may_fetch:
        raise Forbidden("only the engine's own user may have it fetch what is to be imported", hint="send the archive")
    else:
        message = message or f"Imported from {source}"
        image = await call.run_long(_from_url, call.engine, source, work)
    return call.reply_value(image) if call.wants_values else call.reply_lines([{"status": str(image.id)}])


def _from_url(engine: "Engine", url: str, work: Callable[[BinaryIO], Image]) -> Image:
    from kist.engine.download import open_url  # noqa: PLC0415 - urllib, for the few who import so

    with open_url(url, engine.store.root) as source:
        return work(source)


def _read_changes(changes: list[str]) -> ContainerConfig:
    if not changes:
        return ContainerConfig()
    from kist.build.changes import read_changes  # noqa: PLC0415 - the Dockerfile's language is loaded when it is used

    return read_changes(changes)


ROUTES = (
    Route("GET", "/images/json", list_images, Access.CHECKED),
    Route("GET", "/images/get", save_many, Access.CHECKED),
    Route("POST", "/images/load", load, Access.CHECKED),
    Route("POST", "/images/create", create, Access.CHECKED),
    Route("GET", "/images/{name:*}/json", inspect, Access.CHECKED),
    Route("GET", "/images/{name:*}/history", history, Access.CHECKED),
    Route("GET", "/images/{name:*}/get", save_one, Access.CHECKED),
    Route("POST", "/images/{name:*}/tag", tag, Access.CHECKED),
    Route("DELETE", "/images/{name:*}", remove, Access.CHECKED),
)
