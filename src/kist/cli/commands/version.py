"""``kist version``."""

import os
import sys

from kist.cli.option import Command
from kist.cli.unsupported import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the client's side, then the engine's."""
    del arguments
    from kist import __version__  # noqa: PLC0415 - kist itself is imported already

    python = ".".join(map(str, sys.version_info[:3]))
    machine = os.uname()
    _block(context, "Client", [("Version", __version__), ("Python", python), ("OS/Arch", f"linux/{machine.machine}")])
    told = context.wire.call("GET", "/version")
    context.say("")
    rows = [
        ("Version", told["Version"]),
        ("API version", f"{told['ApiVersion']} (minimum version {told['MinAPIVersion']})"),
        ("Python", told["GoVersion"].partition("Python ")[2].rstrip(")") or "-"),
        ("Kernel", told["KernelVersion"]),
        ("OS/Arch", f"{told['Os']}/{told['Arch']}"),
    ]
    _block(context, "Engine", rows)
    return 0


def _block(context: "Context", title: str, rows: "list[tuple[str, str]]") -> None:
    context.say(title + ":")
    for name, value in rows:
        context.say(f" {name + ':':<14}{value}")


COMMAND = Command("version", run, options=(FORMAT,))
