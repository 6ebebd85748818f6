"""One object, or one after another, by a template: ``--format`` of inspect, info and version."""

from kist.cli.option import Option
from kist.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.template import Template

FORMAT = Option("-f --format", "Form of the output: json, or a Go template", "FORMAT")
MALFORMED = 64  # Docker's exit code for a template that cannot be read


def with_template(context: "Context", form: str, act: "Callable[[Template], int]") -> int:
    """Read the template and do ``act`` with it; an unreadable one is shown, with Docker's exit code for that."""
    from kist.cli.template import Template  # noqa: PLC0415 - for those who ask for a format

    try:
        template = Template("{{json .}}" if form == "json" else form)
    except ParseError as error:
        context.fail(error)
        return MALFORMED
    return act(template)


def show(context: "Context", form: str, value: "Any") -> int:
    """Print JSON by a template, with a line end."""
    from kist.cli.template import typed  # noqa: PLC0415 - for those who ask for a format

    def act(template: "Template") -> int:
        context.write_text(template.render(typed(value)) + "\n")
        return 0

    return with_template(context, form, act)
