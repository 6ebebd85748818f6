"""What a terminal shows of the bytes that it was sent."""

import re

COLUMNS = 90


def shown(said: bytes) -> list[str]:
    """The lines that a terminal without an end shows: of new lines, returns, a cursor that goes up, wiped lines."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+|\x1b", said.decode(errors="replace")):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            for each in part:
                if column == COLUMNS:  # only what comes behind a full line begins another one
                    row, column = row + 1, 0
                    lines += [""] * (row + 1 - len(lines))
                lines[row] = lines[row].ljust(column)[:column] + each + lines[row][column + 1 :]
                column += 1
    return [line.rstrip() for line in lines]
