"""What only containers without a control group do."""

from __future__ import annotations

import os

from kist.kernel import members
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.runtime.operations import Context


def tell_mounts(context: Context) -> None:
    """Give the monitor this mount namespace, for the command may end before anybody has looked."""
    space = members.open_mount_namespace()
    messages.send(context.report, {"mounts": True}, [space])
    os.close(space)
