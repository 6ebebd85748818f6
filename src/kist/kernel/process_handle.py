"""A process held by its directory in /proc: what is opened beside the handle is that process's, and no other one's."""

from __future__ import annotations

import contextlib
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def held(pid: int, started: int) -> Iterator[int]:
    """A descriptor of a process's directory, for the length of the block.

    When the process began is asked for through the same handle, so one that got the number of another that has ended
    is never looked into.

    Args:
        pid: of the process.
        started: when it began (``process.start_time``).

    Raises:
        ProcessLookupError: there is no such process (any more), which the block may find too (``FileNotFoundError``).
    """
    try:
        handle = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if int(read(handle, "stat").rpartition(")")[2].split()[19]) != started:
                raise ProcessLookupError(f"process {pid} is another one by now")
            yield handle
        finally:
            os.close(handle)
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error


def read(handle: int, name: str) -> str:
    """What a file of a process says that is held.

    Raises:
        FileNotFoundError, ProcessLookupError: it has ended.
    """
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=handle)
    except OSError as error:
        if error.errno == errno.EINVAL:  # what it has no namespaces any more for
            raise ProcessLookupError(f"{name} of a process that has ended") from error
        raise
    with open(file, encoding="utf-8", errors="surrogateescape") as opened:
        return opened.read()
