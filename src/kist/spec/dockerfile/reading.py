"""A Dockerfile's directives, and its instructions as logical lines with their here-documents (reference, "Format")."""

import re
from collections.abc import Iterator

import msgspec

from kist.errors import ParseError
from kist.spec.dockerfile.heredocs import Opening, openings
from kist.spec.dockerfile.instructions import Directives
from kist.spec.dockerfile.lines import Heredoc, LogicalLine
from kist.spec.dockerfile.source import Location, Source

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_KNOWN_DIRECTIVES = frozenset(Directives.__struct_fields__)
_NOT_TEXT = re.compile("[\0\udc80-\udcff]")


def directives(source: Source) -> tuple[Directives, int]:
    """The directives at the top of a Dockerfile, and the number of lines that they take.

    Raises:
        ParseError: one is there twice, or is no escape character.
    """
    seen: dict[str, str] = {}
    for index, line in enumerate(source.lines):
        match = _DIRECTIVE.match(line.lstrip())
        if match is None or (name := match[1].lower()) not in _KNOWN_DIRECTIVES:
            return Directives(**seen), index
        column = len(line) - len(line.lstrip()) + match.start(1) + 1
        if name in seen:
            raise source.error(Location(index + 1, column), f"only one {name} directive can be used")
        if name == "escape" and match[2] not in {"\\", "`"}:
            place = Location(index + 1, column + match.start(2) - match.start(1))
            raise source.error(place, f"invalid escape character {match[2]!r}: expected \\ or `")
        seen[name] = match[2]
    return Directives(**seen), len(source.lines)


def place_of(source: Source, name: str) -> Location:
    """Where the value of a directive begins, for a directive that is there."""
    for number, line in enumerate(source.lines, 1):
        match = _DIRECTIVE.match(line.lstrip())
        if match is not None and match[1].lower() == name:
            return Location(number, len(line) - len(line.lstrip()) + match.start(2) + 1)
    return Location(1, 1)


def logical_lines(source: Source, escape: str = "\\", index: int = 0) -> Iterator[LogicalLine]:
    """The instructions' lines of a Dockerfile, in order, from the line of this index on.

    Raises:
        ParseError: an instruction holds bytes that are not UTF-8 or a NUL, or a here-document does not end.
    """
    lines = source.lines
    while index < len(lines):
        raw = lines[index]
        stripped = raw.lstrip()
        if not stripped or stripped.startswith("#"):
            index += 1
            continue
        line, index = _join(source, index, len(raw) - len(stripped), escape)
        _check_text(source, line)
        found: list[Heredoc] = []
        for opening in openings(line):
            heredoc, index = _document(source, opening, index)
            found.append(heredoc)
        if line.text.strip():
            yield msgspec.structs.replace(line, heredocs=tuple(found)) if found else line


def _join(source: Source, index: int, indent: int, escape: str) -> tuple[LogicalLine, int]:
    """The logical line that begins at ``index``, and the index after it."""
    piece, goes_on = _continuation(source.lines[index][indent:], escape)
    pieces, offsets, origins = [piece], [0], [Location(index + 1, indent + 1)]
    length = len(piece)
    index += 1
    while goes_on and index < len(source.lines):
        raw = source.lines[index]
        index += 1
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        piece, goes_on = _continuation(raw, escape)
        pieces.append(piece)
        offsets.append(length)
        origins.append(Location(index, 1))
        length += len(piece)
    return LogicalLine("".join(pieces), tuple(offsets), tuple(origins), escape, source), index


def _continuation(line: str, escape: str) -> tuple[str, bool]:
    """The line without its continuation character, and whether it had one (a doubled one is none)."""
    bare = line.rstrip(" \t")
    if bare.endswith(escape) and not bare.endswith(escape * 2):
        return bare[:-1], True
    return line, False


def _document(source: Source, opening: Opening, index: int) -> tuple[Heredoc, int]:
    """The here-document whose text begins at ``index``, and the index after its end."""
    begin = index
    while index < len(source.lines):
        line = source.lines[index]
        if (line.lstrip("\t") if opening.chomps else line) == opening.name:
            text = "".join(f"{line}\n" for line in source.lines[begin:index])
            _check_lines(source, begin, index)
            return Heredoc(opening.name, text, opening.word, begin + 1, opening.expands, opening.chomps), index + 1
        index += 1
    raise source.error(
        opening.word.location,
        f"this here-document is not closed: expected a line {opening.name} before the end of the file",
        hint=_nearly_closed(source, opening, begin),
    )


def _nearly_closed(source: Source, opening: Opening, begin: int) -> str:
    for number, line in enumerate(source.lines[begin:], begin + 1):
        if line.strip() == opening.name:
            tabs = "" if opening.chomps or line.strip("\t") != opening.name else f", or write <<-{opening.name}"
            return f"line {number} has white space beside {opening.name}: take it away{tabs}"
    return f"end it with a line that holds {opening.name} and nothing else"


def _check_lines(source: Source, begin: int, end: int) -> None:
    for number, line in enumerate(source.lines[begin:end], begin + 1):
        if wrong := _NOT_TEXT.search(line):
            raise _not_text(source, Location(number, wrong.start() + 1), wrong[0], "the here-document")


def _check_text(source: Source, line: LogicalLine) -> None:
    wrong = _NOT_TEXT.search(line.text)
    if wrong is not None:
        raise _not_text(source, line.location(wrong.start()), wrong[0], "the instruction")


def _not_text(source: Source, place: Location, char: str, what: str) -> ParseError:
    found = "a NUL byte" if char == "\0" else "bytes that are not UTF-8"
    return source.error(place, f"{what} holds {found}: expected UTF-8 text")
