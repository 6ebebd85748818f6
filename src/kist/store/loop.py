"""A container's own files in a file system of a fixed size, which lies in a sparse file beside the other snapshots.

``NUMBER-disk`` is that file; in it are the upper and the work directory of an overlay. It is mounted on the snapshot's
own directory, which is empty otherwise, by whoever needs it and in mounts that nobody else sees: the kernel lets go of
the loop device with the last of them, so nothing is left of it however a process ends. What a crash leaves half done,
the file system's journal settles at the next mount.

Layers of images are never kept so: they are an overlay's, or a tree that has everything in it.
"""

import os
import subprocess
import tempfile

from kist.errors import Unavailable, see_doctor
from kist.kernel import disks, programs
from kist.spec.mount import Mount
from kist.store import directories
from kist.store.overlay import options

PROGRAM = "mkfs.ext4"
# Tables that are zero need not be written: the file is one hole. Nothing of it is kept for root's own use.
_OPTIONS = (
    "-q", "-F", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-O", "^resize_inode",
    "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0",
)  # fmt: skip
_JOURNAL = 64 << 20


class Loop:
    """A file system for each container.

    Args:
        size: the bytes that a new one has room for.
    """

    name = "loop"
    quick = False  # a program makes it
    layered = False  # they are in the file beside it
    whole = False

    def __init__(self, size: int = 0) -> None:
        self._size = size

    def make(self, directory: str, below: str | None) -> int:
        """See ``Storage``; the root looks like the root below.

        Raises:
            Unavailable: the program is not installed, or fails.
        """
        os.mkdir(directory, 0o700)
        disk = f"{directory}-disk"
        descriptor = os.open(disk, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, with_book_keeping(self._size))
        finally:
            os.close(descriptor)
        with tempfile.TemporaryDirectory(dir=directory) as content:
            os.mkdir(f"{content}/upper")
            os.mkdir(f"{content}/work", 0o700)
            like = os.stat(below) if below is not None else None
            os.chmod(f"{content}/upper", 0o755 if like is None else like.st_mode & 0o7777)
            if like is not None:
                os.chown(f"{content}/upper", like.st_uid, like.st_gid)
                os.chmod(f"{content}/upper", like.st_mode & 0o7777)
            _make_file_system(disk, content)
        return 0

    def mounts(self, directory: str, lowers: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``. The option ``disk`` is a file whose file system is to be mounted on the directory first."""
        upper, disk = f"{directory}/upper", f"disk={directory}-disk"
        if not lowers:
            return (Mount("bind", upper, "", ("rbind", "rw", disk)),)
        layers = (f"lowerdir={':'.join(lowers)}", f"upperdir={upper}", f"workdir={directory}/work")
        return (Mount("overlay", "overlay", "", (*layers, *options(), disk)),)

    def view(self, stack: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``: no committed snapshot is kept so."""
        raise AssertionError(f"{stack[0]} is a container's")

    def size(self, directory: str, below: str | None) -> int:
        """See ``Storage``."""
        del below  # nothing of it is here
        tree = disks.open_tree(f"{directory}-disk")
        try:
            return directories.size(f"/proc/self/fd/{tree}/upper")
        finally:
            os.close(tree)


def with_book_keeping(size: int) -> int:
    """The bytes of a file system that has this much room for files: inodes, bitmaps and the journal beside it."""
    journal = min(max(size // 16, 4 << 20), _JOURNAL)
    inodes = size // 62
    kept_back = min(size // 48, 17 << 20)  # by the kernel, for what it writes of itself (ext4's reserved clusters)
    return -(-(size + inodes + kept_back + journal + (2 << 20)) // 4096) * 4096


def _make_file_system(disk: str, content: str) -> None:
    program = programs.find(PROGRAM, os.environ)
    if program is None:
        hint = see_doctor("loop", "install e2fsprogs")
        raise Unavailable(f"a size limit needs {PROGRAM}, which is not installed", hint=hint)
    done = subprocess.run(
        [program, *_OPTIONS, "-J", f"size={_journal_megabytes(disk)}", "-d", content, disk],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unavailable(f"{PROGRAM} could not make a file system: {said[-1] if said else 'no reason given'}")


def _journal_megabytes(disk: str) -> int:
    return min(max(os.stat(disk).st_size // 16 >> 20, 4), _JOURNAL >> 20)
