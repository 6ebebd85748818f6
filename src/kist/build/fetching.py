"""What ADD fetches: files of the web and Git repositories, each once in a build, and not at all where it is known.

A file is known again by its checksum, or by what the server told of it the last time (ETag, Last-Modified); a
repository by its commit. Only a step that is not in the cache has them fetched.
"""

import email.utils
import hashlib
import os
import posixpath
import re
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from kist.build import repository
from kist.build.plan import Checkout, Download
from kist.build.tree import Tree
from kist.engine.download import Version, open_changed, open_url
from kist.engine.stop import Stop
from kist.errors import Corrupt, Forbidden, InvalidInput, KistError, Unavailable
from kist.kernel import faults
from kist.spec.digest import Digest
from kist.spec.json import decode, encode

if TYPE_CHECKING:
    from kist.engine.download import Download as Content
    from kist.engine.engine import Engine

_CHUNK = 1 << 20
_MODE = 0o600  # Docker's, of what is fetched
_NAMED = re.compile(r"""filename\s*=\s*(?:"([^"]*)"|([^;\s]+))""", re.IGNORECASE)


class _Seen(msgspec.Struct, frozen=True):
    """What was at a URL: by what its server knows it again, its digest, and its name there."""

    etag: str
    last_modified: str
    digest: str
    name: str


class _Kept:
    """One thing that is fetched; whoever has the lock fetches it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.identity = ""
        self.commit: repository.Commit | None = None
        self.place: tuple[Tree, str] | None = None


class Fetching:
    """Fetches for the steps of one build; a context manager, at whose end what was fetched is gone.

    Args:
        engine: has room for it, and knows whether its user may have something fetched.
        stop: when it is given, all ends.
        anew: nothing is known (``--no-cache``).
    """

    def __init__(self, engine: "Engine", stop: Stop, *, anew: bool) -> None:
        self._store = engine.store
        self._catalogue = engine.catalogue
        self._stop = stop
        self._anew = anew
        self._lock = threading.Lock()
        self._kept: dict[Download | Checkout, _Kept] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def identity(self, wanted: Download | Checkout) -> str:
        """What it is, as far as a copy of it depends on that: a file's digest and name, or a commit with what of it.

        Raises:
            Forbidden: who builds may have nothing fetched.
            NotFound, Unavailable, Unsupported, Corrupt, InvalidInput: it cannot be had, or is not what it must be.
        """
        if not self._catalogue.may_fetch:
            raise Forbidden("only the engine's own user may have it fetch something", hint="COPY it from the context")
        with self._lock:
            kept = self._kept.setdefault(wanted, _Kept())
        with kept.lock:
            if not kept.identity:
                if isinstance(wanted, Download):
                    kept.identity = self._file_identity(wanted, kept)
                else:
                    kept.identity = self._commit_identity(wanted, kept)
            return kept.identity

    @property
    def identities(self) -> Mapping[Download | Checkout, str]:
        """What has been asked for so far, and what it is: a digest or a commit comes first."""
        with self._lock:
            return {wanted: kept.identity for wanted, kept in self._kept.items() if kept.identity}

    def place(self, wanted: Download | Checkout) -> tuple[Tree, str]:
        """A tree that it is in, and its path there: a file, or a directory.

        Raises:
            Unavailable: it is another one by now than ``identity`` has told; or as that.
        """
        self.identity(wanted)
        kept = self._kept[wanted]
        with kept.lock:
            if kept.place is None:
                if isinstance(wanted, Download):
                    with open_url(wanted.url, self._store.root, self._stop) as content:
                        self._keep(wanted, kept, content)
                else:
                    self._check_out(wanted, kept)
            assert kept.place is not None
            return kept.place

    # Files

    def _file_identity(self, wanted: Download, kept: _Kept) -> str:
        if wanted.checksum and wanted.name:
            return f"{wanted.checksum} {wanted.name}"
        seen = None if wanted.checksum else self._seen(wanted.url)
        known = Version(seen.etag, seen.last_modified) if seen else Version()
        content = open_changed(wanted.url, self._store.root, known, self._stop)
        if content is None:
            assert seen is not None
            return f"{seen.digest} {seen.name}"
        with content:
            return self._keep(wanted, kept, content)

    def _keep(self, wanted: Download, kept: _Kept, content: "Content") -> str:
        """Write the file down, and check what it is."""
        name = wanted.name or _told_name(content.disposition)
        if not name:
            raise InvalidInput(
                f"cannot determine the name of a file for {wanted.url}: neither the URL nor the server has one",
                hint="give the file's name at the end of the destination",
            )
        directory = self._directory()
        hasher = hashlib.new(wanted.checksum.partition(":")[0] or "sha256")
        path = os.path.join(directory, name)
        try:
            with self._stop.heard_by(content.interrupt), open(path, "xb") as file:
                while data := content.read(_CHUNK):
                    self._stop.check()
                    hasher.update(data)
                    file.write(data)
                    faults.point("build fetch: wrote a part of a file")
        except KistError:
            self._stop.check()  # a read that was interrupted
            raise
        os.chmod(path, _MODE)
        time = _seconds(content.version.last_modified)
        os.utime(path, (time, time))
        found = f"{hasher.name}:{hasher.hexdigest()}"
        faults.point("build fetch: has a whole file")
        if wanted.checksum not in {"", found}:
            raise Corrupt(
                f"{wanted.url} has the digest {found}, and --checksum has {wanted.checksum}",
                hint="look at what has changed there, and give the new checksum",
            )
        identity = f"{found} {name}"
        if kept.identity not in {"", identity}:
            raise Unavailable(f"{wanted.url} changed while it was fetched", hint="build again")
        if not wanted.checksum and any(content.version):
            self._store.records.cache_put(self._record(wanted.url), encode(_Seen(*content.version, found, name)))
            faults.point("build fetch: noted what its server told")
        kept.place = self._tree(directory, wanted.url), name
        return identity

    def _seen(self, url: str) -> _Seen | None:
        value = None if self._anew else self._store.records.cache_get(self._record(url))
        return decode(value, _Seen, what="record of a URL") if value is not None else None

    def _record(self, url: str) -> str:
        return f"{self._catalogue.scope}url:{Digest.of(url.encode()).hex}"

    # Repositories

    def _commit_identity(self, wanted: Checkout, kept: _Kept) -> str:
        kept.commit = repository.resolve(wanted.repository, self._store.root, self._stop)
        faults.point("build fetch: knows a commit")
        asked = wanted.repository
        # With its history, a repository's name and address are in what is copied.
        history = f"{asked.address} {kept.commit.name}" if asked.keep_git_dir else ""
        return f"{kept.commit.id} {asked.directory} {asked.submodules:d} {history}"

    def _check_out(self, wanted: Checkout, kept: _Kept) -> None:
        directory = self._directory()
        inside = repository.check_out(wanted.repository, directory, self._stop, kept.commit).directory
        kept.place = self._tree(inside, repository.shown(wanted.repository.address)), "."

    def _directory(self) -> str:
        with self._lock:
            return self._stack.enter_context(self._store.temporary())

    def _tree(self, directory: str, name: str) -> Tree:
        """What is in a directory; links in it lead nowhere else."""
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with self._lock:
            self._stack.callback(os.close, root)
        return Tree(root, name, confined=True)


def _told_name(disposition: str) -> str:
    """The name in a Content-Disposition; empty where it is no name of a file."""
    match = _NAMED.search(disposition)
    name = posixpath.basename((match[1] or match[2] or "") if match else "")
    return name if name not in {".", ".."} and "\0" not in name else ""


def _seconds(last_modified: str) -> float:
    """The time of Last-Modified, the epoch where there is none: it is not the time of the build."""
    with suppress(ValueError, OverflowError):
        return max(email.utils.parsedate_to_datetime(last_modified).timestamp(), 0) if last_modified else 0
    return 0
