"""Pages of this process's memory: which of them it has alone, and having them alone before they are written to.

After a fork a page is shared until somebody writes to it; that write costs a fault and a copy.
"""

from __future__ import annotations

import itertools
import mmap
import os
import resource
import struct

from kist.kernel import libc, process

_SIZE = resource.getpagesize()
_ENTRY = 8
# Bits of an entry of /proc/PID/pagemap (proc_pid_pagemap(5)).
_EXCLUSIVE = 1 << 56
_OF_A_FILE = 1 << 61
_PRESENT = 1 << 63
_MADV_POPULATE_WRITE = 23
_RANGE = "=QQ"


class Survey:
    """Which pages a descendant of this process comes to have for itself between two moments.

    The descendant only copies what the kernel tells into memory that both share: what it did beyond that would be
    among its pages.
    """

    def __init__(self) -> None:
        self._places = _writable()
        self._before, self._after = self._views(), self._views()

    def _views(self) -> list[memoryview]:
        lengths = [(end - start) // _SIZE * _ENTRY for start, end in self._places]
        told = memoryview(mmap.mmap(-1, sum(lengths) or _SIZE))
        ends = list(itertools.accumulate(lengths))
        return [told[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    def begin(self) -> None:
        """Note in the descendant what it has now, which includes what its ancestors alone have written to since.

        Raises:
            OSError: /proc does not tell.
        """
        self._note(self._before)

    def end(self) -> None:
        """Note in the descendant what it has by now; raises as ``begin`` does."""
        self._note(self._after)

    def _note(self, views: list[memoryview]) -> None:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        for (start, _), view in zip(self._places, views, strict=True):
            os.preadv(pagemap, [view], start // _SIZE * _ENTRY)
        os.close(pagemap)

    def found(self) -> bytes:
        """Addresses and lengths, for ``have``.

        Packed, for the numbers by themselves would be some hundred objects, whose counts every process writes to that
        reads them.
        """
        ranges: list[list[int]] = []
        for (start, _), before, after in zip(self._places, self._before, self._after, strict=True):
            pairs = zip(struct.iter_unpack("=Q", before), struct.iter_unpack("=Q", after), strict=True)
            for number, ((had,), (has,)) in enumerate(pairs):
                if _is_own(has) and not _is_own(had):
                    _add(ranges, start + number * _SIZE)
        return b"".join(struct.pack(_RANGE, address, length) for address, length in ranges)


def _is_own(entry: int) -> bool:
    return bool(entry & _PRESENT and entry & _EXCLUSIVE and not entry & _OF_A_FILE)


def _writable() -> list[tuple[int, int]]:
    """Where this process has private and writable memory (proc_pid_maps(5))."""
    lines = [line.split(maxsplit=2)[:2] for line in process.read_file("/proc/self/maps").splitlines()]
    places = [place.split(b"-") for place, mode in lines if mode.startswith(b"rw") and mode.endswith(b"p")]
    return [(int(start, 16), int(end, 16)) for start, end in places]


def _add(ranges: list[list[int]], address: int) -> None:
    if ranges and sum(ranges[-1]) == address:
        ranges[-1][1] += _SIZE
    else:
        ranges.append([address, _SIZE])


def have(ranges: bytes) -> None:
    """Copy these pages, as a write to each of them would.

    Where the kernel cannot do it (before 5.14), or memory is not there any more, writes will do it one by one.
    """
    for address, length in struct.iter_unpack(_RANGE, ranges):
        libc.advise(address, length, _MADV_POPULATE_WRITE)
