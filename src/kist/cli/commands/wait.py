"""``kist wait``."""

from kist.cli.common import container_path, each, inspect_container
from kist.cli.foreground import exit_code
from kist.cli.option import Command, Option
from kist.cli.values import choice
from kist.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

# What the engine waits for itself, in its words and in Podman's.
_ENDS = {
    "not-running": "not-running",
    "stopped": "not-running",
    "exited": "not-running",
    "next-exit": "next-exit",
    "removed": "removed",
}
_STATES = ("created", "running", "paused", "healthy", "unhealthy")


def run(context: "Context", arguments: "Arguments") -> int:
    """Wait for each and print its exit code; -1 for one that has not ended."""
    wanted = arguments.get("condition", "not-running")

    def wait(name: str) -> str:
        if wanted in _STATES:
            return str(_await_state(context, name, wanted))
        query = [("condition", _ENDS[wanted])]
        return str(exit_code(context.wire.begin("POST", container_path(name, "wait"), query)))

    return each(context, arguments.operands, wait)


def _await_state(context: "Context", name: str, wanted: str) -> int:
    """Look at the container whenever something happens to it, until it is as wanted.

    Raises:
        Conflict: it ended or was removed, and so will not be.
    """
    from kist.spec.jsontext import dumps  # noqa: PLC0415 - for such conditions only

    identifier = inspect_container(context, name)["Id"]
    filters = dumps({"type": ["container"], "container": [identifier]})
    # Listened to before the first look, so that nothing happens in between.
    happenings = context.wire.request("GET", "/events", [("filters", filters)])
    pieces = iter(happenings)
    try:
        while True:
            state = inspect_container(context, identifier)["State"]
            if _is(state, wanted):
                return int(state["ExitCode"]) if state["Status"] == "exited" else -1
            if state["Status"] in {"exited", "dead", "removing"}:
                raise Conflict(f"container {name} has ended: it will not be {wanted}", hint=f"kist start {name}")
            if not next(pieces, b""):
                raise Conflict(f"the engine stopped before container {name} was {wanted}", hint="wait for it once more")
    finally:
        happenings.close()


def _is(state: "dict[str, Any]", wanted: str) -> bool:
    health = (state.get("Health") or {}).get("Status")
    return wanted in {state["Status"], health}


COMMAND = Command(
    "wait",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(
        Option(
            "--condition",
            "What to wait for: not-running (also stopped, exited), next-exit, removed, created, running, paused, "
            "healthy or unhealthy (default: not-running)",
            "CONDITION",
            parse=choice(*_ENDS, *_STATES),
        ),
    ),
    about="Prints the exit code of each, -1 for one that runs on.",
)
