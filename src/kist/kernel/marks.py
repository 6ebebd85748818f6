"""Marks by which the kernel shows what this process and its programs may do, and what is at work on the machine."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from kist.kernel import libc, process

_TIME_ERROR = 5
_TIMEX_BYTES = 512  # struct timex has 208 at most
_STATFS = 256  # bytes; struct statfs has 120
# include/uapi/linux/capability.h: the attribute's first word is the revision, then come pairs of masks.
_CAPABILITY_ATTRIBUTE = "security.capability"
_SET_ID_BITS = {"newuidmap": 1 << 7, "newgidmap": 1 << 6}  # CAP_SETUID, CAP_SETGID


def no_new_privileges() -> bool:
    """Whether set-uid programs give this process no rights (prctl(2), PR_SET_NO_NEW_PRIVS)."""
    return b"\nNoNewPrivs:\t1" in process.read_file("/proc/self/status")


def clock_is_kept() -> bool | None:
    """Whether somebody synchronises the clock (adjtimex(2)); None where the kernel does not tell it to us."""
    try:
        return libc.call("adjtimex", ctypes.create_string_buffer(_TIMEX_BYTES)) != _TIME_ERROR
    except OSError:
        return None


def sets_ids(path: str) -> bool:
    """Whether ``newuidmap`` or ``newgidmap`` at this path has the right to set ids: set-uid root, or a capability."""
    status = os.stat(path)
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return False
    if status.st_mode & 0o4000 and status.st_uid == 0:
        return True
    try:
        value = os.getxattr(path, _CAPABILITY_ATTRIBUTE)
    except OSError:
        return False
    return bool(struct.unpack_from("<II", value)[1] & _SET_ID_BITS.get(os.path.basename(path), 0))


def security_modules() -> tuple[str, ...]:
    """The names of all security modules that are at work, where securityfs tells them."""
    try:
        text = process.read_file("/sys/kernel/security/lsm").decode(errors="replace")
    except OSError:
        return ()
    return tuple(name for name in text.strip().split(",") if name)


def file_system(path: str) -> str:
    """The type of the file system at ``path`` (``ext4``, ``nfs4``); empty where the mount table does not have it."""
    device = os.stat(path).st_dev
    wanted, real = f"{os.major(device)}:{os.minor(device)}", os.path.realpath(path)
    best = (False, -1, "")
    for line in process.read_file("/proc/self/mountinfo").decode(errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if f"{real}/".startswith(fields[4].rstrip("/") + "/"):
            # Btrfs gives each subvolume a device of its own: the nearest mount on the way serves then.
            best = max(best, (fields[2] == wanted, len(fields[4]), after.split(" ")[0]))
    return best[2]


def magic(path: str) -> int:
    """The number of the file system's type at ``path`` (statfs(2)), without a look at the mount table; 0 for none."""
    found = ctypes.create_string_buffer(_STATFS)
    try:
        libc.call("statfs", os.fsencode(path), found)
    except OSError:
        return 0
    return int.from_bytes(found.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF


def setting(path: str) -> str:
    """The value of a file of /proc/sys, without the line end; empty where this kernel does not have it."""
    try:
        return process.read_file(path).decode(errors="replace").strip()
    except OSError:
        return ""
