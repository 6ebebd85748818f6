"""A tree that files are copied from: the build's context, or the root of an image.

All access is relative to a descriptor of the root. In the context a symbolic link must not lead out, so links are
resolved here, one component after the other; in an image's root they lead where they would in a container of it.
"""

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import BinaryIO, NamedTuple

from kist.build.stat_cache import StatCache
from kist.errors import Forbidden, InvalidInput, NotFound
from kist.image.tree import DEEPEST
from kist.kernel.paths import open_in_root, reopen
from kist.spec.dockerfile import Ignore
from kist.spec.dockerfile.glob import has_wildcards, name_pattern, unescaped

_MAX_LINKS = 40
_ASK_CONTEXT = "copy the file into the context, or give a directory that holds both as the context"


class Entry(NamedTuple):
    """One file below a source: its path relative to the source, its name in an open directory, and its status."""

    path: str
    name: str
    directory: int
    status: os.stat_result


class Tree:
    """A root and what may be seen of it.

    Args:
        root: a descriptor of the root directory; the caller keeps and closes it.
        name: for messages: ``the build context``, ``stage "build"``.
        ignore: what cannot be seen.
        confined: links that lead out are refused; otherwise they are followed inside the root.
        known: digests of files that need not be read for them; by default of none.
        hidden: the path of a file that is not seen: the build's own lock.
        settled: nobody writes to it.
    """

    def __init__(
        self,
        root: int,
        name: str,
        *,
        ignore: Ignore | None = None,
        confined: bool = False,
        known: StatCache | None = None,
        hidden: str = "",
        settled: bool = True,
    ) -> None:
        self._hidden_in, _, self._hidden = hidden.rpartition("/")
        self.root = root
        self.name = name
        self.confined = confined
        self.settled = settled
        self.known = known or StatCache()
        self._ignore = ignore or Ignore()

    def select(self, pattern: str) -> list[str]:
        """The paths that a source of COPY names; a pattern without wildcards names itself.

        Raises:
            NotFound: there is none; says whether ``.dockerignore`` is the reason, and what is nearest.
            InvalidInput: a link on the way leads out of the context, or the pattern is malformed.
        """
        if not has_wildcards(pattern):
            if not self._visible(pattern) or not self._exists(pattern):
                raise self._missing(pattern)
            return [pattern]
        found = [path for path in self._expand(pattern.split("/")) if self._visible(path) and self._exists(path)]
        if not found:
            raise NotFound(
                f'no source files were specified: nothing in {self.name} matches "{pattern}"',
                hint="wildcards match names of one directory level; files that .dockerignore excludes are not seen",
            )
        return found

    def status(self, path: str) -> os.stat_result:
        """Of what the path leads to."""
        descriptor = self._open(path, os.O_PATH)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def open(self, path: str) -> BinaryIO:
        """A regular file for reading.

        Raises:
            InvalidInput: it is something else, which is not even opened: a fifo would wait for a writer for ever, and
                some devices do things when they are opened.
        """
        descriptor = self._open(path, os.O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidInput(
                    f'"{shown(path)}" in {self.name} is neither a file nor a directory', hint="leave it out"
                )
            return os.fdopen(reopen(descriptor, os.O_RDONLY), "rb")
        except PermissionError:
            raise _unreadable(path) from None
        finally:
            os.close(descriptor)

    def is_directory(self, path: str) -> bool:
        """Whether the path leads to a directory."""
        return stat.S_ISDIR(self.status(path).st_mode)

    def walk(self, path: str, filters: Sequence[Ignore] = ()) -> Iterator[Entry]:
        """Everything below a directory, each directory before its contents, names in order of their bytes.

        Args:
            path: of the directory.
            filters: leave out further files, by their paths below the directory. A directory that is left out is there
                where something in it is not.
        """
        descriptor = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield from self._walk(descriptor, "" if path == "." else path, "", filters)
        finally:
            os.close(descriptor)

    def _walk(self, directory: int, above: str, relative: str, filters: Sequence[Ignore]) -> Iterator[Entry]:
        rules = bool(filters or self._ignore.rules)
        inside, hidden = f"{above}/" if above else "", self._hidden if above == self._hidden_in else ""
        down = f"{relative}/" if relative else ""
        hiding: Sequence[tuple[Ignore, str]] = ()
        for name in _in_order(os.listdir(directory)):
            if name == hidden:
                continue
            below = down + name
            if rules:
                hiding = self._hiding(inside + name, below, filters)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            entry = Entry(below, name, directory, status)
            if not stat.S_ISDIR(status.st_mode):
                if not hiding and not stat.S_ISSOCK(status.st_mode):
                    yield entry
                continue
            path = inside + name
            if not hiding:
                yield entry
                yield from self._below(entry, path, filters)
            elif all(ignore.may_include_below(at) for ignore, at in hiding):
                yield from _with_parent(entry, self._below(entry, path, filters))

    def _hiding(self, path: str, below: str, filters: Sequence[Ignore]) -> list[tuple[Ignore, str]]:
        """What leaves a file out, each with the path by which it knows it."""
        rules = ((self._ignore, path), *((one, below) for one in filters))
        return [(ignore, at) for ignore, at in rules if ignore.excludes(at)]

    def _below(self, entry: Entry, path: str, filters: Sequence[Ignore]) -> Iterator[Entry]:
        if path.count("/") >= DEEPEST:  # no layer could have it, and each level is a descriptor
            raise InvalidInput(
                f'"{shown(path[:60])}…" in {self.name} is nested deeper than {DEEPEST} directories',
                hint="add it to .dockerignore, or pack it into an archive",
            )
        try:
            descriptor = os.open(
                entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=entry.directory
            )
        except PermissionError:
            raise _unreadable(path) from None
        try:
            yield from self._walk(descriptor, path, entry.path, filters)
        finally:
            os.close(descriptor)

    def _expand(self, parts: list[str]) -> Iterator[str]:
        """The paths that match component by component, in order; whether they exist is not asked yet."""
        paths = [""]
        for part in parts:
            if not has_wildcards(part):
                paths = [posixpath.join(path, unescaped(part)) for path in paths]
                continue
            try:
                matches = name_pattern(part).fullmatch
            except ValueError as error:
                raise InvalidInput(f'malformed pattern "{"/".join(parts)}": {error}') from None
            paths = [posixpath.join(path, name) for path in paths for name in self._names(path) if matches(name)]
        return iter(paths)

    def _names(self, path: str) -> list[str]:
        try:
            descriptor = self._open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(os.listdir(descriptor), key=os.fsencode)
        finally:
            os.close(descriptor)

    def _is_hidden(self, path: str) -> bool:
        return bool(self._hidden) and posixpath.join(self._hidden_in, self._hidden) == path

    def _visible(self, path: str) -> bool:
        if self._is_hidden(path):
            return False
        return path == "." or not self._ignore.excludes(path) or self._ignore.may_include_below(path)

    def _exists(self, path: str) -> bool:
        try:
            self.status(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _open(self, path: str, flags: int) -> int:
        real = self._resolve(path) if self.confined else path
        try:
            return open_in_root(self.root, real, flags)
        except PermissionError:
            raise _unreadable(path) from None

    def _resolve(self, path: str) -> str:
        """The path without symbolic links; ``InvalidInput`` when one leads out."""
        done: list[str] = []
        waiting = path.split("/")[::-1]
        links = 0
        while waiting:
            part = waiting.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not done:
                    raise _leads_out(path, path)
                done.pop()
                continue
            here = "/".join((*done, part))
            if not stat.S_ISLNK(os.stat(here, dir_fd=self.root, follow_symlinks=False).st_mode):
                done.append(part)
                continue
            target = os.readlink(here, dir_fd=self.root)
            links += 1
            if links > _MAX_LINKS:
                raise InvalidInput(f'too many symbolic links on the way to "{shown(path)}"')
            if target.startswith("/") or _climbs_out(len(done), target):
                raise _leads_out(here, path, target)
            waiting.extend(target.split("/")[::-1])
        return "/".join(done) or "."

    def _missing(self, path: str) -> NotFound:
        if self._is_hidden(path):
            return NotFound(
                f'"{path}" is the lock of this build, which no COPY finds: it may be another one afterwards',
                hint="copy it under another name",
            )
        rule = self._ignore.why(path)
        if rule is not None:
            line = f"line {rule.line} of {self._ignore.name}"
            return NotFound(
                f'"{path}" is excluded from the build context by {line}: {shown(str(rule))}',
                hint=f"add a line !{path} below it, or take the pattern out",
            )
        near = get_close_matches(posixpath.basename(path), self._names(posixpath.dirname(path)), n=1, cutoff=0.5)
        hint = f"did you mean {shown(posixpath.join(posixpath.dirname(path), near[0]))}?" if near else ""
        return NotFound(f'"{path}" does not exist in {self.name}', hint=hint or "paths are relative to its root")


def open_entry(entry: Entry, above: str) -> int:
    """A descriptor of a regular file that was found below the directory ``above``, for reading.

    Raises:
        Forbidden: it may not be read.
    """
    try:
        return os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=entry.directory)
    except PermissionError:
        raise _unreadable(posixpath.normpath(posixpath.join(above, entry.path))) from None


def _in_order(names: list[str]) -> list[str]:
    """Names in the order of their bytes."""
    # Text has the order of its bytes in UTF-8, but for what stands for bytes that are no text.
    return sorted(names) if all(map(str.isascii, names)) else sorted(names, key=os.fsencode)


def _with_parent(parent: Entry, below: Iterator[Entry]) -> Iterator[Entry]:
    """An excluded directory is there only when something below it is."""
    for first in below:
        yield parent
        yield first
        yield from below


def _climbs_out(depth: int, target: str) -> bool:
    """Whether the ``..`` of a link's target go above the root from ``depth`` directories down."""
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in {"", "."}:
            depth += 1
        if depth < 0:
            return True
    return False


def _leads_out(link: str, path: str, target: str = "") -> InvalidInput:
    cause = f'"{shown(link)}" is a symbolic link to "{shown(target)}", which is' if target else f'"{shown(path)}" leads'
    return InvalidInput(f"forbidden path outside the build context: {cause} outside of it", hint=_ASK_CONTEXT)


def _unreadable(path: str) -> Forbidden:
    return Forbidden(
        f'"{shown(path)}" cannot be read: permission denied',
        hint=f"let the user who builds read it, or add it to .dockerignore: {shown(path)}",
    )


def shown(path: str) -> str:
    """A path for people: bytes that are not UTF-8 written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
