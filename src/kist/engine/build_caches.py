"""Cache mounts of builds by their names: whose records they have, and their content as a tar, out and in."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from kist.errors import Conflict, NotFound
from kist.image.compression import plain
from kist.image.layers import unpack
from kist.image.pack import export_directory
from kist.kernel import files, userns
from kist.spec.docker.usage import CACHE_MOUNT
from kist.store import Store

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def key_of(scope: str, name: str, base: str = "", source: str = "") -> str:
    """The record's key: whose it is, its name, and a digest of that and of what it began as."""
    whole = hashlib.sha256(f"{name}\0{base}\0{source}".encode()).hexdigest()
    return f"{scope}{CACHE_MOUNT}{name}:{whole}"


def export(store: Store, scope: str, name: str, target: BinaryIO) -> None:
    """Write the tar of a cache: its directory as ``./``, and what is in it.

    Raises:
        NotFound: there is none of that name.
        Conflict: there are several, or a build uses it.
        BrokenPipeError: whoever reads it went away.
    """
    with _held(store, _found(store, scope, name), name) as path:
        directory = os.open(path, _DIRECTORY)
        try:
            export_directory(directory, target.write, f"export the cache {name}")
        finally:
            os.close(directory)


def import_(store: Store, scope: str, name: str, source: BinaryIO) -> None:
    """Put what is in a tar, plain or compressed, into a cache, which is made where there is none.

    Raises:
        Conflict: there are several of that name, or a build uses it.
        InvalidInput, Unsupported, Corrupt: the archive is refused; what came before is there.
    """
    try:
        key = _found(store, scope, name)
    except NotFound:
        key = key_of(scope, name)
    with _held(store, key, name) as path:
        directory = os.open(path, _DIRECTORY)
        try:
            what = f"the archive for the cache {name}"
            unpack(plain(source), directory, devices=True, what=what, ids=userns.limited_ids(), sparse=True)
            files.sync_file_system_of(directory)
        finally:
            os.close(directory)


def _found(store: Store, scope: str, name: str) -> str:
    """The key of the cache of this name."""
    begin = f"{scope}{CACHE_MOUNT}"
    keys = [key for key, _, _ in store.records.cache_entries() if key.startswith(begin)]
    found = [key for key in keys if key.rpartition(":")[0] == begin + name]
    if len(found) > 1:
        raise Conflict(f"there are {len(found)} caches called {name}, which began as different files",
                       hint="give each an id of its own in the Dockerfiles")  # fmt: skip
    if not found:
        known = sorted({key.removeprefix(begin).rpartition(":")[0] for key in keys})
        raise NotFound(f"there is no cache called {name}", hint=f"there are: {', '.join(known) or 'none'}")
    return found[0]


@contextmanager
def _held(store: Store, key: str, name: str) -> Iterator[str]:
    def busy(_event: threading.Event) -> None:
        raise Conflict(f"the cache {name} is in use by a build", hint="try again when that has ended")

    with store.writing(), store.cache_mounts.taken(key, "locked", lambda _path: None, busy) as taken:
        yield taken.path
