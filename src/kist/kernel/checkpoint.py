"""The interpreter's memory as it was at one moment, to which pages go back that are again as they were.

A page that a fork writes to is its own from then on, also when it undoes what it wrote; and CPython counts who uses an
object with every look at it, up and down again. So the memory of a moment is put into a file in memory, of which every
fork has a private mapping: a page that is given back is the file's again, which all share.

Only what the allocator has from mmap(2) is treated so (Objects/obmalloc.c: arenas), where the objects are.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import struct

from kist.kernel import libc, namespaces, process, uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_SIZE = resource.getpagesize()
_NAME = "kist-checkpoint"
# What the allocator asks for at a time; smaller mappings are something else.
_ARENA = 1 << 20
_ENTRY = 8
# Bits of an entry.
_OF_A_FILE = 1 << 61
_PRESENT = 1 << 63
_MAP_FIXED = 0x10
_MADV_DONTNEED = 4
_MADV_POPULATE_READ = 22
# Runs of pages that are given back at once.
_MOST_RUNS = 256
# Of what a fork found: how many bytes they are.
_TOTAL = struct.Struct("=Q")

_libc = ctypes.PyDLL(None)


class ChangedError(Exception):
    """A page was given back that had changed since it was looked at: this process must not go on."""


class Checkpoint:
    """Made by ``take``.

    Args:
        places: start and end of each part of the memory.
        file: all parts one after the other, as they were.
    """

    def __init__(self, places: list[tuple[int, int]], file: mmap.mmap) -> None:
        self._places = places
        self._file = file

    def give_back(self) -> int:
        """Give back the pages of this process that are as they were; how many bytes they are.

        A fork finds out which these are, for to look is to write. Then they are given back; what that uses is held
        while the fork looks, so that it is seen to be in use, and what is given back is looked at once more.

        No other thread may run.

        Raises:
            OSError: there is no room for it; nothing was given back.
            ChangedError: see there.
        """
        chain = uninterrupted.Chain(2 * _MOST_RUNS)
        found = _Found(sum(end - start for start, end in self._places))
        swap, here, first = chain.ready()
        pid, pidfd = namespaces.clone(0)
        if pid == 0:
            self._look(chain, found)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            return 0
        swap(here, first)
        return found.compare()

    def _look(self, chain: uninterrupted.Chain, found: _Found) -> NoReturn:
        """In a fork: write down what is to be given back, and end; not well if there is nothing."""
        try:
            runs = self._unchanged()[:_MOST_RUNS]
            calls: list[uninterrupted.Call] = []
            for address, length, offset in runs:
                calls.append(("memcpy", (found.add(self._file[offset : offset + length]), address, length)))
                calls.append(("madvise", (address, length, _MADV_DONTNEED)))
            chain.write(calls)
            os._exit(0)
        finally:
            os._exit(1)

    def _unchanged(self) -> list[list[int]]:
        """Address, length and offset in the file of runs of pages that are not the file's, and are as they were."""
        _libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        file = _address(self._file)
        runs: list[list[int]] = []
        offset = 0
        for start, end in self._places:
            # The allocator may have given it back, and somebody else may have it.
            entries = _entries(start, end) if _is_of_the_file(start, end) else []
            for number, entry in enumerate(entries):
                own, at = start + number * _SIZE, offset + number * _SIZE
                if entry & _PRESENT and not entry & _OF_A_FILE and _libc.memcmp(own, file + at, _SIZE) == 0:
                    if runs and runs[-1][0] + runs[-1][1] == own:
                        runs[-1][1] += _SIZE
                    else:
                        runs.append([own, _SIZE, at])
            offset += end - start
        return runs


class _Found:
    """What a fork has found, and what its parent has found in the same places; shared by both.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._memory = mmap.mmap(-1, _SIZE + 2 * most)
        start = _address(self._memory) + _SIZE
        self._expected, self._seen = ctypes.c_void_p(start), ctypes.c_void_p(start + most)
        self._next = start + most

    def add(self, expected: bytes) -> int:
        """In the fork: note this; to which address the parent is to copy what it finds."""
        at = self._next - (self._seen.value or 0)
        self._memory[_SIZE + at : _SIZE + at + len(expected)] = expected
        _TOTAL.pack_into(self._memory, 0, at + len(expected))
        self._next += len(expected)
        return self._next - len(expected)

    def compare(self) -> int:
        """In the parent: how many bytes were found, all of them as expected.

        Raises:
            ChangedError: they are not.
        """
        (total,) = _TOTAL.unpack_from(self._memory)
        if _libc.memcmp(self._expected, self._seen, ctypes.c_size_t(total)) != 0:
            raise ChangedError
        return int(total)


def take() -> Checkpoint | None:
    """Have the memory of this process, as it is now, shared by all that are forked from now on.

    No other thread may run. None where it cannot be done; everything is as before then.
    """
    if not uninterrupted.is_possible():
        return None
    try:
        places = [_in_use(start, end) for start, end in _mappings(b"") if end - start >= _ARENA]
        return _take([(start, end) for start, end in places if start < end])
    except OSError:
        return None


def rehearse() -> None:
    """Do what ``give_back`` does, with a page that is nobody's."""
    try:
        memory = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    except OSError:
        return  # nor will there be a checkpoint
    try:
        os.ftruncate(memory, _SIZE)
        file, own = mmap.mmap(memory, _SIZE), mmap.mmap(memory, _SIZE, mmap.MAP_PRIVATE)
        own[0] = 0
        start = _address(own)
        if uninterrupted.is_possible():
            Checkpoint([(start, start + _SIZE)], file).give_back()
    except OSError:
        return
    finally:
        os.close(memory)


def _take(places: list[tuple[int, int]]) -> Checkpoint | None:
    memory = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    try:
        total = sum(end - start for start, end in places)
        os.ftruncate(memory, total)
        file = mmap.mmap(memory, total)
        to = _address(file)
        mode = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _MAP_FIXED
        calls: list[uninterrupted.Call] = []
        offset = 0
        for start, end in places:
            calls.append(("memcpy", (to + offset, start, end - start)))
            calls.append(("mmap", (start, end - start, *mode, memory, offset)))
            offset += end - start
        chain = uninterrupted.Chain(len(calls))
        chain.write(calls)
        chain.make()
    finally:
        os.close(memory)
    # From here on it is what it is.
    libc.call("mprotect", ctypes.c_void_p(to), ctypes.c_size_t(total), mmap.PROT_READ)
    # Only forks that look need it.
    libc.advise(to, total, _MADV_DONTNEED)
    if not all(_is_of_the_file(*place) for place in places):
        return None
    for start, end in places:
        # A fork finds what is mapped already where it is.
        libc.advise(start, end - start, _MADV_POPULATE_READ)
    return Checkpoint(places, file)


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _entries(start: int, end: int) -> list[int]:
    """What the kernel tells of each page (proc_pid_pagemap(5)).

    Raises:
        OSError: it tells only root.
    """
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        told = os.pread(pagemap, (end - start) // _SIZE * _ENTRY, start // _SIZE * _ENTRY)
    finally:
        os.close(pagemap)
    return [entry for (entry,) in struct.iter_unpack("=Q", told)]


def _in_use(start: int, end: int) -> tuple[int, int]:
    """The same without what follows the last page that there is."""
    present = [number for number, entry in enumerate(_entries(start, end), 1) if entry & _PRESENT]
    return start, start + max(present, default=0) * _SIZE


def _is_of_the_file(start: int, end: int) -> bool:
    return any(first <= start and end <= last for first, last in _mappings(_NAME.encode()))


def _mappings(name: bytes) -> list[tuple[int, int]]:
    """Private and writable memory of this process with this name, or with none (proc_pid_maps(5))."""
    found = []
    for line in process.read_file("/proc/self/maps").splitlines():
        place, mode, _, _, _, *path = line.split(maxsplit=5)
        if mode == b"rw-p" and (bool(path) and name in path[0] if name else not path):
            start, _, end = place.partition(b"-")
            found.append((int(start, 16), int(end, 16)))
    return found
