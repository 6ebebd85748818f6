"""What only containers without a control group do."""

from __future__ import annotations

from kist.kernel import members
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.runtime.operations import Context


def tell_mounts(context: Context) -> None:
    """Tell the monitor which mount namespace this is, for the command may end before anybody has looked."""
    messages.send(context.report, {"mounts": members.own_mount_namespace()})
