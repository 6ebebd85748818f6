"""Relations between packages (Debian Policy 7.1): text to values."""

import re
from functools import lru_cache

import msgspec

from kist.errors import InvalidInput
from kist.spec.debian_version import satisfies

_RELATION = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<relation><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s()<=>]+)\s*\))?"
    r"(?:\s*\[(?P<architectures>[^\]]*)\])?\s*\Z"
)


class Relation(msgspec.Struct, frozen=True):
    """One package that a relation names; ``relation`` and ``version`` are empty where any version will do.

    Attributes:
        qualifier: ``any``, ``native`` or an architecture, after the name's colon; mostly empty.
    """

    name: str
    relation: str = ""
    version: str = ""
    qualifier: str = ""

    def holds(self, version: str) -> bool:
        """Whether the package in this version is meant."""
        return not self.relation or satisfies(version, self.relation, self.version)

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.relation} {self.version})" if self.relation else name


Alternatives = tuple[Relation, ...]


@lru_cache(maxsize=16384)
def parse_relations(text: str) -> tuple[Alternatives, ...]:
    """Read the value of Depends, Pre-Depends, Conflicts, Breaks or Provides: a list, each item with alternatives.

    Raises:
        InvalidInput: names the item that is not a relation.
    """
    return tuple(_alternatives(item) for item in text.split(",") if item.strip())


def _alternatives(item: str) -> Alternatives:
    return tuple(_relation(text) for text in item.split("|"))


def _relation(text: str) -> Relation:
    found = _RELATION.match(text)
    if found is None:
        raise InvalidInput(
            f"invalid package relation {text.strip()!r}", hint="a relation looks like name or name (>= version)"
        )
    return Relation(found["name"], found["relation"] or "", found["version"] or "", found["qualifier"] or "")


def show(alternatives: Alternatives) -> str:
    """As the policy writes them: ``a (>= 1) | b``."""
    return " | ".join(map(str, alternatives))
