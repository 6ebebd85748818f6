"""``.dockerignore``: which paths of a context are left out (Dockerfile reference, ".dockerignore file").

The last pattern that matches a path, or a directory above it, decides; ``!`` takes a path in again. Patterns are Go's
``filepath.Match`` with ``**`` for any number of directories, rooted at the context.

A packer walks the context from the top: it leaves out what ``excludes`` says, and need not enter an excluded directory
unless ``may_include_below`` says so. The Dockerfile and the ``.dockerignore`` are sent even where they are excluded,
because the builder needs them; COPY and ADD still do not see them.
"""

import posixpath
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import groupby
from typing import Self

from kist.spec.dockerfile.automaton import Automaton
from kist.spec.dockerfile.glob import ALL, ANY, DIRECTORIES, across, character_class, joined
from kist.spec.dockerfile.source import Location, Source

NAME = ".dockerignore"
OF_ONE = "{}.dockerignore"
"""The name of the file that counts for one Dockerfile alone, in place of the other."""

# What follows the expression of a path for it and all that is below it.
_BELOW = "(?:/.*)?"
_WILD = re.compile(r"[*?\[\]\\]")


class Rule:
    """One line: ``pattern`` in its clean form, whether it takes in again (``!``), and its 1-based ``line``."""

    __slots__ = ("_covers", "expression", "line", "pattern", "takes_in")

    def __init__(self, pattern: str, line: int, *, takes_in: bool) -> None:
        self.pattern = pattern
        self.line = line
        self.takes_in = takes_in
        parts = _parts(pattern)
        self.expression = across(parts)
        """Of those paths that it names; None where none is quick."""
        self._covers: Callable[[str], object] | None = None
        if self.expression is None:
            self._covers = Automaton(parts).covers

    def covers(self, path: str) -> bool:
        """Whether it is about the path, or about a directory above it."""
        if self._covers is None:
            self._covers = re.compile(f"(?:{self.expression}){_BELOW}", re.DOTALL).fullmatch
        return bool(self._covers(path))

    def __repr__(self) -> str:
        return f"Rule({str(self)!r}, line={self.line})"

    def __str__(self) -> str:
        return "!" * self.takes_in + self.pattern


class Ignore:
    """All rules of a file, in order. Paths are relative to the context, ``/`` between components, none at the ends."""

    def __init__(self, rules: tuple[Rule, ...] = (), name: str = NAME) -> None:
        self.rules = rules
        self.name = name

    @classmethod
    def parse(cls, text: str | bytes, name: str = NAME) -> Self:
        """Read the file.

        Raises:
            ParseError: a pattern is malformed; points at it.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        source = Source.of(text, name)
        return cls(tuple(filter(None, (_rule(source, number) for number in range(1, len(source.lines) + 1)))), name)

    @classmethod
    def of(cls, patterns: Sequence[str]) -> Self:
        """The rules that these patterns are; ``!`` takes in.

        Raises:
            ValueError: one of them is malformed.
        """
        return cls(tuple(_parsed(pattern, number) for number, pattern in enumerate(patterns, 1)))

    def excludes(self, path: str) -> bool:
        """Whether the path is left out."""
        for takes_in, covers in self._groups:
            if covers(path):
                return not takes_in
        return False

    def why(self, path: str) -> Rule | None:
        """The rule that leaves the path out; None when it is not left out."""
        for rule in reversed(self.rules):
            if rule.covers(path):
                return None if rule.takes_in else rule
        return None

    def may_include_below(self, directory: str) -> bool:
        """Whether something below a directory that is left out may be taken in again."""
        return any(rule.takes_in and _reaches_below(rule.pattern, directory) for rule in self.rules)

    @cached_property
    def _groups(self) -> tuple[tuple[bool, Callable[[str], object]], ...]:
        """Neighbouring rules of one kind as a single expression where they have one each, the last first."""
        groups: list[tuple[bool, Callable[[str], object]]] = []
        for (takes_in, is_alone), rules in groupby(self.rules, lambda rule: (rule.takes_in, rule.expression is None)):
            if is_alone:
                groups += ((takes_in, rule.covers) for rule in rules)
            else:
                choices = "|".join(rule.expression or "" for rule in rules)
                groups.append((takes_in, re.compile(f"(?:{choices}){_BELOW}", re.DOTALL).fullmatch))
        return tuple(reversed(groups))


def _rule(source: Source, number: int) -> Rule | None:
    line = source.lines[number - 1]
    text = line.strip()
    if line.startswith("#") or not text:
        return None
    try:
        return _parsed(text, number)
    except ValueError as error:
        raise source.error(Location(number, len(line) - len(line.lstrip()) + 1), str(error)) from None


def _parsed(text: str, number: int) -> Rule:
    takes_in = text.startswith("!")
    pattern = text.removeprefix("!").strip() if takes_in else text
    if not pattern:
        raise ValueError('illegal exclusion pattern: "!": expected a path after it')
    pattern = posixpath.normpath(pattern).lstrip("/") or "."
    try:
        return Rule(pattern, number, takes_in=takes_in)
    except ValueError as error:
        raise ValueError(f"syntax error in pattern {pattern!r}: {error}") from None


def _parts(pattern: str) -> list[str]:
    """The regular expressions of what a pattern consists of, one after the other."""
    if pattern == ".":
        return [r"\."]  # the context itself; as in Docker, it leaves nothing out
    if pattern.startswith("**") and not pattern.startswith("**/") and not _WILD.search(pattern, 2):
        # As Docker, which compares ends: "**.c" matches "a/x.c" and "x.c".
        return [ALL, *map(re.escape, pattern[2:])]
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            text, at = character_class(pattern, at)
            out.append(text)
            continue
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            out.append(ALL if at >= len(pattern) else DIRECTORIES)
            continue
        if char == "\\":
            at += 1
            if at == len(pattern):
                raise ValueError("it ends in an escape")
            char = re.escape(pattern[at])
        else:
            char = {"*": ANY, "?": "[^/]"}.get(char) or re.escape(char)
        out.append(char)
        at += 1
    return out


def _reaches_below(pattern: str, directory: str) -> bool:
    """Whether the pattern can match a path inside the directory: compares component by component up to a ``**``."""
    parts, above = pattern.split("/"), directory.split("/")
    for part, name in zip(parts, above, strict=False):
        if "**" in part or "[" in part:  # a class may hold a '/', so nothing is known from here on
            return True
        if not re.fullmatch(joined(_parts(part)), name, re.DOTALL):
            return False
    return True
