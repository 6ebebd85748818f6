"""What ``kist system check`` finds."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it should be.

    Attributes:
        kind: ``database``, ``container``, ``directory``, ``snapshot``, ``blob``, ``layer``, ``cgroup``, ``interface``,
            ``rules``, ``address``, ``mount``, ``process`` or ``file``.
        subject: which one: an id, a path, a name.
        message: what is wrong with it.
        mended: what was done about it; empty when nothing was.
        hint: what a person may do about it.
    """

    kind: str
    subject: str
    message: str
    mended: str = ""
    hint: str = ""


class Check(msgspec.Struct, frozen=True):
    """The outcome.

    Attributes:
        problems: what was found.
        looked_at: how many things of each kind were looked at.
    """

    problems: tuple[Problem, ...]
    looked_at: dict[str, int]

    @property
    def left(self) -> int:
        """How many problems are still there."""
        return sum(not problem.mended for problem in self.problems)
