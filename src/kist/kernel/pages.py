"""Pages of this process's memory: which of them it has alone, and having them alone before they are written to.

After a fork a page is shared until somebody writes to it; that write costs a fault and a copy.
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct

from kist.kernel import libc, mappings
from kist.kernel.mappings import ENTRY, EXCLUSIVE, OF_A_FILE, PAGE, PRESENT

_MADV_POPULATE_WRITE = 23
_RANGE = "=QQ"


class Survey:
    """Which pages a descendant of this process comes to have for itself between two moments.

    The descendant only copies what the kernel tells into memory that both share: what it did beyond that would be
    among its pages.
    """

    def __init__(self) -> None:
        self._places = [(start, end) for start, end, *_ in mappings.writable(os.getpid())]
        self._before, self._after = self._views(), self._views()

    def _views(self) -> list[memoryview]:
        lengths = [(end - start) // PAGE * ENTRY.size for start, end in self._places]
        told = memoryview(mmap.mmap(-1, sum(lengths) or PAGE))
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
        pagemap = mappings.open_entries(os.getpid())
        for (start, _), view in zip(self._places, views, strict=True):
            os.preadv(pagemap, [view], start // PAGE * ENTRY.size)
        os.close(pagemap)

    def found(self) -> bytes:
        """Addresses and lengths, for ``have``.

        Packed, for the numbers by themselves would be some hundred objects, whose counts every process writes to that
        reads them.
        """
        ranges: list[list[int]] = []
        for (start, _), before, after in zip(self._places, self._before, self._after, strict=True):
            pairs = zip(ENTRY.iter_unpack(before), ENTRY.iter_unpack(after), strict=True)
            for number, ((had,), (has,)) in enumerate(pairs):
                if _is_own(has) and not _is_own(had):
                    _add(ranges, start + number * PAGE)
        return b"".join(struct.pack(_RANGE, address, length) for address, length in ranges)


def _is_own(entry: int) -> bool:
    return bool(entry & PRESENT and entry & EXCLUSIVE and not entry & OF_A_FILE)


def _add(ranges: list[list[int]], address: int) -> None:
    if ranges and sum(ranges[-1]) == address:
        ranges[-1][1] += PAGE
    else:
        ranges.append([address, PAGE])


def have(ranges: bytes) -> None:
    """Copy these pages, as a write to each of them would.

    Where the kernel cannot do it (before 5.14), or memory is not there any more, writes will do it one by one.
    """
    for address, length in struct.iter_unpack(_RANGE, ranges):
        libc.advise(address, length, _MADV_POPULATE_WRITE)
