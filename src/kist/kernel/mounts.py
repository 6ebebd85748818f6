"""Mounts: mount(2), pivot_root(2), and the descriptors of the newer interface (fsopen, open_tree, move_mount)."""

from __future__ import annotations

import ctypes
import os
import struct

from kist.kernel import libc, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 2

_PAGE = 4096

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
_MOUNT_ATTR_IDMAP = 0x100000

_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_AT_RECURSIVE = 0x8000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Make a mount, or change one."""
    libc.call(
        "mount",
        libc.encoded(source),
        libc.encoded(target),
        libc.encoded(kind),
        ctypes.c_ulong(flags),
        libc.encoded(data),
        path=target,
    )


def mount_layers(kind: str, source: str, options: Sequence[str], at: str, flags: int = 0) -> None:
    """Mount an overlay at the absolute path ``at``.

    mount(2) takes a page of options, so many layers are named from where they lie: the caller's working directory is
    another one after that.
    """
    text = ",".join(options)
    if len(text) >= _PAGE:
        named = {option.partition("=")[0]: option.partition("=")[2] for option in options}
        together = os.path.dirname(named["lowerdir"].rpartition(":")[2])
        os.chdir(together)
        text = text.replace(f"{together}/", "")
    mount(source, at, kind, flags, text)


def unmount(target: str, flags: int = 0) -> None:
    """Call umount2(2)."""
    libc.call("umount2", libc.encoded(target), flags, path=target)


def pivot_root(new: str, old: str) -> None:
    """Change the root of this mount namespace.

    Both may be ``.``: the old root is then stacked on the new one and reached through its descriptor.
    """
    libc.call("pivot_root", libc.encoded(new), libc.encoded(old), path=new)


def set_propagation(target: str, flags: int) -> None:
    """Make a mount (and with ``MS_REC`` all below it) private, slave or shared."""
    mount(None, target, None, flags)


def clone_tree(path: str, *, recursive: bool = True, dir_fd: int = libc.AT_FDCWD) -> int:
    """A detached copy of the mount at ``path``, as a descriptor: a bind mount that is nowhere yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    if not path:
        flags |= libc.AT_EMPTY_PATH
    return libc.syscall(libc.SYS_OPEN_TREE, dir_fd, os.fsencode(path), flags, path=path)


def clone_part(path: str, within: str) -> int:
    """The same of what is at ``within`` below the directory ``path``, and no link leads out of that; empty for all."""
    if not within:
        return clone_tree(path)
    top = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        held = paths.open_in_root(top, within, os.O_PATH)
    finally:
        os.close(top)
    try:
        return clone_tree("", dir_fd=held)
    finally:
        os.close(held)


def attach_tree(tree: int, target: str, *, dir_fd: int = libc.AT_FDCWD) -> None:
    """Mount a detached tree at ``target`` (empty: on the directory or file that ``dir_fd`` is)."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | (0 if target else _MOVE_MOUNT_T_EMPTY_PATH)
    libc.syscall(libc.SYS_MOVE_MOUNT, tree, b"", dir_fd, os.fsencode(target), flags, path=target)


def attach_each(directory: str, trees: dict[str, int]) -> None:
    """Mount detached trees on new directories of these names in ``directory``, and close them."""
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, tree in trees.items():
            os.mkdir(name, 0o755, dir_fd=place)
            attach_tree(tree, name, dir_fd=place)
            os.close(tree)
    finally:
        os.close(place)


def set_attributes(
    path: str, attributes: int, *, clear: int = 0, recursive: bool = False, propagation: int = 0, dir_fd: int = -100
) -> None:
    """Set ``attributes`` (``MOUNT_ATTR_…``) on the mount at ``path``, or at ``dir_fd`` when it is empty."""
    argument = struct.pack("=QQQQ", attributes, clear, propagation, 0)
    flags = (_AT_RECURSIVE if recursive else 0) | (0 if path else libc.AT_EMPTY_PATH)
    libc.syscall(libc.SYS_MOUNT_SETATTR, dir_fd, os.fsencode(path), flags, argument, len(argument), path=path)


def map_ids(tree: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Let a detached mount show its files as of the ids that theirs are in the user namespace (a descriptor).

    Raises:
        OSError: EINVAL when the file system cannot be mapped so.
    """
    argument = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    flags = libc.AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    libc.syscall(libc.SYS_MOUNT_SETATTR, tree, b"", flags, argument, len(argument), path="mount_setattr")


def new_filesystem(kind: str, options: tuple[str, ...], *, source: str = "", attributes: int = 0) -> int:
    """A detached mount of a new file system (fsopen, fsconfig, fsmount), as a descriptor.

    Raises:
        OSError: ``said`` are the kernel's own words, where it has any.
    """
    context = libc.syscall(libc.SYS_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC, path=kind)
    try:
        if source:
            _configure(context, _FSCONFIG_SET_STRING, "source", source)
        for option in options:
            name, equals, value = option.partition("=")
            if equals:
                _configure(context, _FSCONFIG_SET_STRING, name, value)
            else:
                _configure(context, _FSCONFIG_SET_FLAG, name, None)
        _configure(context, _FSCONFIG_CMD_CREATE, None, None)
        return libc.syscall(libc.SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes, path=kind)
    except OSError as error:
        error.said = _said(context)  # type: ignore[attr-defined]
        raise
    finally:
        os.close(context)


def _said(context: int) -> str:
    """What the kernel says of a mount that it refuses: lines that begin with their kind (``e`` for an error)."""
    lines: list[str] = []
    while True:
        try:
            line = os.read(context, _PAGE)
        except OSError:  # there are no more
            return "; ".join(lines)
        lines.append(line.decode(errors="replace").strip()[2:])


def layers_one_by_one(options: Sequence[str]) -> tuple[str, ...]:
    """An overlay's options for ``new_filesystem``, where a string holds 256 bytes: too few for all layers."""
    split: list[str] = []
    for option in options:
        name, _, value = option.partition("=")
        if name == "lowerdir":
            split.extend(f"lowerdir+={directory}" for directory in value.split(":"))
        else:
            split.append(option)
    return tuple(split)


def _configure(context: int, command: int, key: str | None, value: str | None) -> None:
    libc.syscall(
        libc.SYS_FSCONFIG, context, command, libc.encoded(key), libc.encoded(value), 0, path=value or key or "fsconfig"
    )
