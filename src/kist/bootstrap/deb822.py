"""Debian's control file syntax (Debian Policy 5.1, deb822(5)): text to paragraphs of fields."""

from collections.abc import Iterator, Mapping

from kist.errors import ParseError


class Paragraph(Mapping[str, str]):
    """The fields of one paragraph, in the order of the file; names are found in any case.

    A value is the text after the colon without the blanks around it; continuation lines follow, each after a line feed
    and with its leading blank, so that a paragraph can be written again as it was.
    """

    __slots__ = ("_fields", "_names")

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = dict(fields)
        self._names = {name.lower(): name for name in self._fields}

    def __getitem__(self, name: str) -> str:
        return self._fields[self._names[name.lower()]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of a field that holds a list, one item a line, stripped; none where the field is missing."""
        return tuple(line.strip() for line in self.get(name, "").split("\n") if line.strip())

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a field that blanks separate; none where the field is missing."""
        return tuple(self.get(name, "").split())


def parse(text: str, *, source: str = "control file") -> Iterator[Paragraph]:
    """The paragraphs of ``text``; lines that begin with ``#`` are comments.

    Raises:
        ParseError: a line is neither a field nor a continuation, or a field is given twice; it points at the line.
    """
    fields: dict[str, str] = {}
    seen: set[str] = set()
    name = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield Paragraph(fields)
            fields, seen, name = {}, set(), ""
            continue
        if line[0] in " \t":
            if not name:
                raise _error("a continuation line without a field before it", source, number, line)
            fields[name] += "\n" + line.rstrip()
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name or "\t" in name:
            raise _error("expected a field, like 'Package: name'", source, number, line)
        if name.lower() in seen:
            raise _error(f"the field {name!r} is given twice", source, number, line)
        seen.add(name.lower())
        fields[name] = value.strip()
    if fields:
        yield Paragraph(fields)


def parse_one(text: str, *, source: str = "control file") -> Paragraph:
    """The first paragraph of ``text``.

    Raises:
        ParseError: there is none, or it is malformed.
    """
    for paragraph in parse(text, source=source):
        return paragraph
    raise ParseError("the file holds no fields", source=source)


def _error(message: str, source: str, line: int, text: str) -> ParseError:
    return ParseError(message, source=source, line=line, column=1, text=text)
