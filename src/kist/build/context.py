"""The build's context: its directory, its Dockerfile, its ``.dockerignore``."""

import errno
import os
import posixpath
from difflib import get_close_matches
from functools import lru_cache
from types import TracebackType
from typing import Self

from kist.build.reading import read_inside
from kist.build.stat_cache import StatCache, is_of
from kist.build.tree import Tree, shown
from kist.errors import InvalidInput, NotFound, from_os_error
from kist.spec.dockerfile import Dockerfile, Ignore, parse
from kist.spec.dockerfile.ignore import NAME as IGNORE_NAME
from kist.spec.dockerfile.ignore import OF_ONE
from kist.store import Store

_OTHER_NAMES = ("dockerfile", "Containerfile")
_LARGEST_TEXT = 16 << 20
# A pipe, a device; links in a circle.
_OF_THE_FILE = frozenset({errno.EINVAL, errno.ELOOP})
_LARGEST_KEPT = 64 << 10


@lru_cache(maxsize=16)
def _parse_again(text: bytes, name: str) -> Dockerfile:
    """A Dockerfile that was perhaps read for a build before."""
    return parse(text, name)


class Context:
    """An open context directory; a context manager.

    Args:
        directory: its path.
        dockerfile: the path of the Dockerfile inside the context.
        store: keeps what is known of its files, for the next build; without one it is not kept.
        hidden: the path of the build's lock, which no COPY finds: it would be another context once it is written.
        known: digests of its files; by default those that the store has of the directory.

    Attributes:
        tree: what COPY and ADD see of it.
        ignore: what the user leaves out of it.

    Raises:
        NotFound: the directory does not exist.
        ParseError: its ``.dockerignore`` is malformed.
    """

    def __init__(
        self,
        directory: str,
        store: Store | None = None,
        dockerfile: str = "Dockerfile",
        *,
        hidden: str = "",
        known: StatCache | None = None,
    ) -> None:
        try:
            self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f'unable to prepare context: "{directory}" is not a directory',
                hint="the last argument of a build is the directory that holds the files to copy",
            ) from None
        except OSError as error:
            raise from_os_error(error, "open build context") from error
        self._text: bytes | None = None
        try:
            self._path = self._find(dockerfile)
            self.ignore = self._ignore()
            known = known or (StatCache.of(store, directory) if store else StatCache())
        except BaseException:
            os.close(self._root)
            raise
        self._store = store
        self.tree = Tree(
            self._root,
            "the build context",
            ignore=self.ignore,
            confined=True,
            known=known,
            hidden=hidden,
            settled=store is not None and is_of(store, directory),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)
        if self._store:
            self.tree.known.save(self._store)

    def dockerfile(self) -> Dockerfile:
        """Read and parse the Dockerfile.

        Raises:
            NotFound: there is none; the nearest name is suggested.
            InvalidInput: the path leads out of the context.
            ParseError: it cannot be read.
        """
        text = self._text if self._text is not None else self._read(self._path)
        if text is None:
            raise self._no_dockerfile(self._path)
        return (_parse_again if len(text) <= _LARGEST_KEPT else parse)(text, self._path)

    def _find(self, path: str) -> str:
        """Where the Dockerfile is; a slash at the start of its path is the context's root.

        Where there is no ``Dockerfile``, a ``dockerfile`` or a ``Containerfile`` serves.
        """
        clean = posixpath.normpath(path.lstrip("/") or ".")
        if clean.startswith("../") or clean == "..":
            raise InvalidInput(
                f'the Dockerfile "{path}" must be within the build context: forbidden path outside the build context'
            )
        if clean != "Dockerfile":
            return clean
        for name in (clean, *_OTHER_NAMES):
            self._text = self._read(name)
            if self._text is not None:
                return name
        return clean

    def _ignore(self) -> Ignore:
        """What is left out: by the Dockerfile's own file, else by that of all."""
        for name in (OF_ONE.format(self._path), IGNORE_NAME):
            text = self._read(name)
            if text is not None:
                return Ignore.parse(text, name)
        return Ignore()

    def texts(self) -> dict[str, bytes]:
        """What rules look at: the Dockerfile and the ``.dockerignore`` that is for it, by their paths.

        Raises:
            NotFound: there is no Dockerfile.
        """
        text = self._text if self._text is not None else self._read(self._path)
        if text is None:
            raise self._no_dockerfile(self._path)
        ignores = ((name, self._read(name)) for name in (OF_ONE.format(self._path), IGNORE_NAME))
        return {self._path: text, **{name: data for name, data in ignores if data is not None}}

    def text(self, path: str) -> str | None:
        """The text of a file in the context; None where there is none.

        Raises:
            InvalidInput: it is too large, or no text.
        """
        data = self._read(path)
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError:
            raise InvalidInput(f'"{path}" is no text in UTF-8') from None

    def _read(self, path: str) -> bytes | None:
        try:
            text = read_inside(self._root, path, _LARGEST_TEXT)
        except IsADirectoryError:
            raise InvalidInput(f'"{path}" is a directory, and a file is needed') from None
        except OSError as error:
            if error.errno in _OF_THE_FILE:
                raise InvalidInput(f'"{path}" cannot be read: {(error.strerror or "").lower()}') from error
            raise from_os_error(error, "read") from error
        if text is not None and len(text) > _LARGEST_TEXT:
            raise InvalidInput(f'"{path}" is larger than {_LARGEST_TEXT >> 20} MiB')
        return text

    def _no_dockerfile(self, path: str) -> NotFound:
        near = [] if "/" in path else get_close_matches(path, os.listdir(self._root), n=1, cutoff=0.5)
        hint = f"did you mean -f {shown(near[0])}?" if near else "name it with -f, relative to the context"
        return NotFound(f'failed to read dockerfile: "{path}" does not exist in the build context', hint=hint)
