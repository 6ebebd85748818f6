"""A running container's processes stand still while its files are read, as ``commit`` has it by default.

A mark in the container's directory tells an engine that comes after one that was killed meanwhile to let them go on.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator

from kist.engine import bundle, namespaces
from kist.errors import Unavailable
from kist.kernel import cgroup, process
from kist.runtime import messages
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
    mark = os.path.join(directory, _MARK)
    with open(mark, "wb"):
        pass
    try:
        try:
            stopped = _freeze(container)
            if stopped is not None:
                messages.write_json(mark, stopped)
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
        _thaw(container, mark)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:  # it has ended meanwhile
            raise
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark)


def _freeze(container: Container) -> list[int] | None:
    """Stop them; which ones, where there is no control group that knows."""
    found = cgroup.detect()
    if found.mode == "none":
        return namespaces.members(container).stop()
    cgroup.Cgroup(found, bundle.cgroup_path(container)).freeze(frozen=True)
    return None


def _thaw(container: Container, mark: str) -> None:
    found = cgroup.detect()
    if found.mode == "none":
        text = process.read_file(mark)
        namespaces.members(container).go_on(json.loads(text) if text else None)
    else:
        cgroup.Cgroup(found, bundle.cgroup_path(container)).freeze(frozen=False)
