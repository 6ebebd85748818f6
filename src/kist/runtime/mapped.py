"""Operations of containers with a user namespace of their own.

Inside it nothing of the host's can be reached or mapped, so a helper does first, as the host's root and in a mount
namespace that ends with it, what takes its rights: it opens the mounts, mapped, and leaves them to the container's
first process as descriptors. In that process proc and sysfs are opened while the host's are still in sight: the kernel
asks for that (mount_namespaces(7), "Restrictions on mount namespaces").
"""

from __future__ import annotations

import errno
import os
import resource
import stat

from kist.kernel import libc, mounts, rights, userns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kist.runtime.operations import Context


def map_tree(tree: int, context: Context, ids: str, source: str, *, recursive: bool = False) -> None:
    """Show a detached mount's files as the container's.

    Args:
        tree: a descriptor of it.
        context: with the user namespaces.
        ids: ``inside`` where files are kept under the ids that they have in the container, ``callers`` where what is
            the caller's on the host is the caller's in it.
        source: for the error.
        recursive: all mounts below it too.

    Raises:
        OSError: EOPNOTSUPP when the file system cannot be mapped.
    """
    descriptor = context.user_namespace if ids == "inside" else context.bind_namespace
    try:
        mounts.map_ids(tree, descriptor, recursive=recursive)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), source) from error
        raise


def map_layers(context: Context, paths: Sequence[str], *, recursive: bool = False) -> None:
    """Show the directories that hold layers mapped, at their own places in this mount namespace."""
    for path in paths:
        tree = mounts.clone_tree(path, recursive=recursive)
        map_tree(tree, context, "inside", path, recursive=recursive)
        mounts.attach_tree(tree, path)
        os.close(tree)


def raise_rlimit(context: Context, type: str, hard: int) -> None:  # noqa: A002, ARG001
    """Let this process, and so the container's, set a limit as high as this, where the machine allows it."""
    number = getattr(resource, type)
    soft, allowed = resource.getrlimit(number)
    if allowed != resource.RLIM_INFINITY and (hard > allowed or hard < 0):
        try:
            resource.setrlimit(number, (soft, hard))
        except (ValueError, PermissionError):
            return  # without CAP_SYS_RESOURCE; the operation that sets it does what can be done


def open_for(
    context: Context,
    slot: str,
    source: str,
    access: str,
    user: str,  # noqa: ARG001 - for who reads the plan, or the error
    uid: int,
    gid: int,
    groups: Sequence[int],
    *,
    within: str = "",
    closed: Sequence[str] = (),
) -> None:
    """Take hold of a host path that a user could open so, or that is in a directory granted to it (``within``).

    ``access`` is ``ro`` or ``rw``.

    What is mounted is what was looked at, whatever is at the path by then. Its files are shown as the container's where
    they are the user's, and nobody's otherwise, so root's rights count for nothing on it.

    Raises:
        OSError: EACCES and its kin; EXDEV in a directory that is closed to it; see ``rights.open_as``.
    """
    writable = access == "rw"
    held = (
        rights.open_beneath(within, source) if within else rights.open_as(source, uid, gid, groups, writable=writable)
    )
    try:
        if closed and rights.is_closed(held, closed):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        tree = mounts.clone_tree("", dir_fd=held)
    finally:
        os.close(held)
    attributes = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | (0 if writable else mounts.MOUNT_ATTR_RDONLY)
    # Before it is mapped: what is mounted below the source from now on does not come after it.
    mounts.set_attributes("", attributes, recursive=True, propagation=mounts.MS_PRIVATE, dir_fd=tree)
    map_tree(tree, context, "callers", source, recursive=True)
    context.trees[slot] = tree


def open_root(
    context: Context,
    type: str,  # noqa: A002
    source: str,
    options: Sequence[str],
    at: str,
    *,
    nodev: bool = False,
) -> None:
    """Take hold of the root file system, and go to where it is to be mounted first."""
    if type == "bind":
        tree = mounts.clone_tree(source, recursive=False)
        map_tree(tree, context, "inside", source)
    else:
        # What overlayfs itself makes has to have an owner in the mapped layers.
        with userns.as_owner(*context.owner):
            mounts.mount_layers(type, source, options, at)
        tree = mounts.clone_tree(at, recursive=False)
        mounts.unmount(at, mounts.MNT_DETACH)
    if nodev:
        mounts.set_attributes("", mounts.MOUNT_ATTR_NODEV, dir_fd=tree)
    context.trees["root"] = tree
    os.chdir(at)


def open_devices(context: Context, options: Sequence[str], flags: int, devices: Sequence[dict[str, Any]]) -> None:
    """Make a /dev with its device nodes, which only the host's root can make, owned by the container's ids."""
    uid, gid = context.owner
    made = mounts.new_filesystem(
        "tmpfs", (*options, f"uid={uid}", f"gid={gid}"), source="tmpfs", attributes=flags & _ATTRIBUTES
    )
    for device in devices:
        _make_node(made, device["path"].removeprefix("/dev/"), device, uid, gid)
    context.trees["dev"] = made


_ATTRIBUTES = mounts.MOUNT_ATTR_RDONLY | mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC


def _make_node(root: int, path: str, device: dict[str, Any], uid: int, gid: int) -> None:
    # The directory is new and nobody else's: nothing in it leads astray.
    above = ""
    for part in path.split("/")[:-1]:
        above = f"{above}/{part}" if above else part
        try:
            os.mkdir(above, 0o755, dir_fd=root)
        except FileExistsError:
            continue
        os.chown(above, uid, gid, dir_fd=root)
    kind = stat.S_IFBLK if device.get("block") else stat.S_IFCHR
    os.mknod(path, device["mode"] | kind, os.makedev(device["major"], device["minor"]), dir_fd=root)
    os.chown(path, device.get("uid", uid), device.get("gid", gid), dir_fd=root)
    os.chmod(path, device["mode"], dir_fd=root)


def open_file_system(context: Context, slot: str, type: str, flags: int) -> None:  # noqa: A002
    """Take hold of a new file system of this process's namespaces."""
    context.trees[slot] = mounts.new_filesystem(type, (), source=type, attributes=flags & _ATTRIBUTES)


def place_root(context: Context) -> None:
    """Mount the root file system where the helper has gone to, and go into it."""
    tree = context.trees.pop("root")
    # Not by its path, which this user may not walk.
    mounts.attach_tree(tree, "", dir_fd=libc.AT_FDCWD)
    mounts.set_attributes("", 0, propagation=mounts.MS_PRIVATE, dir_fd=tree)
    context.old_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(tree)
    os.close(tree)


OPERATIONS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (raise_rlimit, map_layers, open_for, open_root, open_devices, open_file_system, place_root)
}
