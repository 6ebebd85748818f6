"""Rows by a template: Docker's ``--format`` of lists."""

from kist.cli.template import Record, Template
from kist.cli.template.functions import HEADER_FUNCTIONS
from kist.cli.template.tabwriter import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kist.cli.listing import Noun, Row, View

_TABLE = "table"


class Formatted:
    r"""A format that has been read.

    Args:
        form: ``json``, ``table TEMPLATE`` or a template; the characters ``\t`` stand for a tab, ``\n`` for a line end.
        noun: what the rows are.

    Raises:
        TemplateError: it is malformed.
    """

    def __init__(self, form: str, noun: "Noun") -> None:
        self._noun = noun
        form = form.strip(" ")
        self._table = form.startswith(_TABLE)
        if self._table:
            form = form.removeprefix(_TABLE).strip(" ")
        text = "{{json .}}" if form == "json" and not self._table else form
        self._template = Template(text.replace("\\t", "\t").replace("\\n", "\n"))
        self.fields = self._template.fields()

    def text(self, rows: "Sequence[Row]", view: "View") -> str:
        """All lines; of a table with its header."""
        lines = "".join(self.line(row, view) for row in rows)
        if not self._table:
            return lines
        header = self._template.render(self._header(), HEADER_FUNCTIONS)
        return align(f"{header}\n{lines}".removesuffix("\n")) + "\n"

    def line(self, row: "Row", view: "View") -> str:
        """One row, with its line end."""
        noun = self._noun
        fields = {name: _bound(make, row, view) for name, (_, make) in noun.fields.items()}
        methods = {name: _bound_method(method, row) for name, method in noun.methods.items()}
        return self._template.render(Record(noun.name, fields, methods)) + "\n"

    def _header(self) -> Record:
        fields = {name: _constant(header) for name, (header, _) in self._noun.fields.items()}
        return Record(self._noun.name, fields, dict.fromkeys(self._noun.methods, _header_of))


def _bound(make: "Callable[[Row, View], Any]", row: "Row", view: "View") -> "Callable[[], Any]":
    return lambda: make(row, view)


def _bound_method(method: "Callable[[Row, Any], Any]", row: "Row") -> "Callable[[Any], Any]":
    return lambda argument: method(row, argument)


def _constant(value: str) -> "Callable[[], str]":
    return lambda: value


def _header_of(argument: "Any") -> str:
    """The header of ``{{.Label "com.example.stage-name"}}``: ``stage name``."""
    return str(argument).rpartition(".")[2].replace("-", " ").replace("_", " ")
