"""What the rules find."""

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """A place of a Dockerfile that a rule is about.

    Attributes:
        rule: its name.
        description: what it asks for.
        message: what is there.
        line: 1-based, of the place.
        column: 1-based, in characters.
        first, last: the lines of the instruction.
    """

    rule: str
    description: str
    message: str
    line: int
    column: int
    first: int
    last: int

    @property
    def short(self) -> str:
        """All on one line, as BuildKit tells it."""
        return f"{self.rule}: {self.message} (line {self.line})"


class CheckReport(msgspec.Struct, frozen=True):
    """What a check came to.

    Attributes:
        name: the file's.
        findings: in the order of the lines.
        notes: what was not looked at, and why.
        is_error: a build fails by a finding (``# check=error=true``).
    """

    name: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    is_error: bool = False
