"""``kist events``."""

import time

from kist.cli.documents import with_template
from kist.cli.listing import a_filter, filters
from kist.cli.option import REPEAT, Command, Option
from kist.cli.values import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print events as they happen, until the time that ``--until`` names, or until interrupted."""
    form = arguments.text("format")
    if not form:
        return _follow(context, arguments, line)
    from kist.cli.template import typed  # noqa: PLC0415 - for those who ask for a format

    return with_template(context, form, lambda read: _follow(context, arguments, lambda e: read.render(typed(e))))


def _follow(context: "Context", arguments: "Arguments", show: "Callable[[dict[str, Any]], str]") -> int:
    query = [
        ("since", arguments.get("since")),
        ("until", arguments.get("until")),
        ("filters", filters(arguments.all("filter"))),
    ]
    for event in context.wire.lines(context.wire.request("GET", "/events", query)):
        context.write_text(show(event) + "\n")
    return 0


def line(event: "dict[str, Any]") -> str:
    """An event in Docker's words: time, kind, action, id, and in parentheses the attributes by name."""
    seconds, fraction = divmod(event["timeNano"], 1_000_000_000)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    actor = event["Actor"]
    attributes = ", ".join(f"{name}={value}" for name, value in sorted((actor["Attributes"] or {}).items()))
    parts = [f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{fraction:09d}{shown}", event["Type"], event["Action"]]
    return " ".join([*parts, actor["ID"], *([f"({attributes})"] if attributes else [])])


COMMAND = Command(
    "events",
    run,
    options=(
        Option("-f --filter", "Only such events: event, type, container, image, label, …", "NAME=VALUE",
               kind=REPEAT, parse=a_filter),
        Option("--format", "Form of the output: json, or a Go template", "FORMAT"),
        Option("--since", "From this time on: 10m (ago), 2026-01-31T10:20:30", "TIME", parse=timestamp(time.time)),
        Option("--until", "Up to this time, and then end", "TIME", parse=timestamp(time.time)),
    ),
    examples=("kist events --since 1h --until 0s", "kist events --filter type=container --filter event=die"),
)  # fmt: skip
