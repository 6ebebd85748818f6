"""Kernel settings under /proc/sys; those of ``net.`` are of the calling thread's network namespace.

A name is written with dots, or, as in sysctl.d(5), with slashes where a part has a dot (``net/ipv6/conf/eth0.2``).
"""

from __future__ import annotations

import os


def get(name: str) -> str:
    """The value of ``net.ipv4.ip_forward`` and the like, without the line end."""
    with open(_path(name)) as file:
        return file.read().rstrip("\n")


def put(name: str, value: str) -> None:
    """Set a value.

    A symbolic link at its place is refused: what is mounted there is not the kernel's then, and would choose the file.
    """
    descriptor = os.open(_path(name), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(descriptor, value.encode("ascii"))
    finally:
        os.close(descriptor)


def _path(name: str) -> str:
    return "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
