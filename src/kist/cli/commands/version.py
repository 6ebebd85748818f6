"""``kist version``."""

import os
import sys

from kist.cli.documents import FORMAT, show
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the client's side, then the engine's."""
    from kist import __version__  # noqa: PLC0415 - kist itself is imported already

    if form := arguments.text("format"):
        both = {"Client": _client(context, __version__), "Server": context.wire.call("GET", "/version")}
        return show(context, form, both)
    python = ".".join(map(str, sys.version_info[:3]))
    rows = [("Version", __version__), ("Python", python), ("OS/Arch", f"linux/{_architecture()}")]
    _block(context, "Client", [*rows, ("Context", context.context_name())])
    told = context.wire.call("GET", "/version")
    context.say("")
    rows = [
        ("Endpoint", context.endpoint().host),
        ("Version", told["Version"]),
        ("API version", f"{told['ApiVersion']} (minimum version {told['MinAPIVersion']})"),
        ("Python", told["GoVersion"].partition("Python ")[2].rstrip(")") or "-"),
        ("Kernel", told["KernelVersion"]),
        ("OS/Arch", f"{told['Os']}/{told['Arch']}"),
    ]
    _block(context, "Engine", rows)
    return 0


def _client(context: "Context", version: str) -> "dict[str, Any]":
    """The client's side in Docker's fields."""
    from kist.spec.docker.versions import API_VERSION  # noqa: PLC0415 - for those who ask for a format

    return {
        "Version": version,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "GitCommit": "",
        "GoVersion": f"none (Python {'.'.join(map(str, sys.version_info[:3]))})",
        "Os": "linux",
        "Arch": _architecture(),
        "BuildTime": "",
        "Context": context.context_name(),
    }


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _block(context: "Context", title: str, rows: "list[tuple[str, str]]") -> None:
    context.say(title + ":")
    for name, value in rows:
        context.say(f" {name + ':':<14}{value}")


COMMAND = Command("version", run, options=(FORMAT,))
