"""A template's text -> tokens. Positions are offsets into the whole text."""

from kist.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

# kinds of tokens
TEXT, OPEN, CLOSE = "text", "{{", "}}"
SPACE, WORD, FIELD, DOT, VARIABLE, STRING, NUMBER, SIGN = (
    "space", "word", "field", "dot", "variable", "string", "number", "sign",
)  # fmt: skip
END = "end of the template"

_SPACES = " \t\r\n"
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_CODES = {"x": 2, "u": 4, "U": 8}


class TemplateError(ParseError):
    """A template that cannot be read, or that does not fit the data; points at the place."""


def fail(text: str, at: int, message: str, hint: str = "") -> "NoReturn":
    """Raise the error that points at offset ``at`` of ``text``."""
    at = max(0, min(at, len(text)))
    begin = text.rfind("\n", 0, at) + 1
    line = text[begin:].split("\n", 1)[0]
    raise TemplateError(
        message,
        source="--format",
        line=text.count("\n", 0, at) + 1,
        column=at - begin + 1,
        text="".join(c if c.isprintable() else " " for c in line),
        hint=hint,
    )


class Token:
    """A word of a template.

    Attributes:
        kind: one of the names above.
        text: as it is written.
        at: the offset where it begins.
        value: of a string or number.
    """

    __slots__ = ("at", "kind", "text", "value")

    def __init__(self, kind: str, text: str, at: int, value: "str | int | float" = "") -> None:
        self.kind = kind
        self.text = text
        self.at = at
        self.value = value


def tokens(text: str) -> "Iterator[Token]":
    """The tokens of a template; text between actions comes with the space taken off that ``{{-`` and ``-}}`` ask for.

    Raises:
        TemplateError: an action, a comment, a string or a number is malformed.
    """
    at = 0
    trim = False  # whether the last action ended with -}}
    while True:
        opening = text.find("{{", at)
        piece = text[at:] if opening < 0 else text[at:opening]
        if trim:
            shown = piece.lstrip(_SPACES)
            at += len(piece) - len(shown)
            piece = shown
        if opening < 0:
            if piece:
                yield Token(TEXT, piece, at)
            return
        inside = opening + 2
        if text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in {*_SPACES}:
            piece = piece.rstrip(_SPACES)
            inside += 2
        if piece:
            yield Token(TEXT, piece, at)
        if text.startswith("/*", inside):
            at, trim = _comment(text, opening, inside)
            continue
        yield Token(OPEN, "{{", opening)
        action = _Action(text, opening, inside)
        yield from action.tokens()
        at, trim = action.at, action.trims


def _comment(text: str, opening: int, begin: int) -> "tuple[int, bool]":
    """Where the text goes on after a comment, and whether its space is trimmed."""
    end = text.find("*/", begin + 2)
    if end < 0:
        fail(text, opening, "the comment is not closed: expected */}}")
    end += 2
    if text.startswith("}}", end):
        return end + 2, False
    if text[end : end + 1] in {*_SPACES} and text.startswith("-}}", end + 1):
        return end + 4, True
    return fail(text, end, "a comment ends its action: expected }} after */")


class _Action:
    """The tokens of one action, from after its opening braces to its closing ones."""

    def __init__(self, text: str, opening: int, at: int) -> None:
        self.text = text
        self.opening = opening
        self.at = at
        self.trims = False

    def tokens(self) -> "Iterator[Token]":
        text = self.text
        while True:
            at = self.at
            character = text[at : at + 1]
            if not character:
                fail(text, self.opening, "the action is not closed: expected }}")
            if text.startswith("}}", at):
                self.at += 2
                yield Token(CLOSE, "}}", at)
                return
            if character in _SPACES:
                self._skip_spaces()
                if text.startswith("-}}", self.at):
                    yield Token(CLOSE, "-}}", self.at)
                    self.at += 3
                    self.trims = True
                    return
                yield Token(SPACE, " ", at)
                continue
            yield self._token(character)

    def _skip_spaces(self) -> None:
        while self.text[self.at : self.at + 1] in {*_SPACES}:
            self.at += 1

    def _token(self, character: str) -> Token:
        at, text = self.at, self.text
        following = text[at + 1 : at + 2]
        if character == '"':
            return self._quoted()
        if character == "`":
            return self._raw()
        if character == "'":
            return self._character()
        if character.isdecimal() or (character in "+-." and following.isdecimal()):
            return self._number()
        if character == ".":
            name = self._name(at + 1)
            self.at = at + 1 + len(name)
            return Token(FIELD, "." + name, at) if name else Token(DOT, ".", at)
        if character == "$":
            name = "$" + self._name(at + 1)
            self.at = at + len(name)
            return Token(VARIABLE, name, at)
        if character.isalpha() or character == "_":
            name = self._name(at)
            self.at = at + len(name)
            return Token(WORD, name, at)
        for sign in (":=", "=", "|", "(", ")", ","):
            if text.startswith(sign, at):
                self.at += len(sign)
                return Token(SIGN, sign, at)
        return fail(text, at, f"unexpected {character!r} in an action")

    def _name(self, begin: int) -> str:
        end = begin
        while end < len(self.text) and (self.text[end].isalnum() or self.text[end] == "_"):
            end += 1
        return self.text[begin:end]

    def _raw(self) -> Token:
        begin = self.at
        end = self.text.find("`", begin + 1)
        if end < 0:
            fail(self.text, begin, "the raw string is not closed: expected `")
        self.at = end + 1
        value = self.text[begin + 1 : end]
        return Token(STRING, f"`{value}`", begin, value)

    def _quoted(self) -> Token:
        begin = self.at
        self.at += 1
        value = bytearray()
        while True:
            character = self.text[self.at : self.at + 1]
            if character in {"", "\n"}:
                fail(self.text, begin, 'the string is not closed: expected "')
            if character == '"':
                break
            value += self._escaped() if character == "\\" else character.encode(errors="surrogateescape")
            self.at += character != "\\"
        self.at += 1
        return Token(STRING, self.text[begin : self.at], begin, value.decode(errors="replace"))

    def _escaped(self) -> bytes:
        r"""What ``\n``, ``\x41``, ``\u00e4`` or ``\101`` stands for, with its escape passed over."""
        at = self.at
        letter = self.text[at + 1 : at + 2]
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter].encode()
        size = _CODES.get(letter, 3 if letter and letter in "01234567" else 0)
        begin = at + 2 if letter in _CODES else at + 1
        digits = self.text[begin : begin + size]
        base = 16 if letter in _CODES else 8
        try:
            code = int(digits, base) if size and len(digits) == size and digits.isalnum() else -1
        except ValueError:
            code = -1
        if code < 0 or (letter not in {"u", "U"} and code > 255) or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
            fail(self.text, at, f"unknown escape {self.text[at : at + 2]!r} in a string")
        self.at = begin + size
        return chr(code).encode() if letter in {"u", "U"} else bytes([code])

    def _character(self) -> Token:
        begin = self.at
        self.at += 1
        character = self.text[self.at : self.at + 1]
        if character == "\\":
            value = self._escaped().decode(errors="replace")
        else:
            value = character
            self.at += 1
        if value in {"", "'", "\n"} or self.text[self.at : self.at + 1] != "'":
            fail(self.text, begin, "a character constant is one character between single quotes")
        self.at += 1
        return Token(NUMBER, self.text[begin : self.at], begin, ord(value))

    def _number(self) -> Token:
        begin = end = self.at
        if self.text[end] in "+-":
            end += 1
        while (end < len(self.text) and (self.text[end].isalnum() or self.text[end] in "._")) or (
            self.text[end : end + 1] in {"+", "-"} and self.text[end - 1] in "eEpP" and end > begin + 1
        ):
            end += 1
        word = self.text[begin:end]
        value = _value(word)
        if value is None:
            fail(self.text, begin, f"bad number {word!r}")
        self.at = end
        return Token(NUMBER, word, begin, value)


def _value(word: str) -> "int | float | None":
    """The value of a number as Go writes them: 1_000, 0x1f, 0b1, 0o17, 017, 1.5e3."""
    if not word.isascii():
        return None
    digits = word.lstrip("+-").lower()
    try:
        if digits.startswith("0") and digits.isdecimal():
            value: int | float = int(digits, 8)
        elif "." in digits or ("e" in digits and not digits.startswith("0x")):
            value = float(digits)
        else:
            value = int(digits, 0)
    except ValueError:
        return None
    if isinstance(value, int) and value >= 1 << 64:
        return None
    if value == float("inf"):
        return None
    return -value if word.startswith("-") else value
