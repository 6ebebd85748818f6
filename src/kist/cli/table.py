"""Tables in Docker's measure: columns at least ten wide, three spaces between them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 10
_GAP = 3


def table(header: "Sequence[str]", rows: "Sequence[Sequence[str]]", *, least: int = _LEAST) -> str:
    """The lines of a table, without the last line end; ``least`` is how wide a column is at least."""
    cells = [header, *rows]
    widths = [max(least, *(len(row[i]) + _GAP for row in cells)) for i in range(len(header) - 1)]
    lines = ("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + row[-1] for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def shorten(text: str, width: int) -> str:
    """At most ``width`` characters; what was cut is shown as an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def one_line(text: str) -> str:
    """Control characters as spaces: what a container calls itself must not drive the reader's terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
