"""Quotes, escapes and variables of a word (Dockerfile reference, "Environment replacement").

``$name``, ``${name}``, ``${name:-word}``, ``${name:+word}``, ``${name:?word}`` and the forms without the colon. Single
quotes keep everything, double quotes keep all but variables and escapes, the escape character keeps the next character.
"""

from collections.abc import Mapping

from kist.errors import ParseError
from kist.spec.dockerfile.source import Location, Source, Word

_SPECIAL = frozenset("@*#?-$!")
_LATER = frozenset("#%/")
_DEEPEST = 50


def expand(word: Word, variables: Mapping[str, str], source: Source, escape: str = "\\") -> str:
    """The value of a word.

    Raises:
        ParseError: a quote or brace is not closed, a substitution has no such form, or ``${name:?}`` found no value.
        Unsupported: ``${name#…}``, ``${name%…}`` and ``${name/…}``.
    """
    return _Expansion(word, variables, source, escape).run()[0]


def expand_words(word: Word, variables: Mapping[str, str], source: Source, escape: str = "\\") -> tuple[str, ...]:
    """The values of a word that may expand to several (EXPOSE): cut at white space that is not quoted."""
    return _Expansion(word, variables, source, escape).run()[1]


class _Words:
    """Collects the text as a whole and, beside it, cut at white space that was not quoted."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.words: list[str] = []
        self._word = ""

    def add(self, text: str, *, quoted: bool) -> None:
        self.text.append(text)
        if quoted:
            self._word += text
            return
        for char in text:
            if char.isspace():
                self.close()
            else:
                self._word += char

    def close(self) -> None:
        if self._word:
            self.words.append(self._word)
        self._word = ""


class _Expansion:
    """One pass over one word; ``at`` is the next character."""

    def __init__(self, word: Word, variables: Mapping[str, str], source: Source, escape: str) -> None:
        self.word = word
        self.text = word.text
        self.variables = variables
        self.source = source
        self.escape = escape
        self.at = 0
        self.depth = 0

    def run(self) -> tuple[str, tuple[str, ...]]:
        words = self.until("")
        words.close()
        return "".join(words.text), tuple(words.words)

    def until(self, stop: str) -> _Words:
        """Everything up to ``stop``, which is consumed; to the end of the word when ``stop`` is empty."""
        found, begin = _Words(), self.at
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == stop:
                self.at += 1
                return found
            if char == "'":
                found.add(self.single_quoted(), quoted=True)
            elif char == '"':
                found.add(self.double_quoted(), quoted=True)
            elif char == "$":
                found.add(self.dollar(), quoted=False)
            elif char == self.escape:
                found.add(self.text[self.at + 1 : self.at + 2], quoted=True)
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

    def double_quoted(self) -> str:
        begin = self.at
        self.at += 1
        value: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return "".join(value)
            if char == "$":
                value.append(self.dollar())
                continue
            following = self.text[self.at + 1 : self.at + 2]
            if char == self.escape and following in {'"', "$", self.escape}:
                char = following
                self.at += 1
            self.at += 1
            value.append(char)
        raise self.error(begin, 'this double quote is not closed: expected another " before the end')

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
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self.text[self.at : self.at + 1]
            self.at += 1
        return self.substitute(begin, name, operator, empty_is_unset=empty_is_unset)

    def substitute(self, begin: int, name: str, operator: str, *, empty_is_unset: bool) -> str:
        """``${name<operator>word}``, from after the operator."""
        if not operator:
            raise self.error(begin, "this substitution is not closed: expected '}'")
        if operator in _LATER:
            raise self.source.unsupported(
                self.location(self.at - 1), f"${{{name}{operator}…}} is not supported yet", hint="compute it in a RUN"
            )
        if operator not in {"-", "+", "?"}:
            raise self.error(self.at - 1, f"unsupported modifier {operator!r} in a substitution: expected :-, :+ or :?")
        if self.depth == _DEEPEST:
            raise self.error(begin, f"substitutions are nested more than {_DEEPEST} deep")
        self.depth += 1
        word = "".join(self.until("}").text)
        self.depth -= 1
        value = self.variables.get(name)
        is_set = value is not None and not (empty_is_unset and not value)
        if operator == "+":
            return word if is_set else ""
        if is_set and value is not None:
            return value
        if operator == "?":
            raise self.error(begin, f"{name}: {word or 'is not allowed to be unset or empty'}")
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
        return Location(start.line, start.column + min(offset, len(self.text)))

    def error(self, offset: int, message: str) -> ParseError:
        return self.source.error(
            self.location(offset), message, hint=f"a quote or dollar sign that is meant as such: {self.escape}$ or '$'"
        )
