"""A running container's processes stand still while its files are read, as ``commit`` has it by default.

A mark in the container's directory tells an engine that comes after one that was killed meanwhile to let them go on.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from kist.engine import bundle
from kist.errors import Unavailable
from kist.kernel import cgroup, members
from kist.spec.container import Container

_MARK = "standstill"


@contextlib.contextmanager
def standing_still(container: Container, directory: str) -> Iterator[None]:
    """Stop a container's processes where they are, for the length of a block.

    Args:
        container: runs, and is not paused.
        directory: its own.

    Raises:
        Unavailable: a process does not stop, or this machine cannot freeze processes.
    """
    with open(os.path.join(directory, _MARK), "wb"):
        pass
    try:
        try:
            _freeze(container, frozen=True)
        except OSError as error:
            raise Unavailable(
                f"cannot pause container {container.name}: {(error.strerror or str(error)).lower()}",
                hint="--no-pause takes its files as they are while it runs",
            ) from error
        yield
    finally:
        let_go(container, directory)


def let_go(container: Container, directory: str) -> None:
    """Let the processes go on, if they were stopped; nothing happens otherwise."""
    mark = os.path.join(directory, _MARK)
    if not os.path.exists(mark):
        return
    try:
        _freeze(container, frozen=False)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:  # it has ended meanwhile
            raise
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark)


def _freeze(container: Container, *, frozen: bool) -> None:
    found = cgroup.detect()
    if found.mode != "none":
        cgroup.Cgroup(found, bundle.cgroup_path(container)).freeze(frozen=frozen)
    else:
        (members.stop if frozen else members.go_on)(container.state.pid)
