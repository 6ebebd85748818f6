"""``kist events``."""

import time

from kist.cli.option import REPEAT, Command, Option
from kist.cli.values import timestamp
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print events as they happen, until the time that ``--until`` names, or until interrupted."""
    filters: dict[str, list[str]] = {}
    for name, value in arguments.all("filter"):
        filters.setdefault(name, []).append(value)
    query = [
        ("since", arguments.get("since")),
        ("until", arguments.get("until")),
        ("filters", jsontext.dumps(filters) if filters else None),
    ]
    for event in context.wire.lines(context.wire.request("GET", "/events", query)):
        context.write(line(event).encode() + b"\n")
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


def condition(text: str) -> "tuple[str, str]":
    """``NAME=VALUE``; the engine knows which there are."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("a filter is NAME=VALUE: type=container, event=die, container=NAME")
    return name.strip().lower(), value.strip()


COMMAND = Command(
    "events",
    run,
    options=(
        Option("-f --filter", "Only such events: event, type, container, image, label, …", "NAME=VALUE",
               kind=REPEAT, parse=condition),
        Option("--since", "From this time on: 10m (ago), 2026-01-31T10:20:30", "TIME", parse=timestamp(time.time)),
        Option("--until", "Up to this time, and then end", "TIME", parse=timestamp(time.time)),
    ),
    examples=("kist events --since 1h --until 0s", "kist events --filter type=container --filter event=die"),
)  # fmt: skip
