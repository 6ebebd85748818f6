"""Options and commands as values: one frozen description serves the parser, ``--help`` and the reference page.

Plain classes with slots: ``dataclasses`` costs 16 ms of import, which no command could spare.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from kist.cli.context import Context

FLAG = "flag"
VALUE = "value"
REPEAT = "repeat"


class Frozen:
    """Attributes are set once, by ``_set``."""

    __slots__ = ()

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> "NoReturn":
        raise AttributeError(f"{type(self).__name__} is frozen")


class Option(Frozen):
    """One option of a command.

    Attributes:
        names: as they are written, the short one first: ``("-e", "--env")``.
        help: one line, without a full stop.
        metavar: what stands for the value; empty for a flag.
        kind: ``flag`` (``--rm``, ``--rm=false``), ``value`` (the last one counts) or ``repeat`` (all count).
        parse: text -> value; raises ValueError that says what is allowed.
        group: the heading that it stands under in ``--help``.
        hidden: works, and is not shown.
    """

    __slots__ = ("group", "help", "hidden", "kind", "metavar", "names", "parse")
    names: "tuple[str, ...]"
    help: str
    metavar: str
    kind: str
    parse: "Callable[[str], Any]"
    group: str
    hidden: bool

    def __init__(
        self,
        names: str,
        help: str,  # noqa: A002 - the word that everybody uses for it
        metavar: str = "",
        *,
        kind: str = "",
        parse: "Callable[[str], Any]" = str,
        group: str = "Options",
        hidden: bool = False,
    ) -> None:
        # Spelt out: ``run`` makes more than a hundred of these before it does anything.
        put = object.__setattr__
        put(self, "names", tuple(names.split()))
        put(self, "help", help)
        put(self, "metavar", metavar)
        put(self, "kind", kind or (VALUE if metavar else FLAG))
        put(self, "parse", parse)
        put(self, "group", group)
        put(self, "hidden", hidden)

    @property
    def key(self) -> str:
        """The name of its value: the long name, with underscores."""
        return self.names[-1].lstrip("-").replace("-", "_")


def later(module: str, name: str) -> "Callable[[str], Any]":
    """The parser of that name, imported by its first use."""

    def parse(text: str) -> "Any":
        __import__(module)
        return getattr(sys.modules[module], name)(text)

    return parse


class Command(Frozen):
    """One verb.

    Attributes:
        name: the verb.
        operands: as the usage line shows them: ``IMAGE [COMMAND] [ARG...]``.
        least, most: how many operands there may be; ``most`` None for any number.
        common: those that are looked for first.
        ends_at_operand: options stop at the first operand (``run IMAGE ls -l``).
        run: does the work; the exit code.
        about: paragraphs for ``--help``, after the summary.
        examples: command lines for ``--help``.
    """

    __slots__ = (
        "_rare", "about", "common", "ends_at_operand", "examples", "least", "most", "name", "operands", "run"
    )  # fmt: skip
    name: str
    operands: str
    least: int
    most: "int | None"
    common: "tuple[Option, ...]"
    _rare: "Callable[[], tuple[Option, ...]]"
    ends_at_operand: bool
    run: "Callable[[Context, Arguments], int]"
    about: str
    examples: "tuple[str, ...]"

    def __init__(
        self,
        name: str,
        run: "Callable[[Context, Arguments], int]",
        operands: str = "",
        *,
        least: int = 0,
        most: "int | None" = None,
        options: "tuple[Option, ...]" = (),
        rare: "Callable[[], tuple[Option, ...]]" = tuple,
        ends_at_operand: bool = False,
        about: str = "",
        examples: "tuple[str, ...]" = (),
    ) -> None:
        """``rare`` gives the options after ``options``; it is called when one is written that is not among these."""
        self._set(
            name=name,
            run=run,
            operands=operands,
            least=least,
            most=most if operands else 0,
            common=options,
            _rare=rare,
            ends_at_operand=ends_at_operand,
            about=about,
            examples=examples,
        )

    @property
    def options(self) -> "tuple[Option, ...]":
        """All of them, in the order of ``--help``."""
        return (*self.common, *self._rare())


class Arguments(Frozen):
    """What was written: the options' values by key, and the operands."""

    __slots__ = ("operands", "values")
    values: "Mapping[str, Any]"
    operands: "tuple[str, ...]"

    def __init__(self, values: "Mapping[str, Any]", operands: "tuple[str, ...]") -> None:
        self._set(values=values, operands=operands)

    def get(self, key: str, default: "Any" = None) -> "Any":
        """The value of an option, ``default`` where it was not written."""
        return self.values.get(key, default)

    def flag(self, key: str) -> bool:
        """Whether a flag is set."""
        return bool(self.values.get(key, False))

    def text(self, key: str) -> str:
        """The value of a text option, empty where it was not written."""
        return str(self.values.get(key, ""))

    def all(self, key: str) -> "list[Any]":
        """The values of a repeated option, in order."""
        found = self.values.get(key, [])
        return found if isinstance(found, list) else [found]
