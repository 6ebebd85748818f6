"""What is asked of the engine before the rest of the program is imported: to execute a command that is written plainly.

``kist exec CONTAINER COMMAND…``, without options, needs no table of them to be understood. Its request goes out first,
and while the engine is at work the program reads the rest of itself, which takes nearly as long.
"""

import os

from kist.cli.common import container_path
from kist.client.endpoint import resolve
from kist.client.start import connect
from kist.client.wire import Wire
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from kist.client.wire import Exchange


class Begun:
    """A request that is under way.

    Attributes:
        wire: the engine that was asked.
        execution: what was asked for; it is the verb's to hear the answer.
    """

    __slots__ = ("execution", "wire")

    def __init__(self, wire: Wire, execution: "Exchange") -> None:
        self.wire = wire
        self.execution = execution


def begin(argv: "Sequence[str]", environment: "Mapping[str, str]") -> "Begun | None":
    """Ask for what is plain; None for all else, and where no engine is at hand: the verb starts one, or tells why not.

    Args:
        argv: without the program.
        environment: as ``os.environ``.
    """
    if len(argv) < 3 or argv[0] != "exec" or not argv[1] or argv[1].startswith("-"):
        return None
    try:
        endpoint = resolve(environment, os.getuid())
        if not endpoint.socket:
            return None
        wire = Wire(endpoint)
        wire.release(connect(endpoint, may_start=False))
    except (KistError, OSError):
        return None
    try:
        return Begun(wire, execute(wire, argv[1], body_of(argv[2:])))
    except (KistError, OSError):
        wire.close()
        return None


def body_of(
    command: "Sequence[str]",
    *,
    tty: bool = False,
    stdin: bool = False,
    attached: bool = True,
    env: "Sequence[str]" = (),
    user: str = "",
    directory: str = "",
    privileged: bool = False,
) -> "dict[str, Any]":
    """The body of ContainerExec."""
    return {
        "Cmd": list(command),
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Env": list(env),
        "User": user,
        "WorkingDir": directory,
        "Privileged": privileged,
    }


def execute(wire: Wire, name: str, body: "dict[str, Any]") -> "Exchange":
    """Ask for a process that is made, started and attached to by one request (docs/decisions/0034)."""
    return wire.begin_hijack(f"/kist{container_path(name, 'exec')}", value=body)
