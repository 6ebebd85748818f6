"""A running container's processes stand still while its files are read, as ``commit`` has it by default.

A mark in the container's directory tells an engine that comes after one that was killed meanwhile to let them go on.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator

from kist.engine import namespaces, state
from kist.engine.starter import Places
from kist.errors import Unavailable
from kist.kernel import process
from kist.runtime import messages
from kist.spec.container import Container

_MARK = "standstill"


@contextlib.contextmanager
def standing_still(container: Container, places: Places) -> Iterator[None]:
    """Stop a container's processes where they are, for the length of a block.

    Args:
        container: runs, and is not paused.
        places: its directories.

    Raises:
        Unavailable: a process does not stop, or this machine cannot freeze processes.
    """
    mark = os.path.join(places.data, _MARK)
    with open(mark, "wb"):
        pass
    try:
        try:
            stopped = _freeze(container, places)
            if stopped is not None:
                messages.write_json(mark, stopped)
        except OSError as error:
            raise Unavailable(
                f"cannot pause container {container.name}: {(error.strerror or str(error)).lower()}",
                hint="--no-pause takes its files as they are while it runs",
            ) from error
        yield
    finally:
        let_go(container, places)


def let_go(container: Container, places: Places) -> None:
    """Let the processes go on, if they were stopped; nothing happens otherwise."""
    mark = os.path.join(places.data, _MARK)
    if not os.path.exists(mark):
        return
    try:
        _thaw(container, places, mark)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV}:  # it has ended meanwhile
            raise
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark)


def _freeze(container: Container, places: Places) -> list[int] | None:
    """Stop them; which ones, where there is no control group that knows."""
    group = state.group(places.run)
    if group.is_none:
        return namespaces.members(container).stop()
    group.freeze(frozen=True)
    return None


def _thaw(container: Container, places: Places, mark: str) -> None:
    group = state.group(places.run)
    if group.is_none:
        text = process.read_file(mark)
        namespaces.members(container).go_on(json.loads(text) if text else None)
    else:
        group.freeze(frozen=False)
