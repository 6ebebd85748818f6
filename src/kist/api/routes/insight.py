"""What is in images: Kist's own paths. Answers are values of ``kist.spec.package``, ``insight`` and ``artifact``."""

from typing import BinaryIO

from kist.api.access import Access
from kist.api.bodies import with_download
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput
from kist.spec.artifact import CYCLONEDX, SPDX

_FORMS = {"spdx": SPDX, "cyclonedx": CYCLONEDX}


async def packages(call: Call) -> StreamResponse:
    """``ImagePackages``: all packages, each with the layer that it came with."""
    return call.reply_value(await call.run_long(call.engine.packages, call.fields["name"]))


async def sbom(call: Call) -> StreamResponse:
    """The bill of materials in the form that ``format`` names."""
    return await _sbom(call, attach=False)


async def attach_sbom(call: Call) -> StreamResponse:
    """The same, attached to the image as a referrer."""
    return await _sbom(call, attach=True)


async def _sbom(call: Call, *, attach: bool) -> StreamResponse:
    form = call.text("format") or "spdx"
    if form not in _FORMS:
        raise InvalidInput(f"unknown form of a bill of materials: {form!r}", hint="format is spdx or cyclonedx")
    document = await call.run_long(call.engine.sbom, call.fields["name"], form, attach=attach)
    return await _document(call, document, _FORMS[form])


async def _document(call: Call, document: bytes, kind: str) -> StreamResponse:
    def work(target: BinaryIO) -> None:
        target.write(document)

    return await with_download(call, kind, work)


async def referrers(call: Call) -> StreamResponse:
    """A list of ``Referrer``: what is attached to an image."""
    return call.reply_value(await call.run(call.engine.referrers, call.fields["name"]))


async def referrer(call: Call) -> StreamResponse:
    """What one of them holds, as it is."""
    document = await call.run_long(call.engine.referrer, call.fields["name"], call.fields["digest"])
    return await _document(call, document, "application/octet-stream")


async def remove_referrer(call: Call) -> StreamResponse:
    """Detach one of them; the ``Referrer`` that is gone."""
    return call.reply_value(
        await call.run_long(call.engine.remove_referrer, call.fields["name"], call.fields["digest"])
    )


async def why(call: Call) -> StreamResponse:
    """``Why``: which images have the ``package``, by which layer, and which have it from them."""
    asked = call.text("package")
    if not asked.strip():
        raise InvalidInput("the parameter package is empty", hint="package is NAME, or NAME<VERSION")
    return call.reply_value(await call.run_long(call.engine.why, asked))


async def tree(call: Call) -> StreamResponse:
    """``ImageTree``: which images stand on which."""
    return call.reply_value(await call.run_long(call.engine.image_tree))


async def difference(call: Call) -> StreamResponse:
    """``ImageDifference`` between this image and the one that ``with`` names; of ``packages``, of ``files``."""
    other = call.text("with")
    if not other:
        raise InvalidInput("the parameter with is empty", hint="with is the name of the second image")
    found = await call.run_long(
        call.engine.image_difference,
        call.fields["name"],
        other,
        packages=call.flag("packages", default=True),
        files=call.flag("files", default=True),
    )
    return call.reply_value(found)


async def slim(call: Call) -> StreamResponse:
    """``Slim``: what takes the space; of each list as many as ``most`` says."""
    most = call.integer("most")
    return call.reply_value(
        await call.run_long(call.engine.slim, call.fields["name"], most=20 if most is None else most)
    )


ROUTES = (
    Route("GET", "/kist/images/{name:*}/packages", packages, Access.CHECKED),
    Route("GET", "/kist/images/{name:*}/sbom", sbom, Access.CHECKED),
    Route("POST", "/kist/images/{name:*}/sbom", attach_sbom, Access.CHECKED),
    Route("GET", "/kist/images/{name:*}/referrers", referrers, Access.CHECKED),
    Route("GET", "/kist/images/{name:*}/referrers/{digest}", referrer, Access.CHECKED),
    Route("DELETE", "/kist/images/{name:*}/referrers/{digest}", remove_referrer, Access.CHECKED),
    Route("GET", "/kist/images/{name:*}/difference", difference, Access.CHECKED),
    Route("GET", "/kist/images/{name:*}/slim", slim, Access.CHECKED),
    Route("GET", "/kist/why", why, Access.CHECKED),
    Route("GET", "/kist/tree", tree, Access.CHECKED),
)
