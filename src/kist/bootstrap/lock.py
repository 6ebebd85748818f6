"""The lock file: exactly which packages an image is made of (text to values and back; docs/guide/base-images.md).

It does not say where the packages were fetched from, so that the same packages give the same lock, and the same
image, from any mirror.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, cast

import msgspec

from kist.bootstrap.distribution import Archive, Release
from kist.errors import InvalidInput, ParseError

_HEAD = """\
# The packages of a base image. With this file, `kist bootstrap --lock FILE` makes the very same image again.
kist-lock 1
"""
_DATE = "%Y-%m-%dT%H:%M:%SZ"

# base: unpacked with the base. asked: installed by apt in the running base, for the user or the variant. needed: the
# same, for another package: apt may remove it again when nothing needs it any more.
Kind = Literal["base", "asked", "needed"]

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*\Z")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~_-]*\Z")
_ROW = ("kind", "name", "version", "architecture", "sha256", "size", "suite", "path")


class LockedPackage(msgspec.Struct, frozen=True):
    """One package file.

    Attributes:
        kind: how it gets into the image, and why.
        size: bytes.
        suite: the suite it came from, which says what archive to look in.
        path: below the archive's base.
    """

    kind: Kind
    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    suite: str
    path: str

    def __post_init__(self) -> None:
        """Names become file names.

        Raises:
            InvalidInput: one of them is none that Debian's policy allows (5.6.7, 5.6.8, 5.6.12).
        """
        for what, value, pattern in (
            ("name", self.name, _NAME),
            ("version", self.version, _VERSION),
            ("architecture", self.architecture, _NAME),
        ):
            if not pattern.match(value):
                raise InvalidInput(f"invalid {what} of a package: {value!r}")

    @property
    def file_name(self) -> str:
        """As apt names it, unlike any other package's."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


class Lock(msgspec.Struct, frozen=True):
    """All that an image depends on, besides the version of Kist.

    Attributes:
        date: seconds since the epoch; no file of the image is newer.
        archives: what apt in the image reads.
        include: the packages that the user asked for.
    """

    release: Release
    architecture: str
    variant: str
    date: int
    archives: tuple[Archive, ...]
    include: tuple[str, ...]
    packages: tuple[LockedPackage, ...]

    @property
    def base(self) -> tuple[LockedPackage, ...]:
        """The packages of the base."""
        return tuple(package for package in self.packages if package.kind == "base")

    @property
    def added(self) -> tuple[LockedPackage, ...]:
        """The packages that apt installs in the running base."""
        return tuple(package for package in self.packages if package.kind != "base")


def format_lock(lock: Lock) -> str:
    """The text of a lock; equal locks have equal texts."""
    lines = [
        f"distribution debian {lock.release.version} {lock.release.codename}",
        f"architecture {lock.architecture}",
        f"variant {lock.variant}",
        f"date {datetime.fromtimestamp(lock.date, UTC).strftime(_DATE)}",
        *(f"include {name}" for name in sorted(set(lock.include))),
        *(f"archive {archive.suite} {','.join(archive.components)} {archive.uri}" for archive in lock.archives),
        *(_format_package(package) for package in sorted(lock.packages, key=_order)),
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _order(package: LockedPackage) -> tuple[bool, str]:
    return package.kind != "base", package.name


def _format_package(package: LockedPackage) -> str:
    return (
        f"{package.kind} {package.name} {package.version} {package.architecture} sha256:{package.sha256} "
        f"{package.size} {package.suite} {package.path}"
    )


def parse_lock(text: str, *, source: str = "lock file") -> Lock:
    """Read a lock file.

    Raises:
        ParseError: points at the line that cannot be right.
    """
    reader = _Reader(source)
    for number, line in enumerate(text.split("\n"), 1):
        reader.feed(number, line.rstrip())
    return reader.finish()


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._number = 0
        self._line = ""
        self._values: dict[str, Sequence[str]] = {}
        self._include: list[str] = []
        self._archives: list[Archive] = []
        self._packages: dict[str, LockedPackage] = {}

    def feed(self, number: int, line: str) -> None:
        self._number, self._line = number, line
        if not line or line.startswith("#"):
            return
        word, *rest = line.split()
        if word != "kist-lock" and "kist-lock" not in self._values:
            raise self._error("this is no lock file of Kist: expected 'kist-lock 1'")
        match word:
            case "base" | "asked" | "needed":
                self._package(line.split())
            case "include":
                self._include.extend(self._take(rest, "package"))
            case "archive":
                suite, components, uri = self._take(rest, "suite", "components", "URL")
                self._archives.append(Archive(uri, suite, tuple(components.split(","))))
            case "kist-lock" | "architecture" | "variant" | "date":
                self._values[word] = self._take(rest, word)
            case "distribution":
                self._values[word] = self._take(rest, "name", "version", "code name")
            case _:
                raise self._error(f"unknown word {word!r}")
        if word == "kist-lock" and rest != ["1"]:
            raise self._error("this lock was written by a newer Kist", hint="update Kist")

    def finish(self) -> Lock:
        missing = next((word for word in _missing(self._values)), None)
        if missing or not self._packages:
            raise ParseError(f"the lock is cut short: no {missing or 'packages'!r} line", source=self._source)
        _, version, codename = self._values["distribution"]
        return Lock(
            release=Release(version, codename),
            architecture=self._values["architecture"][0],
            variant=self._values["variant"][0],
            date=self._date(self._values["date"][0]),
            archives=tuple(self._archives),
            include=tuple(self._include),
            packages=tuple(self._packages.values()),
        )

    def _package(self, row: Sequence[str]) -> None:
        kind, name, version, architecture, digest, size, suite, path = self._take(row, *_ROW)
        algorithm, _, sha256 = digest.partition(":")
        if algorithm != "sha256" or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise self._error(f"{digest!r} is not sha256: and 64 hexadecimal digits", column=self._line.index(digest))
        if not size.isdigit():
            raise self._error(f"the size {size!r} is not a number", column=self._line.index(size))
        if name in self._packages:
            raise self._error(f"the package {name!r} is listed twice")
        try:
            self._packages[name] = LockedPackage(
                cast("Kind", kind), name, version, architecture, sha256, int(size), suite, path
            )
        except InvalidInput as error:
            raise self._error(error.message) from error

    def _take(self, row: Sequence[str], *names: str) -> Sequence[str]:
        if len(row) != len(names):
            raise self._error(f"expected {' '.join(name.upper() for name in names)}")
        return row

    def _date(self, text: str) -> int:
        try:
            return int(datetime.strptime(text, _DATE).replace(tzinfo=UTC).timestamp())
        except ValueError:
            raise ParseError(f"the date {text!r} is not like 2026-01-31T12:00:00Z", source=self._source) from None

    def _error(self, message: str, *, column: int = 0, hint: str = "") -> ParseError:
        return ParseError(
            message, source=self._source, line=self._number, column=column + 1, text=self._line, hint=hint
        )


def _missing(values: dict[str, Sequence[str]]) -> Iterator[str]:
    return (w for w in ("kist-lock", "distribution", "architecture", "variant", "date") if w not in values)
