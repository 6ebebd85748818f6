"""Files in ways that the standard library lacks: private umask, syncfs(2), a rename that replaces nothing, attributes.

These are extended ones, of what is beside a descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from kist.kernel import libc, namespaces, process

if TYPE_CHECKING:
    from collections.abc import Iterable

_RENAME_NOREPLACE = 1


def private_umask(mask: int) -> None:
    """Give the calling thread a umask (and working directory) of its own.

    The umask belongs to the process otherwise, so a thread that needs another one would change the modes of files that
    its siblings make. Meant for a thread that ends soon: there is no way back.
    """
    libc.call("unshare", namespaces.CLONE_FS)
    os.umask(mask)


def make_files_as(uid: int, gid: int) -> None:
    """Have what the calling thread makes from here on belong to these ids (setfsuid(2)), and keep its capabilities.

    A mount that maps ids takes no files of ids that it has no place for (``EOVERFLOW``), root's among them.
    """
    libc.call("setfsgid", gid)
    libc.call("setfsuid", uid)
    held = process.permitted_capabilities()  # the change took those on files out of the effective ones
    process.set_capabilities(held, held, 0)


_OVER_OWNED_FILES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_SETFCAP",
)  # fmt: skip


def only_owned_files() -> None:
    """Leave the calling thread no capabilities but those over files that belong to ids its mounts know.

    It makes no device nodes, and sets no attributes that are the kernel's (``trusted``, ``security``).
    """
    held = process.permitted_capabilities() & process.capability_mask(_OVER_OWNED_FILES)
    process.set_capabilities(held, held, 0)


def sync_file_system(path: str) -> None:
    """Write all that the file system of ``path`` holds in memory to its disk (syncfs(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system_of(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system_of(descriptor: int) -> None:
    """The same of the file system of something open."""
    libc.call("syncfs", descriptor)


def move_unless_there(name: str, source: int, target: int) -> bool:
    """Move an entry from one open directory to another of the same file system; whether: what is there stays.

    As renameat2(2) with RENAME_NOREPLACE; by a second name where the file system (nfs, 9p) or the C library lacks it.
    """
    try:
        libc.call("renameat2", source, os.fsencode(name), target, os.fsencode(name), _RENAME_NOREPLACE, path=name)
    except FileExistsError:
        return False
    except AttributeError:
        return move_by_second_name(name, source, target)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS}:
            raise
        return move_by_second_name(name, source, target)
    return True


def move_by_second_name(name: str, source: int, target: int) -> bool:
    """The same with a link for all but directories; a directory replaces one that is made for it."""
    is_directory = stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode)
    try:
        if is_directory:
            os.mkdir(name, 0o700, dir_fd=target)
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
        else:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            os.unlink(name, dir_fd=source)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:  # somebody was faster
            raise
        return False
    return True


def read_text(path: str) -> str:
    """What a file of the host says; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def overlay_defaults(names: Iterable[str]) -> dict[str, bool]:
    """Which of these features of overlayfs (``redirect_dir``, ``metacopy``, …) a mount gets without asking."""
    found = {}
    for name in names:
        try:
            with open(f"/sys/module/overlay/parameters/{name}", encoding="ascii") as file:
                found[name] = file.read(1) == "Y"
        except FileNotFoundError:
            found[name] = False
    return found


def set_xattr_at(directory_fd: int, name: bytes, attribute: str, value: bytes) -> None:
    """Set an extended attribute of the entry ``name`` itself, a symbolic link too."""
    os.setxattr(_beside(directory_fd, name), attribute, value, follow_symlinks=False)


def xattrs_at(directory_fd: int, name: bytes) -> dict[str, bytes]:
    """All extended attributes of the entry ``name`` itself; none where the file system has none."""
    path = _beside(directory_fd, name)
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {attribute: os.getxattr(path, attribute, follow_symlinks=False) for attribute in names}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def xattrs_of(file: int) -> dict[str, bytes]:
    """All extended attributes of an open file; none where the file system has none."""
    try:
        return {attribute: os.getxattr(file, attribute) for attribute in os.listxattr(file)}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def xattr_names(file: int) -> list[str]:
    """The names of an open file's extended attributes; none where the file system has none."""
    try:
        return os.listxattr(file)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def _beside(directory_fd: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%s" % (directory_fd, name)
