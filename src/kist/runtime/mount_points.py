"""Where an operation mounts or makes something: a place in the container, found without any link out of it."""

from __future__ import annotations

import os

from kist.kernel import paths


def mount_point(target: str, *, directory: bool, mode: int = 0o755, links: int = 40) -> int:
    """A descriptor of a file or directory of the container, made where it is missing.

    Where there is a link that leads to nothing (/etc/resolv.conf of many images), what it leads to is made.
    """
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            return paths.open_in_root(root, target, os.O_PATH)
        except FileNotFoundError:
            above, name = os.path.split(target.rstrip("/"))
            paths.make_directories(root, above, mode)
            to = _link_at(root, above, name)
            if to and links:
                return mount_point(os.path.join(above, to), directory=directory, mode=mode, links=links - 1)
            if directory:
                paths.make_directories(root, os.path.join(above, name), mode)
            else:
                paths.make_file(root, above, name)
            return paths.open_in_root(root, target, os.O_PATH)
    finally:
        os.close(root)


def _link_at(root: int, above: str, name: str) -> str:
    """Where the symbolic link ``name`` leads to; empty when it is none."""
    parent = paths.open_in_root(root, above, os.O_PATH | os.O_DIRECTORY)
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:
        return ""
    finally:
        os.close(parent)
