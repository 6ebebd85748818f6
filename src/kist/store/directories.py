"""Directories of the data root: made with plain permissions, synced, emptied."""

import os
import shutil


def make(path: str, mode: int = 0o700) -> None:
    """Make ``path`` and its parents, without the set-group-id bit and the default ACL that a parent may hand down."""
    if os.path.isdir(path):
        return
    os.makedirs(path, mode, exist_ok=True)
    if "system.posix_acl_default" in _xattrs(path):
        os.removexattr(path, "system.posix_acl_default")
    os.chmod(path, mode)


def sync(path: str) -> None:
    """Make the names in the directory ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: str) -> None:
    """Remove ``path`` and what is below; no complaint when it, or a part of it, is gone already."""
    shutil.rmtree(path, onerror=_unless_gone)


def _unless_gone(_function: object, _path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def _xattrs(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:  # a file system without extended attributes has no default ACLs either
        return []


def size(path: str) -> int:
    """Bytes of all regular files below ``path``, hard links once."""
    total = 0
    seen: set[int] = set()
    waiting = [path]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink == 1 or status.st_ino not in seen:
                        total += status.st_size
                        seen.add(status.st_ino)
    return total
