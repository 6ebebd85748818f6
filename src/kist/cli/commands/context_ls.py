"""``kist context ls``."""

from kist.cli.listing import FORMAT, Noun, Output
from kist.cli.option import Command, Option
from kist.cli.table import one_line, table
from kist.client.contexts import Store
from kist.client.endpoint import DEFAULT
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_HEADER = ("NAME", "DESCRIPTION", "DOCKER ENDPOINT", "ERROR")
_ABOUT_DEFAULT = "What DOCKER_HOST names, else Kist's own engine"
_CONTEXT = Noun(
    "a context",
    {
        "Name": ("NAME", lambda row, _view: row["Name"]),
        "Description": ("DESCRIPTION", lambda row, _view: row["Description"]),
        "DockerEndpoint": ("DOCKER ENDPOINT", lambda row, _view: row["DockerEndpoint"]),
        "Current": ("CURRENT", lambda row, _view: row["Current"]),
        "Error": ("ERROR", lambda row, _view: row["Error"]),
    },
    ("Name", "Description", "DockerEndpoint", "Error"),
    identity="Name",
)


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, in which a star marks the one that holds, the names, or what a format makes of each."""
    output = Output(context, _CONTEXT, arguments)
    store = Store(context.config)
    for error in store.broken():
        context.warn(f"{error}: {error.hint}")
    rows = _rows(context, store)
    if output.quiet or not output.plain:
        output.show(rows)
        return 0
    lines = [
        (f"{row['Name']} *" if row["Current"] else row["Name"], row["Description"], row["DockerEndpoint"], row["Error"])
        for row in rows
    ]
    context.write_text(table(_HEADER, [tuple(map(one_line, line)) for line in lines]) + "\n")
    return 0


def _rows(context: "Context", store: Store) -> "list[dict[str, Any]]":
    current = context.context_name()
    rows = [_row(DEFAULT, _ABOUT_DEFAULT, current, context.default_endpoint().host)]
    for name in store.names():
        try:
            stored = store.get(name)
            rows.append(_row(name, stored.description, current, stored.host))
        except KistError as error:
            rows.append(_row(name, "", current, "", str(error)))
    if current not in {row["Name"] for row in rows}:
        try:
            store.get(current)
        except KistError as error:
            rows.append(_row(current, "", current, "", str(error)))
    return rows


def _row(name: str, description: str, current: str, host: str, error: str = "") -> "dict[str, Any]":
    return {
        "Current": name == current,
        "Description": description,
        "DockerEndpoint": host,
        "Error": error,
        "Name": name,
    }


COMMAND = Command(
    "context ls",
    run,
    options=(FORMAT, Option("-q --quiet", "Names only")),
    about="Contexts are Docker's own (~/.docker/contexts): what either client makes, the other one has.",
)
