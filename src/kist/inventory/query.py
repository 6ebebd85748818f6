"""``PACKAGE[<VERSION]``: which packages are meant."""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from kist.errors import InvalidInput, ParseError
from kist.inventory.versions import compare
from kist.spec.package import TYPES, Package

_QUERY = re.compile(r"\s*([^<>=!\s,]+)\s*((?:[<>=!].*)?)\Z")
_RELATION = re.compile(r"\s*(<=|>=|==|!=|<|>|=)\s*([^\s<>=!,]+)\s*\Z")
_LONGEST = 1000
_HINT = "for example openssl, 'openssl<3.0.15', 'libssl*>=3,<3.2' or 'pypi:requests=2.31.0'"


class Query(NamedTuple):
    """What is asked for.

    Attributes:
        text: as it was written.
        kind: the type of the package; empty for any.
        name: of the package or of its source, in lower case; ``*`` stands for anything.
        relations: an operator and a version each, which all have to hold.
    """

    text: str
    kind: str
    name: str
    relations: tuple[tuple[str, str], ...]

    def means(self, package: Package) -> bool:
        """Whether a package is one of those; of its source package the version counts where it is known."""
        if self.kind and package.type != self.kind:
            return False
        if self._names(package.name, package.type):
            return self._holds(package.type, package.version)
        if package.source and self._names(package.source, package.type):
            return self._holds(package.type, package.source_version or package.version)
        return False

    def _names(self, name: str, kind: str) -> bool:
        if kind == "maven" and ":" not in self.name:
            name = name.rpartition(":")[2]
        return fnmatchcase(_folded(name, kind), _folded(self.name, kind))

    def _holds(self, kind: str, version: str) -> bool:
        return all(_related(compare(kind, version, wanted), relation) for relation, wanted in self.relations)


def _folded(name: str, kind: str) -> str:
    """A name as its ecosystem compares it (PyPA: "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name.lower()


def _related(order: int, relation: str) -> bool:
    match relation:
        case "<":
            return order < 0
        case "<=":
            return order <= 0
        case ">":
            return order > 0
        case ">=":
            return order >= 0
        case "!=":
            return order != 0
    return order == 0


def parse_query(text: str) -> Query:
    """Read ``[TYPE:]NAME[RELATION VERSION[,…]]``; the relations are ``= != < <= > >=``.

    Raises:
        ParseError: it is none; points at the place.
        InvalidInput: it is too long.
    """
    if len(text) > _LONGEST:
        raise InvalidInput(f"what is asked for is longer than {_LONGEST} characters")
    found = _QUERY.match(text)
    if found is None:
        raise ParseError(f"a package is asked for by its name\n   | {text}\n   | ^", hint=_HINT)
    name, rest = found.groups()
    kind, colon, bare = name.partition(":")
    if not colon or kind not in TYPES:
        kind, bare = "", name
    if name.count("*") > 3:
        raise InvalidInput("a name has more than three stars", hint=_HINT)
    relations = []
    at = found.start(2)
    for part in rest.split(",") if rest else ():
        relation = _RELATION.match(part)
        if relation is None:
            caret = " " * at + "^"
            raise ParseError(
                f"{part.strip() or ','!r} is no relation and version\n   | {text}\n   | {caret}", hint=_HINT
            )
        relations.append((relation.group(1), relation.group(2)))
        at += len(part) + 1
    return Query(text.strip(), kind, bare.lower(), tuple(relations))
