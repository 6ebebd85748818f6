"""``kist attach``."""

from kist.cli.common import container_path, inspect_container
from kist.cli.foreground import Foreground
from kist.cli.option import Command, Option
from kist.cli.streams import DETACH_KEYS, SIG_PROXY, check_terminal
from kist.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Attach until the container ends; its exit code."""
    container = inspect_container(context, arguments.operands[0])
    _check_running(container["State"], arguments.operands[0])
    return attach_to(context, arguments, container, starts=False)


def _check_running(state: "dict[str, Any]", name: str) -> None:
    if state.get("Restarting"):
        raise Conflict("You cannot attach to a restarting container, wait until it is running")
    if not state["Running"]:
        raise Conflict("You cannot attach to a stopped container, start it first", hint=f"kist start -a {name}")
    if state.get("Paused"):
        raise Conflict("You cannot attach to a paused container, unpause it first", hint=f"kist unpause {name}")


def attach_to(context: "Context", arguments: "Arguments", container: "dict[str, Any]", *, starts: bool) -> int:
    """Attach, start when ``starts``, and stay until the container's end; its exit code."""
    name, config = container["Id"], container["Config"]
    wants_input = arguments.flag("interactive") if starts else not arguments.flag("no_stdin")
    stdin = bool(config["OpenStdin"]) and wants_input
    if stdin:
        check_terminal(config | {"AttachStdin": True})
    removed = container.get("HostConfig", {}).get("AutoRemove")
    condition = "removed" if removed else ("next-exit" if starts else "not-running")
    foreground = Foreground(context, arguments, name, tty=bool(config["Tty"]), stdin=stdin, condition=condition)
    foreground.attach()
    if starts:
        context.wire.call("POST", container_path(name, "start"))
    return foreground.stay()


COMMAND = Command(
    "attach",
    run,
    "CONTAINER",
    least=1,
    most=1,
    options=(Option("--no-stdin", "Leave standard input alone"), SIG_PROXY, DETACH_KEYS),
)
