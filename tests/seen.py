"""All that the mount of a snapshot shows, to be held beside another one's."""

import os
import stat

from kist.kernel import trees
from kist.spec.mount import Mount


def seen(mounts: tuple[Mount, ...]) -> dict[str, tuple[object, ...]]:
    """By path: mode, owner, group, and what there is to say of a link or a file (content, time, attributes)."""
    found: dict[str, tuple[object, ...]] = {}
    tree = trees.open_tree_of([(mount.type, mount.source, mount.options) for mount in mounts])
    try:
        for above, names, files, directory in os.fwalk(".", dir_fd=tree):
            for name in names + files:
                try:
                    status = os.lstat(name, dir_fd=directory)
                except FileNotFoundError:
                    continue  # overlayfs lists a whiteout in a directory that is opaque too
                kind = stat.S_IFMT(status.st_mode)
                more: object = ""
                if kind == stat.S_IFLNK:
                    more = os.readlink(name, dir_fd=directory)
                if kind == stat.S_IFREG:
                    with open(os.open(name, os.O_RDONLY, dir_fd=directory), "rb") as file:
                        more = (file.read(), status.st_mtime_ns // 10**9, tuple(sorted(os.listxattr(file.fileno()))))
                found[os.path.normpath(f"{above}/{name}")] = (status.st_mode, status.st_uid, status.st_gid, more)
    finally:
        os.close(tree)
    return found
