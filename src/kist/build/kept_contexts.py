"""Contexts that came to the engine, kept for the next ones, which are nearly the same (``docker build``, compose).

A context's files stay after its build, with their digests, as an entry of the build cache (``store/cache_mounts.py``).
The next context of the same name takes them out, to among what is temporary: it is unpacked into a new directory, and a
file that is the same is moved there, neither written nor read again (``image/earlier.py``). Who is killed meanwhile
leaves nothing but what is temporary. Of a machine that has gone down nothing is believed: the files were not synced.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING, BinaryIO

from kist.build.stat_cache import StatCache
from kist.build.upload import receive_context
from kist.errors import KistError
from kist.image.earlier import Earlier
from kist.kernel import process
from kist.spec.build import BuildOptions
from kist.spec.docker.usage import KEPT_CONTEXT
from kist.spec.reference import Reference
from kist.store import Store
from kist.store.cache_mounts import name_of

if TYPE_CHECKING:
    from kist.engine.engine import Engine

# To keep fewer files than that costs more than it saves.
_LEAST_FILES = 100
_LARGEST = 1 << 30  # bytes of a context's files
_FILES, _EARLIER, _KNOWN = "context", "earlier", "known-"


class _BusyError(Exception):
    """Another build takes or puts its context just now."""


@contextmanager
def received(engine: "Engine", body: BinaryIO, options: BuildOptions) -> Iterator[tuple[str, StatCache]]:
    """A context that comes as an archive: its directory for the time of the block, and what is known of its files.

    Args:
        engine: has a place for them.
        body: the archive.
        options: by whose names, and whose Dockerfile's, the one before is found.

    Raises:
        KistError: as ``receive_context``.
    """
    store, key = engine.store, _key_of(engine.catalogue.scope, options)
    with store.temporary() as place:
        directory = f"{place}/{_FILES}"
        os.mkdir(directory, 0o700)
        device = os.stat(directory).st_dev
        before = StatCache()
        if _take(store, key, place):
            before = StatCache(f"{place}/{_known()}", device)
        earlier = f"{place}/{_EARLIER}"
        known = StatCache(device=device, settled=True)
        with Earlier(earlier if before.has_any else None, before.get, known.put) as found:
            came = receive_context(body, directory, earlier=found)
        try:
            yield directory, known
        finally:
            if came.entries >= _LEAST_FILES and came.size <= _LARGEST:
                with suppress(KistError, OSError):  # the next one is written as this one was
                    _keep(store, key, place, known)


def _key_of(scope: str, options: BuildOptions) -> str:
    """The record's key: whose it is, the first image that is made of it, and which Dockerfile is."""
    name = Reference.parse(options.references[0]).familiar_name if options.references else ""
    return f"{scope}{KEPT_CONTEXT}{name}:{hashlib.sha256(options.dockerfile.encode()).hexdigest()}"


def _known() -> str:
    return _KNOWN + process.boot_id()


def _take(store: Store, key: str, place: str) -> bool:
    """Move what is kept to ``place``; whether there was something."""
    if name_of(key) not in store.cache_mounts.names():
        return False
    try:
        with store.cache_mounts.taken(key, "locked", _nothing, _busy) as taken:
            for name in os.listdir(taken.path):
                os.rename(f"{taken.path}/{name}", f"{place}/{_EARLIER if name == _FILES else name}")
    except _BusyError:
        return False
    return os.path.isdir(f"{place}/{_EARLIER}")


def _keep(store: Store, key: str, place: str, known: StatCache) -> None:
    """Move the context to where the next one finds it; one that came there meanwhile goes."""
    known.write(f"{place}/{_KNOWN}")
    with suppress(_BusyError), store.cache_mounts.taken(key, "locked", _nothing, _busy) as taken:
        for name in os.listdir(taken.path):
            os.rename(f"{taken.path}/{name}", f"{place}/replaced-{name}")
        os.rename(f"{place}/{_FILES}", f"{taken.path}/{_FILES}")
        os.rename(f"{place}/{_KNOWN}", f"{taken.path}/{_known()}")


def _nothing(_path: str) -> None:
    """The directory stays empty for a moment."""


def _busy(_event: Event) -> None:
    raise _BusyError
