"""The packages that the archives offer (pure): a list of 60,000 is cut up at once, and read where looked at."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec

from kist.bootstrap import deb822
from kist.bootstrap.dependency import Alternatives, parse_relations
from kist.errors import Corrupt
from kist.spec.debian_version import sort_key

_NAME = re.compile(rb"^Package:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_PROVIDES = re.compile(rb"^Provides:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE | re.IGNORECASE)


class Package(msgspec.Struct, frozen=True, dict=True):
    """One version of a package in an archive.

    Attributes:
        path: of its file, below the archive's base.
        size: bytes of that file.
    """

    name: str
    version: str
    architecture: str
    suite: str
    path: str
    sha256: str
    size: int
    priority: str
    essential: bool
    fields: deb822.Paragraph

    @cached_property
    def depends(self) -> tuple[Alternatives, ...]:
        """Pre-Depends and Depends."""
        return self._relations("Pre-Depends") + self._relations("Depends")

    @cached_property
    def provides(self) -> tuple[Alternatives, ...]:
        """The names that it stands in for."""
        return self._relations("Provides")

    @cached_property
    def rejects(self) -> tuple[Alternatives, ...]:
        """Conflicts and Breaks: what must not be installed beside it."""
        return self._relations("Conflicts") + self._relations("Breaks")

    def _relations(self, field: str) -> tuple[Alternatives, ...]:
        return parse_relations(self.fields.get(field, ""))

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class PackageIndex:
    """All packages of some suites.

    Args:
        lists: the suite and the text of each list of packages.
    """

    def __init__(self, lists: Iterable[tuple[str, bytes]]) -> None:
        self._stanzas: dict[str, list[tuple[str, bytes]]] = {}
        self._read: dict[str, tuple[Package, ...]] = {}
        for suite, data in lists:
            for stanza in data.split(b"\n\n"):
                name = _name(stanza)
                if name:
                    self._stanzas.setdefault(name, []).append((suite, stanza))

    @property
    def names(self) -> Iterable[str]:
        """The names of all packages."""
        return self._stanzas.keys()

    def versions(self, name: str) -> tuple[Package, ...]:
        """All versions of a package, the newest first; none where no archive has it."""
        if name not in self._read:
            found = (read_package(suite, stanza) for suite, stanza in self._stanzas.get(name, ()))
            self._read[name] = tuple(sorted(found, key=lambda package: sort_key(package.version), reverse=True))
        return self._read[name]

    def newest(self, name: str) -> Package | None:
        """The newest version of a package."""
        return next(iter(self.versions(name)), None)

    def providers(self, name: str) -> tuple[Package, ...]:
        """The newest versions of the packages that provide a name, by their own names."""
        return tuple(package for package in map(self.newest, self._providers.get(name, ())) if package is not None)

    def with_text(self, text: bytes) -> Iterator[Package]:
        """The newest versions of the packages whose paragraph has this line (``Essential: yes``)."""
        needle = b"\n" + text + b"\n"
        for name, stanzas in self._stanzas.items():
            if any(needle in stanza + b"\n" for _, stanza in stanzas):
                package = self.newest(name)
                if package is not None:
                    yield package

    @cached_property
    def _providers(self) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for name, stanzas in self._stanzas.items():
            for _, stanza in stanzas:
                match = _PROVIDES.search(stanza) if b"\nProvides:" in stanza else None
                for (relation,) in parse_relations(match[1].decode()) if match else ():
                    found.setdefault(relation.name, set()).add(name)
        return {virtual: sorted(names) for virtual, names in found.items()}


def _name(stanza: bytes) -> str:
    if stanza.startswith(b"Package: "):
        return stanza[9 : stanza.find(b"\n") if b"\n" in stanza else None].decode()
    match = _NAME.search(stanza)
    return match[1].decode() if match else ""


def read_package(suite: str, stanza: bytes) -> Package:
    """A package from its paragraph.

    Raises:
        Corrupt: the paragraph lacks what every package in an archive has.
    """
    fields = deb822.parse_one(stanza.decode("utf-8", "replace"), source=f"the packages of {suite}")
    try:
        return Package(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            suite=suite,
            path=fields["Filename"].removeprefix("./"),
            sha256=fields["SHA256"].lower(),
            size=int(fields["Size"]),
            priority=fields.get("Priority", "optional"),
            essential=fields.get("Essential", "") == "yes",
            fields=fields,
        )
    except (KeyError, ValueError) as error:
        raise Corrupt(
            f"the package {fields.get('Package', '')!r} in {suite} has no valid {error}", hint="name another mirror"
        ) from error
