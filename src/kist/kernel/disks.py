"""Disks in files, each with a file system: loop devices (loop(4)) that go with the last mount of theirs.

A file must be behind one device only, for two would write over each other. So whoever mounts it takes the device that
is there, if there is one, and the kernel gives both the same file system. The file is locked while that is found out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from kist.kernel import marks, mounts

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_CONFIGURE = 0x4C0A
_AUTOCLEAR = 4
_DIRECT_IO = 16
# struct loop_info64: device and inode of the file (with rdevice between), …, the flags; and all its other fields.
_STATUS = struct.Struct("=QQQQQIIII64s64s32sQQ")
# struct loop_config: the file's descriptor, the block size (0 for the file system's own), a loop_info64, reserved.
_CONFIG_HEAD = struct.Struct("=II")
_CONFIG_TAIL = bytes(64)
_TRIES = 64
_KIND = "ext4"
# Deleted files give their space back to the host; tables that are holes are zero and need no writing.
_OPTIONS = ("discard", "noinit_itable")


def open_tree(disk: str) -> int:
    """The file system in a file, mounted where no path leads to it, as a descriptor.

    Raises:
        OSError: as of loop devices or of the mount; ENODEV or ENXIO where the machine has no loop devices.
    """
    lock = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
    try:
        # A device would keep a lock of the file that it is given, so this is another descriptor.
        fcntl.flock(lock, fcntl.LOCK_EX)
        device, path = _device(disk)
        try:
            return mounts.new_filesystem(_KIND, _OPTIONS, source=path)
        finally:
            os.close(device)
    finally:
        os.close(lock)


def mount_at(disk: str, at: str) -> None:
    """Mount the file system in a file on a directory; see ``open_tree``."""
    tree = open_tree(disk)
    try:
        mounts.attach_tree(tree, at)
    finally:
        os.close(tree)


def _device(disk: str) -> tuple[int, str]:
    """An open loop device over the file, and its path: the one that has it, else a new one."""
    return _existing(disk) or _new(disk)


def _existing(disk: str) -> tuple[int, str] | None:
    wanted = os.stat(disk)
    real = os.path.realpath(disk)
    for name in os.listdir("/sys/block"):
        if not name.startswith("loop"):
            continue
        try:
            with open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8", errors="surrogateescape") as file:
                backing = file.read().rstrip("\n")
        except FileNotFoundError:
            continue  # it has no file
        # The name tells devices apart quickly; which file it is, only the device itself tells.
        if os.path.basename(backing.removesuffix(" (deleted)")) != os.path.basename(real):
            continue
        try:
            device = os.open(f"/dev/{name}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # it is being let go of
        if _is_over(device, wanted):
            return device, f"/dev/{name}"
        os.close(device)
    return None


def _is_over(device: int, wanted: os.stat_result) -> bool:
    status = bytearray(_STATUS.size)
    try:
        fcntl.ioctl(device, _LOOP_GET_STATUS64, status)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    found = _STATUS.unpack(status)
    return bool(found[1] == wanted.st_ino and _device_number(found[0]) == wanted.st_dev)


def _device_number(number: int) -> int:
    """What stat(2) tells, of a number as the kernel packs it into 32 bits."""
    major = (number & 0xFFF00) >> 8
    minor = (number & 0xFF) | ((number >> 12) & 0xFFF00)
    return os.makedev(major, minor)


def _new(disk: str) -> tuple[int, str]:
    backing = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
    try:
        # Past the host's page cache, for what is written is in the container's already; the kernel sees whether it can.
        # btrfs has checksums of what is written, and these would be wrong of a page that changes meanwhile.
        flags = _AUTOCLEAR | (0 if marks.file_system(disk) == "btrfs" else _DIRECT_IO)
        status = _STATUS.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, os.fsencode(disk)[:63], b"", b"", 0, 0)
        config = bytearray(_CONFIG_HEAD.pack(backing, 0) + status + _CONFIG_TAIL)
        for _ in range(_TRIES):
            device, path = _free()
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno == errno.EBUSY:
                    continue  # somebody was faster
                raise OSError(error.errno, error.strerror, path) from error
            return device, path
        raise OSError(errno.EBUSY, "loop devices are taken faster than they are found", disk)
    finally:
        os.close(backing)


def _free() -> tuple[int, str]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
    finally:
        os.close(control)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC), path
