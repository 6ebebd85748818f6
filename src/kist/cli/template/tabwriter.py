"""Columns of text as Go's ``text/tabwriter`` makes them: cells end with a tab, neighbours in a column are aligned."""

_LEAST, _GAP = 10, 3  # Docker's measure


def align(text: str) -> str:
    """``text`` with its tabs replaced by spaces; a column is a run of lines that all have a cell there.

    What follows a line's last tab is no cell: it takes the room that it needs.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[] for _ in lines]
    blocks = [(0, len(lines), 0)]
    while blocks:
        begin, end, column = blocks.pop()
        at = begin
        while at < end:
            stop = at
            while stop < end and len(lines[stop]) - 1 > column:
                stop += 1
            if stop > at:
                width = max(_LEAST, *(len(lines[i][column]) + _GAP for i in range(at, stop)))
                for i in range(at, stop):
                    widths[i].append(width)
                blocks.append((at, stop, column + 1))
            at = stop + 1
    made = []
    for cells, wide in zip(lines, widths, strict=True):
        made.append("".join(f"{cell:<{width}}" for cell, width in zip(cells, wide, strict=False)) + cells[-1])
    return "\n".join(line.rstrip(" ") for line in made)
