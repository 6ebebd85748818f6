"""Paths inside a root that somebody else filled: openat2(2), so that no symbolic link leads out."""

from __future__ import annotations

import errno
import os
import struct

from kist.kernel import libc

_RESOLVE_NO_XDEV = 0x01
_RESOLVE_IN_ROOT = 0x10
_RESOLVE_NO_MAGICLINKS = 0x02
# The kernel gives up on a ".." while anything on the machine is renamed or mounted, and wants to be asked again.
_TRIES = 1000


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0, *, same_mount: bool = False) -> int:
    """Open ``path`` as if ``root_fd`` were the root directory, symbolic links and ``..`` included.

    With ``same_mount`` nothing that is mounted below it can be reached (``EXDEV``).

    Returns a descriptor that is closed on exec. Raises ``OSError``; ``EXDEV`` and ``ELOOP`` mean that the path tried
    to leave.
    """
    resolve = _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS | (_RESOLVE_NO_XDEV if same_mount else 0)
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path or ".")
    for left in range(_TRIES, -1, -1):
        try:
            return libc.syscall(libc.SYS_OPENAT2, root_fd, name, how, len(how), path=path)
        except OSError as error:
            if error.errno != errno.EAGAIN or not left:
                raise
    raise AssertionError("the last try returns or raises")


def reopen(descriptor: int, flags: int) -> int:
    """Open once more what a descriptor (one of ``O_PATH``, say) stands for: nobody can have put another file there."""
    return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)


def place_of(descriptor: int) -> str:
    """Where what a descriptor stands for is now, as this process sees it, without symbolic links."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def mount_id(descriptor: int) -> str:
    """Which mount a descriptor is on, as the kernel numbers them: two mounts may be of one file system."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii", errors="replace") as file:
        return next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> None:
    """``mkdir -p`` inside the root; existing parts may be symbolic links to directories inside it."""
    done = ""
    for part in path.strip("/").split("/"):
        if part in {"", "."}:
            continue
        parent = open_in_root(root_fd, done or ".", os.O_PATH | os.O_DIRECTORY)
        done = f"{done}/{part}" if done else part
        try:
            os.mkdir(part, mode, dir_fd=parent)
        except FileExistsError:
            os.close(open_in_root(root_fd, done, os.O_PATH | os.O_DIRECTORY))
        finally:
            os.close(parent)


def make_file(root_fd: int, above: str, name: str) -> None:
    """Make the empty file ``name`` in the directory ``above`` of a root; ``FileExistsError`` when anything is there."""
    parent = open_in_root(root_fd, above, os.O_PATH | os.O_DIRECTORY)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent))
    finally:
        os.close(parent)
