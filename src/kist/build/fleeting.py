"""What programs write down of the moment and the machine, taken out of the layer of a reproducible build's command.

These are logs, and caches that their programs make again; as bootstrap leaves them in a base image. Each is emptied
where the command has made or changed it, and never removed: an empty one is what all these programs begin with.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from kist.errors import from_os_error
from kist.image.filling import Filling, filling_of
from kist.kernel.paths import open_in_root
from kist.spec.mount import Mount

EMPTIED = (
    "etc/machine-id",  # systemd makes up an id where it is empty
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/ldconfig/aux-cache",  # of inodes and change times
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/apt/eipp.log.xz",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/bootstrap.log",
    "var/log/dnf.log",
    "var/log/dpkg.log",
    "var/log/fontconfig.log",
    "var/log/yum.log",
)
_OPEN = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty(mounts: Sequence[Mount]) -> None:
    """Empty those files that an active snapshot has of its own; nobody else writes to it.

    Raises:
        KistError: the file system fails.
    """
    filling = filling_of(mounts)
    try:
        root = os.open(filling.directory, _DIRECTORY)
        try:
            for path in EMPTIED:
                with suppress(FileNotFoundError, NotADirectoryError):
                    _empty(root, path, filling)
        finally:
            os.close(root)
    except OSError as error:
        raise from_os_error(error, "empty the command's logs") from error


def _empty(root: int, path: str, filling: Filling) -> None:
    held = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        status = os.fstat(held)
    finally:
        os.close(held)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return  # a whiteout, a link, or empty already
    if filling.copy_of and status.st_ctime_ns < filling.copied_at:
        return  # the base's own
    file = open_in_root(root, path, _OPEN)
    try:
        os.ftruncate(file, 0)
    finally:
        os.close(file)
