"""The words of mount(8), as the kernel has them."""

from collections.abc import Iterable

# mount(2) flags by their words in mount(8).
FLAGS = {
    "ro": 0x1,
    "nosuid": 0x2,
    "nodev": 0x4,
    "noexec": 0x8,
    "sync": 0x10,
    "dirsync": 0x80,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "relatime": 0x200000,
    "strictatime": 0x1000000,
}
_NO_FLAGS = frozenset({"rw", "suid", "dev", "exec", "async", "atime"})
# mount_setattr(2) attributes for bind mounts.
ATTRIBUTES = {"ro": 0x1, "ro-top": 0x1, "nosuid": 0x2, "nodev": 0x4, "noexec": 0x8, "noatime": 0x10}
PROPAGATION = {"private": 0x40000, "slave": 0x80000, "shared": 0x100000}


def split_options(options: Iterable[str]) -> tuple[int, str]:
    """Split the words of mount(8) into flags of mount(2) and the file system's own data."""
    flags = 0
    data = []
    for option in options:
        if option in FLAGS:
            flags |= FLAGS[option]
        elif option not in _NO_FLAGS:
            data.append(option)
    return flags, ",".join(data)
