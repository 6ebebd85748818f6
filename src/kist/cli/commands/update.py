"""``kist update``."""

from kist.cli.common import container_path, each
from kist.cli.container_options import CONTAINER_OPTIONS
from kist.cli.create_body import HOST_FIELDS
from kist.cli.option import Command
from kist.cli.usage import UsageError
from kist.cli.warnings import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments

# What Docker lets one change, in the words and with the values of run.
_KEYS = frozenset(
    {
        "blkio_weight", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus",
        "cpuset_cpus", "cpuset_mems", "kernel_memory", "memory", "memory_reservation", "memory_swap", "pids_limit",
        "restart",
    }
)  # fmt: skip


def run(context: "Context", arguments: "Arguments") -> int:
    """Change them one after another and print their names."""
    body = {field: arguments.values[key] for key, field in HOST_FIELDS.items() if key in arguments.values}
    if not arguments.values:
        raise UsageError("you must provide one or more flags when using this command.")

    def update(name: str) -> str:
        answer = context.wire.call("POST", container_path(name, "update"), value=body)
        tell(context, (answer or {}).get("Warnings") or ())
        return name

    return each(context, arguments.operands, update)


COMMAND = Command(
    "update",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=tuple(option for option in CONTAINER_OPTIONS if option.key in _KEYS),
    about="A container that runs has its new limits at once. What is not named stays as it is.",
    examples=("kist update --memory 512m --memory-swap -1 web", "kist update --restart on-failure:3 web db"),
)
