"""Private and writable memory of a process, as the kernel tells of it (proc_pid_maps(5), proc_pid_pagemap(5))."""

from __future__ import annotations

import os
import resource
import struct

from kist.kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # Where it begins and ends, and of the file that it is of: from where on, its inode (0 for none) and its path. What
    # is no file's may have a name as well ("[heap]").
    Mapping = tuple[int, int, int, int, bytes]

PAGE = resource.getpagesize()
# What is told of a page.
ENTRY = struct.Struct("=Q")
EXCLUSIVE = 1 << 56
OF_A_FILE = 1 << 61
PRESENT = 1 << 63


def writable(pid: int) -> Iterator[Mapping]:
    """Private and writable memory of a process, from the lowest address up.

    One is there at a time, and made of few objects: whoever looks at its own memory dirties it by that.
    """
    text = process.read_file(f"/proc/{pid}/maps")
    begin = 0
    while begin < len(text):
        end = text.index(b"\n", begin)
        place, mode, offset, _, inode, *path = text[begin:end].split(maxsplit=5)
        begin = end + 1
        if mode.startswith(b"rw") and mode.endswith(b"p"):
            first, _, last = place.partition(b"-")
            yield int(first, 16), int(last, 16), int(offset, 16), int(inode), path[0] if path else b""


def open_entries(pid: int) -> int:
    """A descriptor for ``entries``; raises OSError where the kernel tells only root."""
    return os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)


def entries(pagemap: int, start: int, end: int) -> Iterator[int]:
    """What the kernel tells of each page from ``start`` to ``end``: see ``ENTRY``."""
    told = os.pread(pagemap, (end - start) // PAGE * ENTRY.size, start // PAGE * ENTRY.size)
    for (entry,) in ENTRY.iter_unpack(told):
        yield entry
