"""What registries are for (Engine API: ImagePush, ImageSearch, ImageAttestations, SystemAuth, DistributionInspect).

Images neither come from a registry nor go to one yet: what can be told without one is told, the rest is refused in
words that clients show.
"""

from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.docker.platforms import read_platform
from kist.spec.docker.registries import Named, check_search, read_login, read_named
from kist.spec.platform import Platform
from kist.spec.reference import Reference

if TYPE_CHECKING:
    from kist.engine import Engine

_WHY = "there is no registry support yet"


async def pull(call: Call) -> StreamResponse:
    """``POST /images/create?fromImage=``: an image that is here is what a pull without a registry can give.

    The definition has the engine look for the image here first. That nobody was asked for a newer one is told.
    """
    named = read_named(call.text("fromImage"), call.text("tag"))
    platform = read_platform(call.text("platform"))
    found = await call.run(_here, call.engine, named, platform)
    told = f"(not compared with a registry: {_WHY})"
    return call.reply_lines({"status": f"Status: Image is here: {name} {told}"} for name in found)


def _here(engine: "Engine", named: Named, platform: Platform | None) -> list[str]:
    """The names of images that are here and meant, as people write them.

    Raises:
        NotFound: there is none.
    """
    wanted = named.reference
    if not named.every:
        try:
            engine.catalogue.of_platform(str(wanted), platform)
        except NotFound as error:
            raise _not_to_be_had(wanted.familiar, error) from error
        return [wanted.familiar]
    found = [name for image in engine.images() for name in image.references if named.covers(name)]
    if not found:
        raise _not_to_be_had(wanted.familiar_name)
    return sorted(Reference.parse(name).familiar for name in found)


def _not_to_be_had(name: str, cause: NotFound | None = None) -> NotFound:
    other = f"; {cause.message}" if cause is not None and "platform" in cause.message else ""
    return NotFound(
        f"cannot pull {name}: {_WHY}{other}",
        hint="make an image with kist bootstrap or kist build, or bring one with kist load",
    )


async def push(call: Call) -> StreamResponse:
    """Refused, in Docker's words where there is nothing to push."""
    named = read_named(call.fields["name"], call.text("tag"))
    read_platform(call.text("platform"))
    await call.run(_check_pushed, call.engine, named)
    raise Unsupported(f"cannot push {named.reference.familiar_name}: {_WHY}", hint="kist save writes it to a file")


def _check_pushed(engine: "Engine", named: Named) -> None:
    wanted = named.reference
    names = [name for image in engine.images() for name in image.references]
    if not any(Named(wanted, every=True).covers(name) for name in names):
        raise NotFound(f"An image does not exist locally with the tag: {wanted.familiar_name}")
    if not any(named.covers(name) for name in names):
        raise NotFound(f"tag does not exist: {wanted.familiar}")


async def attestations(call: Call) -> StreamResponse:
    """The statements that are kept with an image: none, what comes with an archive of images is not kept."""
    platforms = call.values("platform")
    if len(platforms) > 1:
        raise InvalidInput("only one platform value is currently supported")
    platform = read_platform(call.text("platform"))
    await call.run(call.engine.catalogue.of_platform, call.fields["name"], platform)
    return call.reply([])


async def search(call: Call) -> StreamResponse:
    """Refused: it is a registry that searches."""
    check_search(call.text("term"), call.integer("limit"), call.text("filters"))
    raise Unsupported(f"cannot search for {call.text('term')!r}: {_WHY}", hint="kist images lists what is here")


async def log_in(call: Call) -> StreamResponse:
    """Refused: whether a name and a password are right, only the registry knows."""
    where = read_login(await call.json())
    raise Unsupported(f"cannot log in to {where}: {_WHY}", hint="images come by kist load, kist import and kist build")


async def distribution(call: Call) -> StreamResponse:
    """Refused: it is asked what a registry has under a name."""
    reference = Reference.parse(call.fields["name"])
    raise Unsupported(
        f"cannot look {reference.familiar} up in a registry: {_WHY}",
        hint=f"GET /images/{reference.familiar}/json tells of the image that is here",
    )


ROUTES = (
    Route("GET", "/images/search", search, Access.ANYBODY),
    Route("GET", "/images/{name:*}/attestations", attestations, Access.CHECKED),
    Route("POST", "/images/{name:*}/push", push, Access.CHECKED),
    Route("POST", "/auth", log_in, Access.ANYBODY),
    Route("GET", "/distribution/{name:*}/json", distribution, Access.ANYBODY),
)
