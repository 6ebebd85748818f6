"""File systems of the tests' own, in files: made where root may mount, and gone with their context."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import until
from kist.kernel import mounts

_MAKE = {"btrfs": ("mkfs.btrfs", "-q"), "ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_PACKAGE = {"btrfs": "btrfs-progs", "ext4": "e2fsprogs", "xfs": "xfsprogs"}


def missing(kind: str) -> str:
    """Why this machine cannot have such a file system, empty where it can."""
    if os.geteuid():
        return "a file system is mounted, which only root may"
    if kind not in Path("/proc/filesystems").read_text(encoding="ascii").split():
        return f"this kernel has no {kind}"
    if not os.path.exists("/dev/loop-control"):
        return "this machine has no loop devices"
    if shutil.which(_MAKE[kind][0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        return f"needs {_MAKE[kind][0]} (Debian: {_PACKAGE[kind]})"
    return ""


@contextlib.contextmanager
def file_system(kind: str, directory: Path, size: int = 1 << 30, options: str = "") -> Iterator[Path]:
    """A new file system, mounted in the directory for as long as the block lasts.

    The loop device goes with the mount.
    """
    if why := missing(kind):
        pytest.skip(why)
    disk, place = directory / f"kist-{kind}.disk", directory / kind
    place.mkdir()
    with disk.open("wb") as file:
        file.truncate(size)
    way = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run([*_MAKE[kind], str(disk)], check=True, capture_output=True, env=os.environ | {"PATH": way})
    words = ",".join(filter(None, ("loop", options)))
    subprocess.run(["mount", "-o", words, str(disk), str(place)], check=True, env=os.environ | {"PATH": way})
    try:
        yield place
    finally:
        until(lambda: _unmounted(place))  # a keeper goes a moment after its engine
        disk.unlink()


def _unmounted(place: Path) -> bool:
    try:
        mounts.unmount(str(place))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def on_loop_devices() -> list[str]:
    """The files that are behind loop devices now."""
    found = []
    for name in os.listdir("/sys/block"):
        with contextlib.suppress(FileNotFoundError):
            found.append(Path(f"/sys/block/{name}/loop/backing_file").read_text(encoding="utf-8").strip())
    return found
