"""A finding: one thing that Kist needs or can use, how it is here, what its lack costs, and what mends it."""

import msgspec

OK = "ok"
LACKING = "lacking"
BROKEN = "broken"


class Finding(msgspec.Struct, frozen=True):
    """One thing of the machine.

    Attributes:
        code: its name in hints of errors, and for ``kist doctor CODE``.
        state: ``ok``; ``lacking``, Kist works with less; ``broken``, no container can run until it is mended.
        found: what was seen, in one line.
        cost: what cannot be had because of it; empty where it is ``ok``.
        fix: the commands that mend it, one after the other; empty where no command does.
        as_root: whether the commands are for root.
        advice: what is to be known beside, or done where no command does it.
    """

    code: str
    state: str
    found: str
    cost: str = ""
    fix: tuple[str, ...] = ()
    as_root: bool = True
    advice: str = ""


def ok(code: str, found: str, advice: str = "") -> Finding:
    """A thing that is as it should be."""
    return Finding(code, OK, found, advice=advice)


def commands(*found: str) -> tuple[str, ...]:
    """Those that are known: what a distribution has no command for is empty."""
    return tuple(command for command in found if command)
