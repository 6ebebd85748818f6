"""``kist info``."""

from kist.cli.documents import FORMAT, show
from kist.cli.option import Command
from kist.cli.units import binary_size
from kist.cli.warnings import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what the engine knows of itself and the machine; its warnings on standard error."""
    if form := arguments.text("format"):
        return show(context, form, context.wire.call("GET", "/info") | {"ClientInfo": client_info(context)})
    info = context.wire.call("GET", "/kist/info")
    version = info["version"]
    rows = [
        ("Context", f"{context.context_name()} ({context.endpoint().host})"),
        ("Version", version["version"]),
        ("Containers", f"{info['containers']} ({info['running']} running, {info['paused']} paused)"),
        ("Images", info["images"]),
        ("Data root", info["data_root"]),
        ("Run root", info["run_root"]),
        ("Storage driver", f"{info['storage_driver']} ({info['storage_reason']})"),
        ("Cgroups", info["cgroup_version"]),
        ("Rootless", _rootless(info)),
        *((("Networks", _networks(info)),) if info["rootless"] else ()),
        ("Ports", info["ports"]),
        ("Kernel", version["kernel"]),
        ("OS/Arch", f"{version['os']}/{version['architecture']}"),
        ("Python", version["python"]),
        ("CPUs", info["cpus"]),
        ("Memory", binary_size(info["memory"])),
    ]
    for name, value in rows:
        context.say(f"{name + ':':<16}{value}")
    tell(context, info["warnings"])
    return 0


def _rootless(info: "dict[str, Any]") -> str:
    if not info["rootless"]:
        return "no"
    if info["ids"] > 1:
        return f"yes, {info['ids']} ids"
    return f"yes, one id ({info['lacks'] or 'there are no more here'}; see `kist doctor subids newuidmap owners`)"


def _networks(info: "dict[str, Any]") -> str:
    if info["way_out"]:
        return f"bridges, and {info['way_out']} for what is outside"
    return "bridges with no way out (see `kist doctor pasta slirp4netns tun`), or the host's"


def client_info(context: "Context") -> "dict[str, Any]":
    """What Docker's client tells of itself there."""
    from kist import __version__  # noqa: PLC0415 - read from the package's metadata, for this only

    return {
        "Debug": context.debug,
        "Version": __version__,
        "Context": context.context_name(),
        "Plugins": [],
        "Warnings": None,
    }


COMMAND = Command("info", run, options=(FORMAT,))
