"""What an engine warns of, with what the machine lacks for it."""

from kist.errors import see_doctor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from kist.cli.context import Context

# Docker's words, as clients look for them, for limits that control groups keep.
_OF_LIMITS = ("Your kernel does not support ", "No ")


def tell(context: "Context", warnings: "Iterable[str]") -> None:
    """Print them, and once below them what to ask the doctor."""
    limits = False
    for warning in warnings:
        context.warn(warning)
        limits = limits or warning.startswith(_OF_LIMITS)
    if limits:
        context.warn(see_doctor("cgroups"), mark=False)
