"""``type=bind,source=/a,"volume-opt=o=addr=10.0.0.1,rw"``: words between commas, quoted as in a CSV file."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def split(text: str) -> "list[str]":
    """The words of one line (RFC 4180): a word in double quotes may hold commas, and ``""`` for a quote.

    Raises:
        ValueError: a quote is not closed, or stands inside an unquoted word.
    """
    words: list[str] = []
    rest = text
    while True:
        word, rest = _quoted(rest[1:]) if rest.startswith('"') else _plain(rest)
        words.append(word)
        if not rest:
            return words
        if rest[0] != ",":
            raise ValueError("after a word in quotes comes a comma")
        rest = rest[1:]
        if not rest:
            return [*words, ""]


def _plain(text: str) -> "tuple[str, str]":
    word, comma, rest = text.partition(",")
    if '"' in word:
        raise ValueError('a quote stands at the beginning of a word: "name=a,b"')
    return word, comma + rest


def _quoted(text: str) -> "tuple[str, str]":
    word = ""
    while True:
        part, quote, text = text.partition('"')
        if not quote:
            raise ValueError("a quote is not closed")
        word += part
        if not text.startswith('"'):
            return word, text
        word += '"'
        text = text[1:]


def pairs(text: str) -> "list[tuple[str, str, bool]]":
    """Each word as (name in lower case, value, whether it has a value)."""
    found = []
    for word in split(text):
        name, equals, value = word.partition("=")
        found.append((name.strip().lower(), value, bool(equals)))
    return found


def unknown(name: str, known: "Sequence[str]", told: "Sequence[str]" = ()) -> ValueError:
    """What to say of a word that is none: the one of ``known`` that is meant, else all, or those that are ``told``."""
    from kist.cli.suggest import nearest  # noqa: PLC0415 - for mistakes only

    near = nearest(name, known)
    *others, last = told or known
    hint = f"did you mean {near}?" if near else f"allowed are {', '.join(others)} and {last}"
    return ValueError(f"unknown word {name!r}: {hint}")


def truth(name: str, value: str, *, given: bool) -> bool:
    """The value of a switch: a bare name means true.

    Raises:
        ValueError: it is neither.
    """
    if not given:
        return True
    if value.lower() not in {"1", "t", "true", "0", "f", "false"}:
        raise ValueError(f"{name} is true or false, not {value!r}")
    return value.lower() in {"1", "t", "true"}
