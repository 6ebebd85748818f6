"""Records of ``Name: value`` lines, as dpkg, Python and Java write them (Debian policy, 5.1; RFC 822's manner)."""

from collections.abc import Iterator


def paragraphs(text: str, wanted: frozenset[str]) -> Iterator[dict[str, str]]:
    """The paragraphs of a control file, with those fields that are wanted; names count without regard to case.

    What continues a field on further lines is left out: none of what is wanted has any.
    """
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            if found:
                yield found
            found = {}
        elif not line[0].isspace():
            name, colon, value = line.partition(":")
            key = name.lower()
            if colon and key in wanted and key not in found:
                found[key] = value.strip()
    if found:
        yield found


def header(text: str, wanted: frozenset[str]) -> dict[str, str]:
    """The first paragraph alone; empty where it has nothing that is wanted."""
    head = text.lstrip("\ufeff\r\n").replace("\r\n", "\n").partition("\n\n")[0]
    return next(paragraphs(head, wanted), {})


def number(text: str, unit: int = 1) -> int:
    """A count as bytes; 0 for what is no number."""
    return int(text) * unit if text.isascii() and text.isdigit() and len(text) < 16 else 0
