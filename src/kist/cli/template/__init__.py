"""Go's text/template, as far as ``--format`` needs it (https://pkg.go.dev/text/template).

Text with actions in double braces: fields, chains, variables, pipelines, constants, ``if``, ``range``, ``with``,
comments, trimmed space, Go's predefined functions and Docker's. Not there: ``define``, ``template`` and ``block``,
which one line of a format has no use for.
"""

from kist.cli.template.evaluate import Template
from kist.cli.template.lexer import TemplateError
from kist.cli.template.values import NO_VALUE, Record, typed

__all__ = ["NO_VALUE", "Record", "Template", "TemplateError", "typed"]
