"""The files inside an image's archive: read once from a stream, the large ones straight to where blobs are kept."""

import io
import posixpath
import re
from collections.abc import Callable
from typing import BinaryIO, Protocol

from kist.errors import Corrupt, InvalidInput, Unsupported
from kist.image import tar
from kist.image.tar import Entry, TarReader
from kist.spec.digest import Digest

JSON_LIMIT = 4 << 20
_SMALL = 256 << 10
_SMALL_TOTAL = 64 << 20
_MOST_LINKS = 16
_MOST_MEMBERS = 1 << 16
_LONGEST_PATH = 4096
_AGAIN = "save the image again"
_BLOB = re.compile(r"blobs/(sha256)/([0-9a-f]{64})\Z|()([0-9a-f]{64})\.json\Z")


class Sink(Protocol):
    """Where a large member goes (``kist.store.BlobWriter`` is one)."""

    def write(self, data: memoryview, /) -> object:
        """Add bytes, which do not change any more."""

    def finish(self) -> Digest:
        """The digest of all that was written."""

    def reader(self) -> BinaryIO:
        """What was written."""


class Member:
    """One file: held in memory (``data``) or written to a sink (``sink``)."""

    def __init__(self, digest: Digest, size: int, data: bytes | None, sink: Sink | None) -> None:
        self.digest = digest
        self.size = size
        self.data = data
        self.sink = sink

    def open(self) -> BinaryIO:
        """The content, as a stream from its start."""
        if self.sink is not None:
            return self.sink.reader()
        return io.BytesIO(self.data or b"")

    def read(self, what: str) -> bytes:
        """The content of a JSON document."""
        if self.size > JSON_LIMIT:
            raise InvalidInput(f"{what} in the archive is larger than {JSON_LIMIT} bytes")
        with self.open() as file:
            return file.read()


class Members:
    """All files of an archive, by path."""

    def __init__(self) -> None:
        self._files: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        self._held = 0
        self._count = 0

    @classmethod
    def read(cls, stream: BinaryIO, open_sink: Callable[[], Sink]) -> "Members":
        """Read a plain tar to its end.

        Raises:
            Corrupt: it is damaged, or a blob is not what its name says.
            InvalidInput: a member's name or link leads out of the archive, or is neither file, link nor directory.
        """
        members = cls()
        reader = TarReader(stream, what="image archive", end_mark=True)
        for entry in reader:
            members._add(entry, reader, open_sink)
        return members

    def get(self, path: str) -> Member | None:
        """The file at a path, through links; None when there is none."""
        for _ in range(_MOST_LINKS):
            if path not in self._links:
                return self._files.get(path)
            path = self._links[path]
        raise InvalidInput(f"the image archive has a loop of links at {path!r}")

    def need(self, path: str) -> Member:
        """As ``get``; ``Corrupt`` when there is none."""
        found = self.get(_clean(path))
        if found is None:
            raise Corrupt(f"the image archive lacks {path if path.isprintable() else repr(path)}", hint=_AGAIN)
        return found

    def blob(self, digest: Digest) -> Member | None:
        """The blob of an OCI layout; ``Corrupt`` where a link leads to another content.

        Raises:
            Unsupported: its digest is not SHA-256.
        """
        path = f"blobs/{digest.algorithm}/{digest.hex}"
        found = self.get(path)
        if found is not None:
            if digest.algorithm != "sha256":
                raise Unsupported(f"the image archive has {digest}", hint="Kist keeps content by SHA-256")
            _check_name(path, found.digest)
        return found

    def need_blob(self, digest: Digest) -> Member:
        """As ``blob``; ``Corrupt`` when there is none."""
        return self.blob(digest) or self.need(f"blobs/{digest.algorithm}/{digest.hex}")

    def _add(self, entry: Entry, reader: TarReader, open_sink: Callable[[], Sink]) -> None:
        path = _clean(entry.name.decode("utf-8", "surrogateescape"))
        self._count += 1
        if self._count > _MOST_MEMBERS:
            raise InvalidInput(f"the image archive has more than {_MOST_MEMBERS} members")
        if entry.kind is tar.DIRECTORY:
            return
        self._links.pop(path, None)
        if entry.kind is tar.REGULAR:
            self._files[path] = member = self._content(entry, reader, open_sink)
            _check_name(path, member.digest)
        elif entry.kind is tar.SYMBOLIC_LINK:
            self._links[path] = _clean(
                posixpath.join(posixpath.dirname(path), entry.link.decode("utf-8", "surrogateescape")), whole=True
            )
        elif entry.kind is tar.HARD_LINK:
            self._links[path] = _clean(entry.link.decode("utf-8", "surrogateescape"))
        else:
            raise InvalidInput(f"the image archive has a member {path!r} that is no file", hint=_AGAIN)

    def _content(self, entry: Entry, reader: TarReader, open_sink: Callable[[], Sink]) -> Member:
        if entry.size <= _SMALL and self._held + entry.size <= _SMALL_TOTAL:
            data = b"".join(bytes(chunk) for chunk in reader.chunks())
            self._held += entry.size
            return Member(Digest.of(data), entry.size, data, None)
        sink = open_sink()
        for chunk in reader.chunks():
            sink.write(chunk)
        return Member(sink.finish(), entry.size, None, sink)


def _clean(name: str, *, whole: bool = False) -> str:
    """The normal form of a path in the archive; ``whole`` lets ``..`` stand where it stays inside."""
    if len(name) > _LONGEST_PATH:
        raise InvalidInput(f"the image archive has a path of {len(name)} characters", hint=_AGAIN)
    path = posixpath.normpath(name)
    if name.startswith("/") or path.startswith("../") or path == ".." or (".." in name.split("/") and not whole):
        raise InvalidInput(
            f"the image archive has the path {name!r}, which leads out of it", hint="do not trust this archive"
        )
    return path


def _check_name(path: str, digest: Digest) -> None:
    """A file that is named by its digest has that digest."""
    named = _BLOB.match(path)
    if named and digest.hex != (named[2] or named[4]):
        raise Corrupt(
            f"{path} in the image archive does not match its digest: its content has {digest}",
            hint="the archive was damaged; save the image again",
        )
