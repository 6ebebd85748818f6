"""An engine in the process that wants its containers, and ends with it."""

import os

from kist.kernel import process
from kist.runtime.launch import Spawner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.engine import Engine
    from kist.engine.rootless import Entry


def begin(data_root: str, run_root: str, entry: "Entry") -> "Engine":
    """The engine. To be called by a process that has nothing else to do, as root.

    Its keeper gets ready while the rest is imported. All that the keeper has started stays below this process, also
    when the keeper is killed.

    Args:
        data_root: where images and containers are kept.
        run_root: as for every engine.
        entry: what ``kist.engine.rootless.enter`` gave.
    """
    process.adopt_orphans()
    os.makedirs(run_root, 0o700, exist_ok=True)
    spawner = Spawner(os.path.join(run_root, "engine.log"), bound=True)
    spawner.start()
    try:
        from kist.engine.engine import Engine  # noqa: PLC0415 - see above

        engine = Engine(data_root, run_root, lacks=entry.lacks, bound=True, spawner=spawner)
        entry.settle(spawner.be_ready)
    except BaseException:
        spawner.close()
        raise
    return engine
