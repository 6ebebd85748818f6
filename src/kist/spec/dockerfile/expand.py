"""Quotes, escapes and variables of a word (Dockerfile reference, "Environment replacement").

``$name``, ``${name}``, ``${name:-word}``, ``${name:+word}``, ``${name:?word}`` and the forms without the colon;
``${name#pattern}``, ``##``, ``%``, ``%%``, ``${name/pattern/text}`` and ``//`` (``substitution.py``). Single quotes
keep everything, double quotes keep all but variables and escapes, the escape character keeps the next character.
"""

import re
from collections.abc import Mapping

from kist.errors import ParseError
from kist.spec.dockerfile import substitution
from kist.spec.dockerfile.source import Location, Source, Word
from kist.spec.dockerfile.substitution import Pattern

_SPECIAL = frozenset("@*#?-$!")
_OPERATORS = frozenset("-+?")
_CUTS = frozenset("#%")
_SPACE = re.compile(r"\s+")
_DEEPEST = 50
# What variables may make of one word, in characters. A program cannot be given a longer text than 128 KiB, and a
# Dockerfile that doubles a variable line by line would otherwise have any size.
_LONGEST = 1 << 20


def expand(word: Word, variables: Mapping[str, str], source: Source, escape: str = "\\") -> str:
    """The value of a word.

    Raises:
        ParseError: a quote or brace is not closed, a substitution has no such form, or ``${name:?}`` found no value.
    """
    return _Expansion(word, variables, source, escape).run()[0]


def expand_text(text: Word, variables: Mapping[str, str], source: Source, escape: str = "\\") -> str:
    """The value of a here-document's text, in which quotes are characters like others."""
    return _Expansion(text, variables, source, escape, quotes=False).run()[0]


def expand_words(word: Word, variables: Mapping[str, str], source: Source, escape: str = "\\") -> tuple[str, ...]:
    """The values of a word that may expand to several (EXPOSE): cut at white space that is not quoted."""
    return _Expansion(word, variables, source, escape).run()[1]


class _Words:
    """Collects the text as a whole and, beside it, cut at white space that was not quoted."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.words: list[str] = []
        self._word: list[str] = []

    def add(self, text: str, *, quoted: bool) -> None:
        self.text.append(text)
        if quoted:
            self._word.append(text)
            return
        for number, piece in enumerate(_SPACE.split(text)):
            if number:
                self.close()
            self._word.append(piece)

    def close(self) -> None:
        if word := "".join(self._word):
            self.words.append(word)
        self._word = []


class _Expansion:
    """One pass over one word; ``at`` is the next character."""

    def __init__(
        self, word: Word, variables: Mapping[str, str], source: Source, escape: str, *, quotes: bool = True
    ) -> None:
        self.word = word
        self.text = word.text
        self.variables = variables
        self.source = source
        self.escape = escape
        self.quotes = "'\"" if quotes else ""
        self.at = 0
        self.depth = 0
        self.replaced = 0

    def run(self) -> tuple[str, tuple[str, ...]]:
        words = self.until("")
        words.close()
        return "".join(words.text), tuple(words.words)

    def until(self, stop: str, *, raw: bool = False) -> _Words:
        """Everything up to ``stop``, which is consumed; to the end of the word when ``stop`` is empty.

        In ``raw`` text escapes stay: what a pattern does with them is its own.
        """
        found, begin = _Words(), self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == stop:
                self.at += 1
                return found
            if char in self.quotes:
                value = self.single_quoted() if char == "'" else self.double_quoted(raw=raw)
                found.add(value, quoted=True)
            elif char == "$":
                found.add(self.variable(), quoted=False)
            elif char == self.escape:
                found.add(self.text[self.at + (not raw) : self.at + 2], quoted=True)
                self.at += 2
            else:
                found.add(char, quoted=False)
                self.at += 1
        if stop:
            raise self.error(begin, f"expected {stop!r} to close the substitution before the end of the word")
        return found

    def single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self.error(self.at, "this single quote is not closed: expected another ' before the end")
        value = self.text[self.at + 1 : end]
        self.at = end + 1
        return value

    def double_quoted(self, *, raw: bool) -> str:
        begin = self.at
        self.at += 1
        value: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return "".join(value)
            if char == "$":
                value.append(self.variable())
                continue
            following = self.text[self.at + 1 : self.at + 2]
            if char == self.escape and following in {'"', "$", self.escape}:
                char = char + following if raw else following
                self.at += 1
            self.at += 1
            value.append(char)
        raise self.error(begin, 'this double quote is not closed: expected another " before the end')

    def variable(self) -> str:
        """The text in place of what begins with a dollar sign."""
        begin = self.at
        value = self.dollar()
        self.replaced += len(value)
        if self.replaced > _LONGEST:
            raise self.too_long(begin)
        return value

    def dollar(self) -> str:
        begin = self.at
        self.at += 1
        if self.text[self.at : self.at + 1] != "{":
            name = self.name()
            return self.variables.get(name, "") if name else "$"
        self.at += 1
        if self.text[self.at : self.at + 1] in {"{", "}", ":"}:
            raise self.error(begin, "bad substitution: expected the name of a variable after '${'")
        name = self.name()
        operator = self.text[self.at : self.at + 1]
        self.at += 1
        if operator == "}":
            return self.variables.get(name, "")
        if operator in _CUTS:
            return self.cut(name, operator)
        if operator == "/":
            return self.replace(begin, name)
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self.text[self.at : self.at + 1]
            self.at += 1
        return self.substitute(begin, name, operator, empty_is_unset=empty_is_unset)

    def substitute(self, begin: int, name: str, operator: str, *, empty_is_unset: bool) -> str:
        """``${name<operator>word}``, from after the operator."""
        if not operator:
            raise self.error(begin, "this substitution is not closed: expected '}'")
        if operator not in _OPERATORS:
            raise self.error(
                self.at - 1,
                f"unsupported modifier {operator!r} in a substitution: expected "
                + (":-, :+ or :?" if empty_is_unset else "one of :- :+ :? - + ? # ## % %% / //"),
            )
        word = self.inside(begin, "}")
        value = self.variables.get(name)
        is_set = value is not None and not (empty_is_unset and not value)
        if operator == "+":
            return word if is_set else ""
        if is_set and value is not None:
            return value
        if operator == "?":
            raise self.error(begin, f"{name}: {word or 'is not allowed to be unset or empty'}")
        return word

    def cut(self, name: str, operator: str) -> str:
        """``${name#pattern}`` and the like, from after the first operator: the value without what matches at an end."""
        longest = self.text[self.at : self.at + 1] == operator
        self.at += longest
        pattern = self.pattern("}")
        cut = substitution.without_prefix if operator == "#" else substitution.without_suffix
        return cut(self.variables.get(name, ""), pattern, longest=longest)

    def replace(self, begin: int, name: str) -> str:
        """``${name/pattern/text}`` and ``//``, from after the first slash."""
        everywhere = self.text[self.at : self.at + 1] == "/"
        self.at += everywhere
        pattern = self.pattern("/")
        text = self.inside(begin, "}", raw=True)
        value = self.variables.get(name, "")
        try:
            return substitution.replaced(value, pattern, text, everywhere=everywhere, most=_LONGEST)
        except OverflowError:
            raise self.too_long(begin) from None

    def pattern(self, stop: str) -> Pattern:
        begin = self.at
        text = self.inside(begin, stop, raw=True)
        if self.escape != "\\":  # patterns have one escape character, whatever the file's is
            text = text.replace("\\", "\\\\").replace(self.escape, "\\")
        try:
            return Pattern.parse(text)
        except ValueError as error:
            raise self.error(begin, f"invalid pattern ({text}) in a substitution: {error}") from None

    def inside(self, begin: int, stop: str, *, raw: bool = False) -> str:
        """A word within a substitution, up to ``stop``."""
        if self.depth == _DEEPEST:
            raise self.error(begin, f"substitutions are nested more than {_DEEPEST} deep")
        self.depth += 1
        word = "".join(self.until(stop, raw=raw).text)
        self.depth -= 1
        return word

    def name(self) -> str:
        begin = self.at
        first = self.text[begin : begin + 1]
        if first in _SPECIAL and first:
            self.at += 1
            return first
        only_digits = first.isdigit()
        while self.at < len(self.text):
            char = self.text[self.at]
            if not (char.isdigit() or (not only_digits and (char.isalpha() or char == "_"))):
                break
            self.at += 1
        return self.text[begin : self.at]

    def location(self, offset: int) -> Location:
        start = self.word.location
        above, newline, before = self.text[:offset].rpartition("\n")
        if not newline:
            return Location(start.line, start.column + min(offset, len(self.text)))
        line = start.line + above.count("\n") + 1
        # Tabs that a here-document was told to leave out stand in the source all the same.
        written, kept = self.source.lines[line - 1], self.text[offset - len(before) :].partition("\n")[0]
        return Location(line, 1 + max(len(written) - len(kept), 0) + len(before))

    def too_long(self, offset: int) -> ParseError:
        hint = "a variable that holds itself several times grows with every line: keep long texts in files"
        return self.error(offset, f"variables make this longer than {_LONGEST >> 20} MiB", hint)

    def error(self, offset: int, message: str, hint: str = "") -> ParseError:
        as_such = f"a quote or dollar sign that is meant as such: {self.escape}$ or '$'"
        return self.source.error(self.location(offset), message, hint=hint or as_such)
