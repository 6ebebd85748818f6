"""The identity of copied files: names, kinds, modes, contents, links; no times, no owners (COPY sets its own)."""

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import Any

from kist.build.tree import Entry, Tree

_BUFFER = 1 << 20


def digest(tree: Tree, paths: Iterable[str]) -> str:
    """The digest of these files and directories with all that is in them.

    Raises:
        OSError: a file cannot be read.
    """
    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(_BUFFER))
    for path in paths:
        status = tree.status(path)
        hasher.update(b"source\0%s\0" % os.fsencode(path))
        if stat.S_ISDIR(status.st_mode):
            hasher.update(b"%o\0" % status.st_mode)
            for entry in tree.walk(path):
                _entry(hasher, entry, buffer)
        else:
            with tree.open(path) as file:
                _file(hasher, file.fileno(), os.fstat(file.fileno()), buffer)
    return hasher.hexdigest()


def _entry(hasher: Any, entry: Entry, buffer: memoryview) -> None:
    mode = entry.status.st_mode
    hasher.update(b"%s\0" % os.fsencode(entry.path))
    if stat.S_ISREG(mode):
        descriptor = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=entry.directory)
        try:
            _file(hasher, descriptor, entry.status, buffer)
        finally:
            os.close(descriptor)
    elif stat.S_ISLNK(mode):
        hasher.update(b"link\0%s\0" % os.fsencode(os.readlink(entry.name, dir_fd=entry.directory)))
    else:
        hasher.update(b"%o\0%d\0" % (mode, entry.status.st_rdev))


def _file(hasher: Any, descriptor: int, status: os.stat_result, buffer: memoryview) -> None:
    hasher.update(b"%o\0%d\0" % (status.st_mode, status.st_size))
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
