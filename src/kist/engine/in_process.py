"""An engine in the process that wants its containers, and ends with it."""

import os

from kist.kernel import process
from kist.runtime.launch import Spawner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.engine import Engine


def begin(data_root: str, run_root: str, lacks: str) -> "Engine":
    """The engine. To be called by a process that has nothing else to do, as root.

    Its keeper gets ready while the rest is imported. All that the keeper has started stays below this process, also
    when the keeper is killed.

    Args:
        data_root: where images and containers are kept.
        run_root: as for every engine.
        lacks: why an ordinary user has one id only (``kist.engine.rootless.enter``).
    """
    process.adopt_orphans()
    os.makedirs(run_root, 0o700, exist_ok=True)
    spawner = Spawner(os.path.join(run_root, "engine.log"), bound=True)
    spawner.start()
    try:
        from kist.engine.engine import Engine  # noqa: PLC0415 - see above

        return Engine(data_root, run_root, lacks=lacks, bound=True, spawner=spawner)
    except BaseException:
        spawner.close()
        raise
