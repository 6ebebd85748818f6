"""Subvolumes of btrfs (btrfs-ioctl(2)): trees of which the file system makes a copy-on-write copy at once."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_SNAP_CREATE = 0x50009401
_SUBVOL_CREATE = 0x5000940E
_SNAP_DESTROY = 0x5000940F
# btrfs_ioctl_vol_args: the descriptor of a subvolume, and a name.
_ARGUMENTS = struct.Struct("=q4088s")
_ROOT_INODE = 256  # of every subvolume's root
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def create(path: str) -> None:
    """Make an empty subvolume.

    Raises:
        OSError: ENOTTY where the file system is another one.
    """
    _in_parent(_SUBVOL_CREATE, path)


def snapshot(source: str, path: str) -> None:
    """Make a subvolume that holds what another one does; neither sees what is written to the other from then on.

    Raises:
        OSError: EXDEV or EINVAL when ``source`` is no subvolume of this file system, EPERM when it is somebody else's.
    """
    descriptor = os.open(source, _DIRECTORY)
    try:
        _in_parent(_SNAP_CREATE, path, descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> bool:
    """Remove a subvolume with all that is in it; the space comes back in the background.

    Returns:
        False where that cannot be done so: it is none, it has others in it, or this process may not (an ordinary user
        on a mount without ``user_subvol_rm_allowed``). rmdir(2) takes it away once it is empty.
    """
    try:
        if os.lstat(path).st_ino != _ROOT_INODE:
            return False
        _in_parent(_SNAP_DESTROY, path)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTTY, errno.EPERM, errno.EACCES, errno.ENOTEMPTY, errno.EINVAL,
                           errno.ENOTDIR, errno.EBUSY}:  # fmt: skip
            return False
        raise
    return True


def _in_parent(request: int, path: str, descriptor: int = 0) -> None:
    above, name = os.path.split(path)
    parent = os.open(above or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(parent, request, bytearray(_ARGUMENTS.pack(descriptor, os.fsencode(name))))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(parent)
