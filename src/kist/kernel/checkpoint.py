"""The interpreter's memory as it was at one moment, to which pages go back that are again as they were.

A page that a fork writes to is its own from then on, also when it undoes what it wrote; and CPython counts who uses an
object with every look at it, up and down again. So the memory of a moment is put into a file in memory, of which every
fork has a private mapping: a page that is given back is the file's again, which all share.

So are the places where objects are: what their allocator has from mmap(2) (Objects/obmalloc.c: arenas), and what is
malloc(3)'s on the heap; and the interpreter's own variables, which have the types and None.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal's own calls look each number up, and touch all of it
import ctypes
import mmap
import os
import struct

from kist.kernel import libc, mappings, namespaces, process, uninterrupted
from kist.kernel.mappings import OF_A_FILE, PAGE, PRESENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn, Self

_NAME = "kist-checkpoint"
# What the allocator asks for at a time; smaller mappings are something else.
_ARENA = 1 << 20
_HEAP = b"[heap]"
_MAP_FIXED = 0x10
_MADV_DONTNEED = 4
_MADV_POPULATE_READ = 22
# Runs of pages that are given back at once, and the calls before them.
_MOST_RUNS = 256
_BEFORE = 2
_SIGNALS = _signal.valid_signals()
# Of what a fork found: how many bytes they are.
_TOTAL = struct.Struct("=Q")


class Checkpoint:
    """Made by ``take``.

    Args:
        inode: of the file.
        file: all parts of the memory one after the other, as they were.
    """

    def __init__(self, inode: int, file: mmap.mmap) -> None:
        self._inode = inode
        self._file = file

    def give_back(self) -> int:
        """Give back the pages of this process that are as they were; how many bytes they are.

        A fork finds out which these are, for to look is to write. It looks at this process while that waits for it
        between two calls of the C library, and writes down for it what is to be called next: not a byte changes
        between the look and the deed.

        No other thread may run, and no signal is handled meanwhile.

        Raises:
            OSError: there is no room for it; nothing was given back.
        """
        previous = _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)
        try:
            with _Talk() as talk:
                chain = uninterrupted.Chain(_BEFORE + _MOST_RUNS)
                chain.write(talk.calls)
                pid, pidfd = namespaces.clone(0)
                if pid == 0:
                    self._look(chain, talk)
                os.close(pidfd)
                talk.listen()
                chain.make()
                os.waitpid(pid, 0)
                return talk.given
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, previous)

    def _look(self, chain: uninterrupted.Chain, talk: _Talk) -> NoReturn:
        """In a fork: see what its parent may give back, write it down, and end; the parent goes on in any case."""
        try:
            parent = talk.wait()
            runs = sorted(self._unchanged(parent), key=lambda run: run[1])[-_MOST_RUNS:]
            if runs:
                talk.given = sum(length for _, length in runs)
                chain.write([("madvise", (*run, _MADV_DONTNEED)) for run in runs], _BEFORE)
        finally:
            os._exit(0)

    def _unchanged(self, pid: int) -> list[tuple[int, int]]:
        """Address and length of runs of pages of a process that are not the file's, and are as they were."""
        runs: list[tuple[int, int]] = []
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        pagemap = mappings.open_entries(pid)
        try:
            for start, end, offset, inode, name in mappings.writable(pid):
                # What has been given up since may be somebody else's.
                if inode != self._inode or _NAME.encode() not in name:
                    continue
                for number, entry in enumerate(mappings.entries(pagemap, start, end)):
                    if entry & (PRESENT | OF_A_FILE) != PRESENT:
                        continue
                    at, there = start + number * PAGE, offset + number * PAGE
                    if os.pread(memory, PAGE, at) == self._file[there : there + PAGE]:
                        if runs and sum(runs[-1]) == at:
                            runs[-1] = (runs[-1][0], runs[-1][1] + PAGE)
                        else:
                            runs.append((at, PAGE))
        finally:
            os.close(memory)
            os.close(pagemap)
        return runs


class _Talk:
    """What a process and the fork that looks at it say to each other; a context manager.

    The process says by its first call that it is there, and waits by its second until the fork ends. The third is
    nothing, and the one in whose place the fork writes what is to be done: nothing is done where it could not.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, PAGE)
        self._pid = os.getpid()
        self._ends = [*os.pipe2(os.O_CLOEXEC), *os.pipe2(os.O_CLOEXEC)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            os.close(end)

    @property
    def calls(self) -> list[uninterrupted.Call]:
        """The process's first calls."""
        _, there, done, _ = self._ends
        word = _address(self._shared) + _TOTAL.size
        return [("write", (there, word, 1)), ("read", (done, word, 1)), ("getpid", ())]

    @property
    def given(self) -> int:
        """Bytes that are to be given back; the fork sets it, and its parent sees it."""
        return int(_TOTAL.unpack_from(self._shared)[0])

    @given.setter
    def given(self, total: int) -> None:
        _TOTAL.pack_into(self._shared, 0, total)

    def listen(self) -> None:
        """In the process: have the fork alone be who may say that it is done, which it does by ending."""
        os.close(self._ends.pop())

    def wait(self) -> int:
        """In the fork: wait until the process is within its calls; which one it is.

        Raises:
            EOFError: it has gone.
        """
        there, _, _, done = self._ends
        # Who comes after a process that is killed now is to find its ports free, and its clients are to see its end.
        process.set_parent_death_signal(_signal.SIGKILL)
        process.close_all_but(there, done)
        if not os.read(there, 1):
            raise EOFError
        return self._pid


def take() -> Checkpoint | None:
    """Have the memory of this process, as it is now, shared by all that are forked from now on.

    No other thread may run. None where it cannot be done; everything is as before then.
    """
    if not uninterrupted.is_possible():
        return None
    try:
        return _take([place for place in _places() if place[0] < place[1]])
    except OSError:
        return None


def rehearse() -> None:
    """Do what ``give_back`` does, with a page that is nobody's."""
    try:
        memory = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    except OSError:
        return  # nor will there be a checkpoint
    try:
        os.ftruncate(memory, PAGE)
        file, own = mmap.mmap(memory, PAGE), mmap.mmap(memory, PAGE, mmap.MAP_PRIVATE)
        own[0] = 0
        if uninterrupted.is_possible():
            Checkpoint(os.fstat(memory).st_ino, file).give_back()
    except OSError:
        return
    finally:
        os.close(memory)


def _take(places: list[tuple[int, int]]) -> Checkpoint | None:
    memory = os.memfd_create(_NAME, os.MFD_CLOEXEC)
    try:
        inode = os.fstat(memory).st_ino
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
        # malloc(3) may have given the end of the heap back meanwhile.
        if not all(any(_within(place, each) for each in mappings.writable(os.getpid())) for place in places):
            return None
        chain.make()
    finally:
        os.close(memory)
    # From here on it is what it is.
    libc.call("mprotect", ctypes.c_void_p(to), ctypes.c_size_t(total), mmap.PROT_READ)
    # Only forks that look need it.
    libc.advise(to, total, _MADV_DONTNEED)
    # Whether the calls have done what they were to do, nobody has told.
    if sum(end - start for start, end, _, found, _ in mappings.writable(os.getpid()) if found == inode) != total:
        return None
    for start, end in places:
        # A fork finds what is mapped already where it is.
        libc.advise(start, end - start, _MADV_POPULATE_READ)
    return Checkpoint(inode, file)


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _within(place: tuple[int, int], mapping: mappings.Mapping) -> bool:
    return mapping[0] <= place[0] and place[1] <= mapping[1]


def _places() -> Iterator[tuple[int, int]]:
    """Start and end of the parts of this process's memory that are to be shared, without what nobody has used yet."""
    pagemap = mappings.open_entries(os.getpid())
    try:
        for start, end, _, _, name in mappings.writable(os.getpid()):
            # The interpreter's variables are where its types are, in its program or library.
            if name == _HEAP or (not name and end - start >= _ARENA) or start <= id(object) < end:
                used = (
                    number for number, entry in enumerate(mappings.entries(pagemap, start, end), 1) if entry & PRESENT
                )
                yield start, start + max(used, default=0) * PAGE
    finally:
        os.close(pagemap)
