"""A file tree given to another owner, whatever somebody does in it meanwhile."""

from __future__ import annotations

import errno
import os
import stat

from kist.kernel import libc, paths

_HOLD = os.O_PATH | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_AS_IT_IS = 0xFFFFFFFF
# Each level is two descriptors while one is inside; real trees have less than half of this.
DEEPEST = 256


def give_tree(held: int, uid: int, gid: int) -> int:
    """Make all that a descriptor (O_PATH) holds, and what is below it, belong to these ids; how many entries changed.

    No symbolic link is followed (the link itself is given), and nothing that is mounted below is touched. What has both
    ids already stays untouched: a change takes set-id bits and capabilities from a file.

    Raises:
        OSError: EPERM for what this process may not give away, EINVAL for ids that there are not, ELOOP where
            directories are nested deeper than ``DEEPEST``; what came before it has its new owner.
    """
    return _give(held, uid, gid, "", 0)


def _give(held: int, uid: int, gid: int, path: str, depth: int) -> int:
    status = os.fstat(held)
    changed = (status.st_uid, status.st_gid) != (uid, gid)
    if changed:
        wanted = (uid if status.st_uid != uid else _AS_IT_IS, gid if status.st_gid != gid else _AS_IT_IS)
        # By the descriptor: the name may be another file's by now.
        libc.call("fchownat", held, b"", *wanted, libc.AT_EMPTY_PATH, path=path or ".")
    if not stat.S_ISDIR(status.st_mode):
        return int(changed)
    if depth == DEEPEST:
        raise OSError(errno.ELOOP, f"directories are nested deeper than {DEEPEST}", path)
    return changed + _give_below(held, uid, gid, path, depth)


def _give_below(held: int, uid: int, gid: int, path: str, depth: int) -> int:
    changed = 0
    directory = os.open(".", _DIRECTORY, dir_fd=held)
    try:
        for name in os.listdir(directory):
            try:
                entry = paths.open_in_root(directory, name, _HOLD, same_mount=True)
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EXDEV}:
                    continue  # gone, or something is mounted there
                raise
            try:
                changed += _give(entry, uid, gid, f"{path}/{name}" if path else name, depth + 1)
            finally:
                os.close(entry)
    finally:
        os.close(directory)
    return changed
