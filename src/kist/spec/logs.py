"""What part of a container's log is wanted."""

import msgspec


class LogQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a log.

    Attributes:
        stdout, stderr: which streams.
        since: nanoseconds since the epoch; 0 for the beginning.
        until: the same; 0 for no end.
        tail: of what was printed so far, only the last so many lines (before all else is looked at, as in Docker);
            None for all.
        grep: a regular expression (of Python's ``re``) that a line must hold; empty for all lines.
        ignore_case: whether ``grep`` takes capitals and small letters for the same.
    """

    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    tail: int | None = None
    grep: str = ""
    ignore_case: bool = False
