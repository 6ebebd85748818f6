"""What every monitor needs to know of the machine; looked up once, by the keeper.

Reading all mounts takes longer than making a container.
"""

from __future__ import annotations

import os

from kist.kernel import cgroup, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.kernel.checkpoint import Checkpoint


class Machine:
    """The machine as it is for all containers.

    Attributes:
        hierarchies: of control groups.
        words: what a container's state says of where it runs: ``boot`` (the boot id), and ``keeper``, the process id
            and the start time of the process that made this object.
        monitor_pages, first_pages: memory that a monitor, and a first process, writes to until the command runs, for
            ``kist.kernel.pages.have``; empty where nobody has found out (``kist.runtime.learning``).
        checkpoint: memory that monitors share, and give back; None where there is none.
    """

    def __init__(self) -> None:
        self.hierarchies = cgroup.detect()
        own = os.getpid()
        self.words = {"boot": process.boot_id(), "keeper": [own, process.start_time(own)]}
        self.monitor_pages = self.first_pages = b""
        self.checkpoint: Checkpoint | None = None
