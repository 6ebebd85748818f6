"""Java archives: ``pom.properties`` of Maven, else the manifest, also of archives that lie in an archive.

(JAR file specification, "The META-INF directory"; Maven Archiver, "archive".) An archive is unpacked nowhere; what is
read of it is bounded, however much it says that it holds.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from kist.inventory.failure import Unreadable
from kist.inventory.text import header
from kist.spec.package import Package

SUFFIXES = (".jar", ".war", ".ear", ".jpi", ".hpi")
_POM = re.compile(r"META-INF/maven/[^/]+/[^/]+/pom\.properties\Z")
_MANIFEST = "META-INF/MANIFEST.MF"
_FIELDS = frozenset(
    {
        "implementation-title", "implementation-version", "implementation-vendor-id", "bundle-symbolicname",
        "bundle-version", "bundle-license", "automatic-module-name", "specification-version",
    }
)  # fmt: skip
_VERSIONED = re.compile(r"(.+?)-(\d[\w.+-]*)\Z")
_DEEPEST = 4
_MOST_MEMBERS = 100_000
_LARGEST_TEXT = 1 << 20
_LARGEST_INNER = 64 << 20
_MOST_INNER = 256 << 20  # bytes of all archives in one


def read(path: str, file: BinaryIO) -> Iterator[Package]:
    """The packages of an archive; one that nothing in it names is called as its file is.

    Raises:
        Unreadable: it is no zip file, or damaged.
    """
    yield from _Archives().read(path, file, 0)


class _Archives:
    """An archive with those in it, of which all together may take so much."""

    def __init__(self) -> None:
        self._left = _MOST_INNER

    def read(self, path: str, file: BinaryIO, depth: int) -> Iterator[Package]:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if len(members) > _MOST_MEMBERS:
                    raise Unreadable(f"it has {len(members)} members")
                own = [*self._poms(archive, members, path)] or [*_by_manifest(_text(archive, _MANIFEST), path)]
                yield from own
                for member in members:
                    if member.filename.endswith(SUFFIXES) and not member.is_dir():
                        yield from self._inner(archive, member, f"{path}!/{member.filename}", depth + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
            EOFError,
            ValueError,
            OSError,
        ) as error:
            # Whatever is wrong with a zip file: damage, encryption, a method that nobody has, a seek outside of it.
            raise Unreadable(f"it is no readable zip file: {error}") from None

    def _inner(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, depth: int) -> Iterator[Package]:
        if depth > _DEEPEST or member.file_size > min(_LARGEST_INNER, self._left):
            return
        with archive.open(member) as file:
            data = file.read(min(_LARGEST_INNER, self._left) + 1)
        self._left -= len(data)
        if self._left >= 0:
            yield from self.read(path, io.BytesIO(data), depth)

    def _poms(self, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], path: str) -> Iterator[Package]:
        for member in members:
            if not _POM.match(member.filename) or member.file_size > _LARGEST_TEXT:
                continue
            lines = (line.partition("=") for line in _text(archive, member.filename).split("\n"))
            fields = {name.strip(): value.strip() for name, equals, value in lines if equals and name[:1] != "#"}
            group, artifact, version = (fields.get(key, "") for key in ("groupId", "artifactId", "version"))
            if group and artifact and version:
                yield Package("maven", f"{group}:{artifact}", version, path)


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """A small member's text; empty where there is none."""
    try:
        with archive.open(name) as file:
            return file.read(_LARGEST_TEXT).decode("utf-8", "replace")
    except KeyError:
        return ""


def _by_manifest(text: str, path: str) -> Iterator[Package]:
    """What a manifest says of its archive; where it names nothing, the file's name does."""
    fields = header(re.sub(r"\r?\n ", "", text), _FIELDS)
    stem = PurePosixPath(path).stem
    called = _VERSIONED.match(stem)
    symbolic = fields.get("bundle-symbolicname", "").partition(";")[0].strip()
    name = called.group(1) if called else symbolic or fields.get("implementation-title", "") or stem
    version = (
        (called.group(2) if called else "")
        or fields.get("implementation-version", "")
        or fields.get("bundle-version", "")
        or fields.get("specification-version", "")
    )
    if not name or not version or any(character.isspace() for character in name):
        return
    vendor = fields.get("implementation-vendor-id", "")
    group = vendor if re.fullmatch(r"[\w-]+(\.[\w-]+)+", vendor) else ""
    yield Package(
        "maven", f"{group}:{name}" if group else name, version, path, licence=fields.get("bundle-license", "")
    )
