"""Lists as tables, as ids, as JSON, or by a template: ``--format``, ``-q`` and ``--filter`` of every verb that lists.

A verb has a ``Noun`` (``kist.cli.nouns``) and the engine's JSON; an ``Output`` prints it. The template language is
imported only for a format that needs it.
"""

import time

from kist.cli.option import REPEAT, Frozen, Option
from kist.cli.table import table
from kist.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.formatted import Formatted as _Formatted
    from kist.cli.option import Arguments

    Row = Mapping[str, Any]  # as the engine's JSON has it
    Field = tuple[str, Callable[[Row, "View"], Any]]  # the header, and what makes the value

FORMAT_HELP = "table, table TEMPLATE, json, or a Go template"


def a_filter(text: str) -> "tuple[str, str]":
    """``NAME=VALUE``, as a pair; the engine knows which names there are."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        caret = " " * (0 if equals else len(text)) + "^"
        raise ValueError(f"a filter is NAME=VALUE\n   | {text}\n   | {caret}")
    return name.strip().lower(), value.strip()


FORMAT = Option("--format", f"Form of the output: {FORMAT_HELP}", "FORMAT")
FILTER = Option("-f --filter", "Show only what fits the condition", "NAME=VALUE", kind=REPEAT, parse=a_filter)
QUIET = Option("-q --quiet", "Ids only")


class View:
    """How fields are shown: the time that ages count from, and whether long texts are left whole."""

    __slots__ = ("now", "whole_text")

    def __init__(self, *, whole_text: bool = False) -> None:
        self.now = time.time()
        self.whole_text = whole_text


class Noun(Frozen):
    """What a list is of.

    Attributes:
        name: with its article, for errors: ``a container``.
        fields: name in templates -> header and value.
        columns: the fields of the table, unless a format says others.
        methods: name -> function of the row and an argument: ``{{.Label "a"}}``.
        setting: the key of the table's format in Docker's client configuration; empty for none.
        identity: the field that ``-q`` prints.
    """

    __slots__ = ("columns", "fields", "identity", "methods", "name", "setting")
    name: str
    fields: "Mapping[str, Field]"
    columns: "tuple[str, ...]"
    methods: "Mapping[str, Callable[[Row, Any], Any]]"
    setting: str
    identity: str

    def __init__(
        self,
        name: str,
        fields: "Mapping[str, Field]",
        columns: "tuple[str, ...]",
        *,
        methods: "Mapping[str, Callable[[Row, Any], Any]] | None" = None,
        setting: str = "",
        identity: str = "ID",
    ) -> None:
        self._set(name=name, fields=fields, columns=columns, methods=methods or {}, setting=setting, identity=identity)


class Output:
    """Prints the rows of a list as the command line wants them.

    Args:
        context: the command's.
        noun: what the rows are.
        arguments: for ``--format``, ``--quiet`` and ``--no-trunc``.

    Raises:
        TemplateError: the format is malformed.
    """

    def __init__(self, context: "Context", noun: Noun, arguments: "Arguments") -> None:
        self._context = context
        self._noun = noun
        self.view = View(whole_text=arguments.flag("no_trunc"))
        self.quiet = arguments.flag("quiet")
        form = arguments.text("format")
        if form and self.quiet:
            context.warn("the format is ignored, because both --format and --quiet are set")
            form = ""
        if not form and not self.quiet and noun.setting:
            form = str(context.settings().get(noun.setting, ""))
        self._formatted: _Formatted | None = None
        if form not in {"", "table"}:
            from kist.cli.formatted import Formatted  # noqa: PLC0415 - the template language, for those who ask for it

            self._formatted = Formatted(form, noun)

    @property
    def plain(self) -> bool:
        """Whether it is the usual table, or ids."""
        return self._formatted is None

    def needs(self, field: str) -> bool:
        """Whether a format asks for a field."""
        return self._formatted is not None and field in self._formatted.fields

    def show(self, rows: "Sequence[Row]", columns: "tuple[str, ...]" = ()) -> None:
        """Print the list; ``columns`` are the table's where they are not the noun's own."""
        self._context.write_text(self.text(rows, columns))

    def text(self, rows: "Sequence[Row]", columns: "tuple[str, ...]" = ()) -> str:
        """What ``show`` prints."""
        fields = self._noun.fields
        if self.quiet:
            identity = fields[self._noun.identity][1]
            return "".join(f"{identity(row, self.view)}\n" for row in rows)
        if self._formatted is not None:
            return self._formatted.text(rows, self.view)
        chosen = [fields[name] for name in columns or self._noun.columns]
        cells = [[str(make(row, self.view)) for _, make in chosen] for row in rows]
        return table([header for header, _ in chosen], cells) + "\n"


def filters(given: "Iterable[tuple[str, str]]") -> "str | None":
    """The ``filters`` parameter of the API for pairs of names and values; None for none."""
    found: dict[str, dict[str, bool]] = {}
    for name, value in given:
        found.setdefault(name, {})[value] = True
    return dumps(found) if found else None
