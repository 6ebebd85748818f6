"""``kist volume create``."""

from kist.cli.option import REPEAT, Command, Option
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def option(text: str) -> "tuple[str, str]":
    """``NAME=VALUE``, as a pair.

    Raises:
        ValueError: there is no name.
    """
    name, _, value = text.partition("=")
    if not name:
        raise ValueError(f"an option is NAME=VALUE, not {text!r}")
    return name, value


def run(context: "Context", arguments: "Arguments") -> int:
    """Make it and print its name."""
    name = arguments.operands[0] if arguments.operands else ""
    if name and arguments.text("name"):
        raise InvalidInput(
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
        )
    body = {
        "Name": name or arguments.text("name"),
        "Driver": arguments.text("driver") or "local",
        "DriverOpts": dict(arguments.all("opt")),
        "Labels": dict(arguments.all("label")),
    }
    context.say(context.wire.call("POST", "/volumes/create", value=body)["Name"])
    return 0


COMMAND = Command(
    "volume create",
    run,
    "[VOLUME]",
    most=1,
    options=(
        Option("-d --driver", "Driver of the volume (local)", "DRIVER"),
        Option("--label", "Label of the volume", "NAME[=VALUE]", kind=REPEAT, parse=option),
        Option("-o --opt", "Option of the driver", "NAME=VALUE", kind=REPEAT, parse=option),
        Option("--name", "The volume's name", "NAME", hidden=True),
    ),
    about="Options of the driver are uid, gid, mode and size (where the file system has project quotas) of a directory "
    "of the engine's; type, device and o, as of mount(8), for a directory of the host, or for a file system that is "
    "mounted for the containers that have it.",
    examples=(
        "kist volume create -o uid=1000 -o mode=0750 store",
        "kist volume create -o type=tmpfs -o size=64m scratch",
        "kist volume create -o type=none -o o=bind -o device=/srv/data data",
        "kist volume create -o type=nfs -o device=files:/export -o o=vers=4.2,ro archive",
    ),
)
