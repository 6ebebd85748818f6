"""Permissions as ``--chmod`` has them: ``755``, or chmod's symbolic ``u=rwX,go=rX`` (POSIX, chmod).

No umask is in force: without ``u``, ``g``, ``o`` or ``a`` a change is for all.
"""

import re
from typing import Self

import msgspec

_OCTAL = re.compile(r"[0-7]{1,5}\Z")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)\Z")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_HIGHEST = 0o7777
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_SPECIAL = {"u": 0o4000, "g": 0o2000}
_STICKY = 0o1000
_ANY_EXECUTE = 0o111


class Change(msgspec.Struct, frozen=True):
    """One action of a symbolic mode: for whom (of ``ugo``), ``+``, ``-`` or ``=``, and what."""

    whom: str
    operator: str
    what: str


class Mode(msgspec.Struct, frozen=True):
    """Permission bits that all files get, or changes of those that they have."""

    bits: int | None = None
    changes: tuple[Change, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mode that ``text`` is.

        Raises:
            ValueError: it is none.
        """
        if _OCTAL.match(text) and int(text, 8) <= _HIGHEST:
            return cls(int(text, 8))
        changes: list[Change] = []
        for clause in text.split(","):
            match = _CLAUSE.match(clause)
            if match is None:
                raise ValueError(f"{clause!r} is no mode")
            whom = "ugo" if not match[1] or "a" in match[1] else "".join(who for who in _SHIFTS if who in match[1])
            changes.extend(Change(whom, *action) for action in _ACTION.findall(match[2]))
        return cls(changes=tuple(changes))

    def __str__(self) -> str:
        if self.bits is not None:
            return f"{self.bits:04o}"
        return ",".join(f"{change.whom}{change.operator}{change.what}" for change in self.changes)

    def of(self, bits: int, *, directory: bool = False) -> int:
        """The permission bits of a file that has ``bits``."""
        if self.bits is not None:
            return self.bits
        made = bits
        for change in self.changes:
            made = _changed(made, change, executes=directory or bool(bits & _ANY_EXECUTE))
        return made


def _changed(bits: int, change: Change, *, executes: bool) -> int:
    given = reach = 0
    for who in change.whom:
        shift = _SHIFTS[who]
        reach |= 7 << shift | _SPECIAL.get(who, 0)
        given |= _permissions(bits, change.what, executes=executes) << shift
        if "s" in change.what:
            given |= _SPECIAL.get(who, 0)
    if len(change.whom) == len(_SHIFTS):
        reach |= _STICKY
        given |= _STICKY if "t" in change.what else 0
    if change.operator == "+":
        return bits | given
    if change.operator == "-":
        return bits & ~given
    return bits & ~reach | given


def _permissions(bits: int, what: str, *, executes: bool) -> int:
    if what in _SHIFTS:  # those that somebody else has
        return bits >> _SHIFTS[what] & 7
    found = sum(bit for letter, bit in _BITS.items() if letter in what)
    return found | (1 if "X" in what and executes else 0)
