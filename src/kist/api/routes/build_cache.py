"""The step cache on its way to and from a client's directory (``kist build --cache-to``, ``--cache-from``): Kist's own.

The engine's own user's alone: who brings steps here says what commands have made.
"""

from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from kist.api.access import Access
from kist.api.bodies import with_download, with_upload
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput

if TYPE_CHECKING:
    from kist.engine import Engine

_TAR = "application/x-tar"


async def save(call: Call) -> StreamResponse:
    """An OCI layout, as a tar, of the steps whose ``keys`` the body names (``CacheKept`` told them)."""
    keys = await _texts(call, "keys")

    def work(target: BinaryIO) -> None:
        from kist.build.cache_layout import write_archive  # noqa: PLC0415 - for who takes a cache elsewhere

        write_archive(call.engine, keys, target)

    return await with_download(call, _TAR, work)


async def lacking(call: Call) -> StreamResponse:
    """Which blobs of ``digests`` the engine does not have, and ``load`` has to be given."""
    from kist.build.cache_layout import lacking as lacks  # noqa: PLC0415 - as above

    return call.reply({"digests": await call.run(lacks, call.engine, await _texts(call, "digests"))})


async def load(call: Call) -> StreamResponse:
    """Take the steps of a layout, a tar, into the cache; blobs that the engine has need not be in it."""
    return call.reply({"steps": await with_upload(call, partial(_load, call.engine))})


def _load(engine: "Engine", body: BinaryIO) -> int:
    from kist.build.cache_layout import load as load_layout  # noqa: PLC0415 - as above
    from kist.build.upload import receive_context  # noqa: PLC0415 - as above

    with engine.store.temporary() as directory:
        receive_context(body, directory)
        return load_layout(engine, directory)


async def _texts(call: Call, name: str) -> list[str]:
    found = (await call.json()).get(name)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidInput(f"{name} is missing", hint="it is a list of texts")
    return found


ROUTES = (
    Route("POST", "/kist/build/cache", load, Access.OWNER),
    Route("POST", "/kist/build/cache/lacking", lacking, Access.OWNER),
    Route("POST", "/kist/build/cache/save", save, Access.OWNER),
)
