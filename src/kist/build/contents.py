"""The identity of copied files: names, kinds, modes, contents, attributes, links; COPY sets times and owners itself.

Each file counts by the digest of what is in it, so a file that is known (``stat_cache``) is not read. Small files are
read where they are met: to hand them to another thread takes longer. Large ones are read in threads, for hashing gives
the interpreter's lock away; the identity is made of all in order.
"""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from kist.build.attributes import attributes_at, attributes_of
from kist.build.selection import Selected
from kist.build.stat_cache import StatCache
from kist.build.tree import Entry, Tree, open_entry, shown
from kist.errors import Forbidden, InvalidInput, NotFound

_BUFFER = 1 << 20
_LARGE = 1 << 18
_ENORMOUS = 1 << 40
_THREADS = os.cpu_count() or 1


def _go_on() -> None:
    """Nobody ends this before its time."""


def _takes_any(_size: int) -> bool:
    """Nothing is made of the files."""
    return True


def digest(
    tree: Tree,
    selected: Iterable[Selected],
    check: Callable[[], None] = _go_on,
    takes: Callable[[int], bool] = _takes_any,
) -> str:
    """The digest of these files and directories with all that is taken of them; what ``tree.known`` knows is not read.

    Args:
        tree: that they are in.
        selected: what of it.
        check: is called again and again; what it raises ends the work.
        takes: whether there can be a file of so many bytes where they are to be copied. It is asked of enormous ones,
            which have holes: to read them takes hours.

    Raises:
        OSError: a file cannot be read.
        InvalidInput: one is larger than can be.
    """
    return _digest(_Contents(tree.known, check, takes=takes), tree, selected)


def known_digest(tree: Tree, selected: Iterable[Selected], most: int) -> str | None:
    """The same where ``tree.known`` knows each of at most so many files, so that none is read; else None."""
    left = most

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _NotAtHandError

    if not tree.known.has_any:
        return None
    try:
        return _digest(_Contents(tree.known, count, reads=False), tree, selected)
    except _NotAtHandError:
        return None


def is_still(tree: Tree, selected: Callable[[], Iterable[Selected]], told: str, check: Callable[[], None]) -> bool:
    """Whether all that ``digest`` has told of is as it was, by stat(2); no file is read.

    Args:
        tree: that the files are in; ``tree.known`` knows them since.
        selected: finds them again.
        told: what ``digest`` gave.
        check: as there.
    """
    try:
        return _digest(_Contents(tree.known, check, reads=False), tree, selected()) == told
    except (_NotAtHandError, NotFound, Forbidden, InvalidInput, FileNotFoundError, NotADirectoryError):
        return False  # something is new, another one, or gone


class _NotAtHandError(Exception):
    """A file would have to be read, or there are too many."""


def _digest(contents: "_Contents", tree: Tree, selected: Iterable[Selected]) -> str:
    with contents:
        for _, path, filters, _ in selected:
            status = tree.status(path)
            contents.add(b"source\0%s\0" % os.fsencode(path))
            if status.st_size > _ENORMOUS:
                contents.check_size(tree, path, status)
            if stat.S_ISDIR(status.st_mode):
                contents.add(b"%o\0" % status.st_mode)
                above = b"" if path == "." else os.fsencode(path) + b"/"
                contents.begin_directory()
                for entry in tree.walk(path, filters):
                    if entry.status.st_size > _ENORMOUS:
                        contents.check_size(tree, os.fsdecode(above) + entry.path, entry.status)
                    contents.add_entry(entry, above)
            else:
                with tree.open(path) as file:
                    contents.add_file(os.fstat(file.fileno()), lambda: os.dup(file.fileno()))
        return contents.finish()


class _Contents:
    """The identity on its way: what is known of it is hashed, what waits for a thread is in order behind it."""

    def __init__(
        self,
        known: StatCache,
        check: Callable[[], None],
        *,
        reads: bool = True,
        takes: Callable[[int], bool] = _takes_any,
    ) -> None:
        self._known = known
        self._takes = takes
        self._reads = reads
        self._check = check
        self._hasher = hashlib.sha256()
        self._waiting: deque[bytes | Future[bytes]] = deque()
        self._under_way = 0
        self._pool: ThreadPoolExecutor | None = None
        self._buffer = memoryview(bytearray(_BUFFER if reads else 0))
        self._names: dict[tuple[int, int], bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def add(self, data: bytes) -> None:
        """What comes next."""
        if self._waiting:
            self._waiting.append(data)
        else:
            self._hasher.update(data)

    def check_size(self, tree: Tree, path: str, status: os.stat_result) -> None:
        """Refuse a file that cannot be copied, before it is read for hours."""
        if stat.S_ISREG(status.st_mode) and not self._takes(status.st_size):
            raise InvalidInput(
                f'"{shown(path)}" in {tree.name} is larger than the file system of the data root has files: '
                f"{status.st_size} bytes, mostly holes",
                hint=f"add it to .dockerignore: {shown(path)}",
            )

    def begin_directory(self) -> None:
        """What follows is below another source: files of several names have them within one."""
        self._names.clear()

    def add_entry(self, entry: Entry, above: bytes) -> None:
        """A file below a directory whose path is ``above``, with a slash at its end."""
        self._check()
        path, status = os.fsencode(entry.path), entry.status
        mode = status.st_mode
        if stat.S_ISREG(mode):
            if status.st_nlink > 1:
                first = self._names.setdefault((status.st_dev, status.st_ino), path)
                if first != path:
                    self.add(b"%s\0same\0%s\0" % (path, first))
                    return
            elif (found := self._known.get(status)) is not None:
                self.add(b"%b\0%o\0%d\0%b" % (path, mode, status.st_size, found))
                return
            self.add_file(status, lambda: open_entry(entry, os.fsdecode(above)), b"%s\0" % path)
        elif stat.S_ISLNK(mode):
            target = os.readlink(entry.name, dir_fd=entry.directory)
            self.add(b"%s\0link\0%s\0" % (path, os.fsencode(target)))
        else:
            self.add(b"%s\0%o\0%d\0" % (path, mode, entry.status.st_rdev))
            if stat.S_ISDIR(mode):
                self.add(_shown(attributes_at(entry.directory, entry.name)))

    def add_file(self, status: os.stat_result, open_it: Callable[[], int], called: bytes = b"") -> None:
        """A regular file's mode, size and content after what it is ``called``; ``open_it`` gives a descriptor of it."""
        head = b"%b%o\0%d\0" % (called, status.st_mode, status.st_size)
        found = self._known.get(status)
        if found is None and not self._reads:
            raise _NotAtHandError
        if found is None and status.st_size < _LARGE:
            found = self._read(status, open_it(), self._buffer)
        self.add(head + (found or b""))
        if found is None:
            self._begin(status, open_it())

    def finish(self) -> str:
        """The identity of all that was added."""
        self._settle(0)
        return self._hasher.hexdigest()

    def _begin(self, status: os.stat_result, descriptor: int) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="kist-hash")
        work = self._pool.submit(lambda: self._read(status, descriptor, memoryview(bytearray(_BUFFER))))
        self._waiting.append(work)
        self._under_way += 1
        self._settle(2 * _THREADS)

    def _settle(self, most: int) -> None:
        """Hash what is ready, in order, and wait until at most so many files are under way."""
        while self._waiting and (self._under_way > most or not isinstance(self._waiting[0], Future)):
            first = self._waiting.popleft()
            if isinstance(first, Future):
                self._under_way -= 1
                first = first.result()
            self._hasher.update(first)

    def _read(self, status: os.stat_result, descriptor: int, buffer: memoryview) -> bytes:
        """The digest of a file's content and attributes; its descriptor is closed."""
        hasher = hashlib.sha256()
        try:
            while count := os.readv(descriptor, [buffer]):
                hasher.update(buffer[:count])
                self._check()
            attributes = attributes_of(descriptor)
        finally:
            os.close(descriptor)
        found = hasher.digest()
        if attributes:
            found = hashlib.sha256(found + _shown(attributes)).digest()
        self._known.put(status, found)
        return found


def _shown(attributes: Mapping[str, bytes]) -> bytes:
    """Attributes as bytes, different ones as different bytes."""
    return b"".join(
        b"%s\0%d\0%b" % (os.fsencode(name), len(value), value) for name, value in sorted(attributes.items())
    )
