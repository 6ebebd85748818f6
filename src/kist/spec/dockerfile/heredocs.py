"""Here-documents: ``<<NAME`` on RUN, COPY and ADD (Dockerfile reference, "Here-Documents").

The lines after the instruction up to one that holds the name alone are the document's text. ``<<-`` leaves out tabs at
the start of its lines; a name in quotes has variables stay as they are.
"""

import re
from collections.abc import Iterator

import msgspec

from kist.spec.dockerfile.lines import LogicalLine, Span
from kist.spec.dockerfile.source import Word
from kist.spec.dockerfile.words import cut, json_words, quoted_words

_TAKE_THEM = frozenset({"ADD", "COPY", "RUN"})
_OPENING = re.compile(r"\d*<<(-?)([^<]*)\Z")
_PARTED = re.compile(r"\d*<<-?\Z")
_NAME = re.compile(r"(['\"]?)[A-Za-z_][\w.-]*\1\Z")
"""A name behind white space: ``<< 2`` may be arithmetic."""
_QUOTES = re.compile(r"\\(.)|(['\"])", re.DOTALL)


class Opening(msgspec.Struct, frozen=True):
    """``<<NAME``, as it stands in an instruction.

    Attributes:
        name: the line that ends the document, without quotes.
        expands: variables in it are replaced, where it becomes a file.
        chomps: tabs at the start of its lines are left out.
        word: all of it, as it was written.
    """

    name: str
    expands: bool
    chomps: bool
    word: Word


def openings(line: LogicalLine) -> list[Opening]:
    """The here-documents that an instruction begins, in order; none in a JSON array."""
    if "<<" not in line.text:
        return []
    head = cut(line)
    if head.keyword.text.upper() == "ONBUILD" and head.rest.text:
        head = cut(line, head.rest.start)
    if head.keyword.text.upper() not in _TAKE_THEM or _is_array(head.rest):
        return []
    return list(openings_of(head.rest))


def openings_of(span: Span) -> Iterator[Opening]:
    """Those in the arguments of an instruction."""
    words = quoted_words(span)
    for number, word in enumerate(words):
        match = _OPENING.match(word.text)
        if match is None:
            continue
        name, whole = match[2], word
        if not name and number + 1 < len(words) and _NAME.match(words[number + 1].text):
            name = words[number + 1].text
            whole = msgspec.structs.replace(word, text=f"{word.text} {name}")
        bare = _QUOTES.sub(lambda found: found[1] or "", name)
        if bare and "<" not in name:
            yield Opening(bare, not any(quote in name for quote in "'\""), bool(match[1]), whole)


def is_opening(span: Span) -> bool:
    """Whether the arguments are the begin of one here-document and nothing else."""
    words = quoted_words(span)
    return len(words) == 1 + is_parted(words[0]) and len(list(openings_of(span))) == 1


def is_parted(word: Word) -> bool:
    """Whether the name of the here-document that begins here is the next word."""
    return _PARTED.match(word.text) is not None


def _is_array(span: Span) -> bool:
    return span.text.startswith("[") and json_words(span) is not None
