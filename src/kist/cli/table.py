"""Tables in Docker's measure: columns at least ten wide, three spaces between them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 10
_GAP = 3


def table(header: "Sequence[str]", rows: "Sequence[Sequence[str]]", *, least: int = _LEAST) -> str:
    """The lines of a table, without the last line end; ``least`` is how wide a column is at least."""
    columns = [*zip(header, *rows, strict=True)][:-1]
    widths = [max(least, max(map(len, column)) + _GAP) for column in columns]
    # One pattern for all lines, and filled by C code: a list may have thousands.
    pattern = "".join(f"%-{width}s" for width in widths) + "%s"
    return "\n".join([(pattern % tuple(row)).rstrip() for row in (header, *rows)])


def shorten(text: str, width: int) -> str:
    """At most ``width`` characters; what was cut is shown as an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def one_line(text: str) -> str:
    """Control characters as spaces: what a container calls itself must not drive the reader's terminal."""
    if text.isprintable():  # nearly always, and a long list has thousands of cells
        return text
    return "".join(character if character.isprintable() else " " for character in text)
