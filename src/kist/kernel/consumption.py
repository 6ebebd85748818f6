"""What processes use, as /proc tells it (proc(5)): for containers whose use no control group counts."""

from __future__ import annotations

import os

from kist.kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_KIB = 1024


def read(pids: Iterable[int]) -> dict[str, int]:
    """What these use and have used, those of their children included that have ended.

    Keys: ``cpu_user`` and ``cpu_system`` in ns, ``memory``, ``block_read`` and ``block_write`` in bytes, ``pids`` (each
    thread is one).
    """
    found = dict.fromkeys(("cpu_user", "cpu_system", "memory", "block_read", "block_write", "pids"), 0)
    for pid in pids:
        for key, value in (_of(pid) | {"memory": memory(pid)}).items():
            found[key] += value
    return found


def ended(pid: int) -> dict[str, int]:
    """What a process and its children have used that has ended and not been waited for yet; empty when it is gone."""
    found = _of(pid)
    if not found:
        return {}
    blocks = {key: found[key] for key in ("block_read", "block_write") if found[key]}
    return {"cpu_ns": found["cpu_user"] + found["cpu_system"], **blocks}


def _of(pid: int) -> dict[str, int]:
    try:
        fields = process.read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return {}  # it has gone meanwhile
    try:
        blocks = _table(f"/proc/{pid}/io")
    except OSError:
        blocks = {}  # it has ended, or is somebody's who may not be looked at
    user, system, of_children_user, of_children_system = (int(field) * _TICK for field in fields[11:15])
    return {
        "cpu_user": user + of_children_user,
        "cpu_system": system + of_children_system,
        "pids": int(fields[17]),
        "block_read": blocks.get("read_bytes", 0),
        "block_write": blocks.get("write_bytes", 0),
    }


def memory(pid: int) -> int:
    """Bytes of memory that are not pages of files; pages that processes share count for each. 0 when it has ended."""
    try:
        found = _table(f"/proc/{pid}/status")
    except OSError:
        return 0
    return _KIB * (found.get("RssAnon", 0) + found.get("RssShmem", 0))


def shared_fairly(pid: int) -> int:
    """The same, but of a page that n processes share each has an n-th. The kernel looks at every page for it."""
    try:
        found = _table(f"/proc/{pid}/smaps_rollup")
    except OSError:
        return 0
    return _KIB * (found.get("Pss_Anon", 0) + found.get("Pss_Shmem", 0))


def _table(path: str) -> dict[str, int]:
    """A file of ``name: number`` lines; what a number is followed by (``kB``) is left out."""
    found = {}
    for line in process.read_file(path).decode("ascii", "replace").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found
