"""Places where a test may have this process killed: ``kist.kernel.faults.point("monitor cloned")``.

Nothing happens unless ``KIST_FAULTS`` names a file when the process starts. When that file's first line is the name of
the point, whoever comes by takes the file away and kills itself, as if somebody had done it just there; or, where there
is a second line, the process of that number, and goes on.
"""

from __future__ import annotations

import os

VARIABLE = "KIST_FAULTS"
# The file, or nothing.
_armed: list[str] = []


def point(name: str) -> None:
    """Die here if a test wants it."""
    if _armed:
        _die_if_wanted(_armed[0], name)


def arm() -> None:
    """From here on points count; they do from the start."""
    _armed[:] = [os.environ[VARIABLE]] if VARIABLE in os.environ else []


def disarm() -> None:
    """Until ``arm``, no point counts: what passes them now only rehearses."""
    _armed.clear()


def environment() -> dict[str, str]:
    """What a process that is started with an environment of its own needs to have the same points."""
    return {VARIABLE: _armed[0]} if _armed else {}


def _die_if_wanted(path: str, name: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        wanted, _, victim = os.read(descriptor, 256).decode().partition("\n")
        os.close(descriptor)
        if wanted == name:
            os.unlink(path)
            os.kill(int(victim or os.getpid()), 9)
    except (FileNotFoundError, ProcessLookupError):
        return  # nothing is wanted now, or another process was first; or the victim is dead already


arm()
