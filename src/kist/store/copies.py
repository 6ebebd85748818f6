"""Snapshots as whole trees: each begins as a copy of the one below, and nothing has to be mounted.

It works on every file system and in every user namespace. A file's bytes are shared with the copy where the file system
can (reflinks: btrfs, xfs, bcachefs); elsewhere each snapshot takes its full size.

Beside a snapshot's directory, while it is active and began as a copy, is an empty file that was made when the copy was
whole: what has a later change time may have been written to.
"""

import os
import stat

from kist.kernel.copying import copy_tree
from kist.spec.mount import Mount
from kist.store import directories

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Copies:
    """Full copies, by reference where the file system can."""

    name = "copy"
    quick = False
    layered = False
    whole = True

    def make(self, directory: str, below: str | None) -> int:
        """See ``Storage``."""
        os.mkdir(directory, 0o700)
        if below is None:
            os.chmod(directory, 0o755)  # noqa: S103 - the root of a container is for all its users
            return 0
        source = os.open(below, _DIRECTORY)
        try:
            target = os.open(directory, _DIRECTORY)
            try:
                copied = copy_tree(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        mark(directory)
        return copied

    def mounts(self, directory: str, lowers: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``. Among the options is what it was copied from, and when; mounting takes no notice of that."""
        plain = ("rbind", "rw")
        if not lowers:
            return (Mount("bind", directory, "", plain),)
        try:
            copied_at = os.stat(f"{directory}-copied").st_mtime_ns
        except FileNotFoundError:
            copied_at = 0  # of a layer it is not kept: then all of it is compared
        return (Mount("bind", directory, "", (*plain, f"copy-of={lowers[0]}", f"copied-at={copied_at}")),)

    def view(self, stack: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``."""
        return (Mount("bind", stack[0], "", ("rbind", "ro")),)

    def size(self, directory: str, below: str | None) -> int:
        """See ``Storage``: bytes of the files that are not as they were copied."""
        if below is None:
            return directories.size(directory)
        seen: set[int] = set()
        total = 0
        for where, name, status in directories.below(directory):
            if not stat.S_ISREG(status.st_mode) or status.st_ino in seen:
                continue
            if not _is_copy(status, os.path.join(below, *where, name)):
                seen.add(status.st_ino)
                total += status.st_size
        return total


def mark(directory: str) -> None:
    """Note beside a snapshot's directory that the copy is whole, and when that was."""
    os.close(os.open(f"{directory}-copied", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _is_copy(status: os.stat_result, original: str) -> bool:
    try:
        before = os.lstat(original)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (status.st_size, status.st_mtime_ns, status.st_mode) == (before.st_size, before.st_mtime_ns, before.st_mode)
