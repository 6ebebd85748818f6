"""The operations of a plan: each name, and what a container's first process does for it before it becomes the command.

A plan is a list of ``[name, arguments]``. The functions here run between clone and execve, in the container's
namespaces, in the order of the plan. What comes from the host is opened (``open_tree``) before ``pivot``; from
``detach_old_root`` on every path is resolved inside the container's own root, so no symbolic link of an image can lead
out of it. Mount points are found without the links of /proc, which lead to descriptors of this process.
"""

from __future__ import annotations

import binascii
import errno
import os
import resource
import stat

from kist.kernel import cgroup, mounts, namespaces, paths, process, seccomp, tty, userns
from kist.kernel import sysctl as kernel_sysctl
from kist.kernel.lean import signal, socket
from kist.runtime import identity, messages
from kist.runtime.mount_points import mount_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Call = tuple[Callable[..., object], tuple[Any, ...]]

_SYS_ADMIN = process.capability_mask(("CAP_SYS_ADMIN",))
_QUIET = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC


class Context:
    """What operations share.

    Attributes:
        report: the socket to the monitor.
        cgroup: the container's cgroup; None for an exec'd process, which is in it already.
        trees: mounts taken from the host before the pivot, by slot.
        old_root: a descriptor of the host's root until it is detached.
        terminal: the path of the container's terminal, empty for none.
        identity: who the command runs as; set by ``user``.
        user_namespace, bind_namespace: descriptors by which mounts are mapped; only before there is a container.
        owner: what the container's root is on the host: user and group.
        text: what init reads of its plan, where it may not open the file any more; empty where it does.
        enter: what the child does first, to be all where it belongs.
        needs: the descriptors that the child is given.
        volumes: holders of mounted volumes, by the volumes' names (``kist.runtime.held``).
        environment: variables that the plan does not have, for they are secret.
    """

    def __init__(self, report: socket.socket, container_cgroup: cgroup.Cgroup | None = None) -> None:
        self.report = report
        self.cgroup = container_cgroup
        self.trees: dict[str, int] = {}
        self.volumes: dict[str, int] = {}
        self.environment: dict[str, str] = {}
        self.old_root = -1
        self.terminal = ""
        self.identity = identity.ROOT
        self.user_namespace = self.bind_namespace = -1
        self.owner = (0, 0)
        self.text = ""
        self.enter: Callable[[], None] = lambda: None
        self.needs: tuple[int, ...] = ()


# cgroups and namespaces


def join_cgroup(context: Context) -> None:
    """Enter the container's cgroup."""
    assert context.cgroup is not None
    context.cgroup.join()


def new_namespace(context: Context, kind: str) -> None:  # noqa: ARG001 - every operation has the same first argument
    """Leave the namespace that clone could not yet make (a cgroup namespace begins where the process is)."""
    namespaces.unshare(namespaces.FLAGS[kind])


# the root


def detach_mounts(context: Context) -> None:  # noqa: ARG001
    """Let no mount of this namespace reach the host's."""
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)


def open_tree(
    context: Context, slot: str, source: str, ids: str = "", within: str = "", *, recursive: bool = True
) -> None:
    """Take hold of a host path that is to appear in the container, mapped as ``ids`` says (``mapped.map_tree``).

    Of a directory that containers fill (a volume) a part may be meant, ``within``: no link in it leads out.
    """
    if within:
        held = _open_within(source, within)
        try:
            tree = mounts.clone_tree("", recursive=recursive, dir_fd=held)
        finally:
            os.close(held)
    else:
        tree = mounts.clone_tree(source, recursive=recursive)
    context.trees[slot] = tree
    if ids:
        from kist.runtime import mapped  # noqa: PLC0415 - few containers have a user namespace

        mapped.map_tree(tree, context, ids, source, recursive=recursive)


def _open_within(source: str, within: str) -> int:
    """What is at a path below a directory, whatever links are on the way."""
    top = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return paths.open_in_root(top, within, os.O_PATH)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{source}/{within}") from error
    finally:
        os.close(top)


def open_disk(context: Context, disk: str) -> None:
    """Take hold of the file system in a file, which is the container's own, before its cgroup forbids the device."""
    from kist.kernel import disks  # noqa: PLC0415 - few containers have one

    context.trees["disk"] = disks.open_tree(disk)


def mount_disk(context: Context, at: str) -> None:
    """Mount what ``open_disk`` took on an empty directory of the host's."""
    tree = context.trees.pop("disk")
    mounts.attach_tree(tree, at)
    os.close(tree)


def mount_root(context: Context, type: str, source: str, options: Sequence[str], at: str) -> None:  # noqa: A002
    """Mount the root file system at ``at``, an empty directory of the host."""
    if type == "bind":
        tree = mounts.clone_tree(source)
        mounts.attach_tree(tree, at)
        os.close(tree)
    else:
        mounts.mount_layers(type, source, options, at)
    mounts.set_propagation(at, mounts.MS_PRIVATE)
    context.old_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(at)


def pivot(context: Context) -> None:  # noqa: ARG001
    """Make the root file system this namespace's ``/``; the host's root stays stacked on it for a while."""
    mounts.pivot_root(".", ".")
    os.chdir("/")


def detach_old_root(context: Context) -> None:
    """Drop the host's root: from here on nothing of the host can be reached."""
    os.fchdir(context.old_root)
    mounts.unmount(".", mounts.MNT_DETACH)
    os.close(context.old_root)
    os.chdir("/")


def root_read_only(context: Context) -> None:  # noqa: ARG001
    """Refuse writes to the root file system (not to the mounts on it)."""
    mounts.set_attributes("/", mounts.MOUNT_ATTR_RDONLY)


# mounts on it


def mount(context: Context, type: str, target: str, flags: int, data: str = "", source: str = "") -> None:  # noqa: A002, ARG001
    """Mount a new file system, called as its type is unless by ``source``; a missing mount point is made."""
    place = mount_point(target, directory=True)
    try:
        os.fchdir(place)
        mounts.mount(source or type, ".", type, flags, data or None)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from error
    finally:
        os.close(place)
    os.chdir("/")


def attach(
    context: Context, slot: str, target: str, attributes: int = 0, propagation: int = 0, *, top_only: bool = False
) -> None:
    """Mount what ``open_tree`` took; ``attributes`` (read-only, …) hold for every mount in it, unless ``top_only``."""
    tree = context.trees.pop(slot)
    if top_only:
        mounts.set_attributes("", attributes, dir_fd=tree)
        attributes = 0
    if attributes or propagation:
        mounts.set_attributes("", attributes, recursive=True, propagation=propagation, dir_fd=tree)
    place = mount_point(target, directory=stat.S_ISDIR(os.fstat(tree).st_mode))
    try:
        _refuse_root(place, target)
        mounts.attach_tree(tree, "", dir_fd=place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from error
    finally:
        os.close(place)
        os.close(tree)


def _refuse_root(place: int, target: str) -> None:
    if os.path.samestat(os.fstat(place), os.stat("/")):
        raise OSError(errno.EINVAL, "a link of the image leads to the root", target)


def fill_dev(
    context: Context,  # noqa: ARG001
    links: dict[str, str],
    devices: Sequence[dict[str, Any]] = (),
    directories: Sequence[str] = (),
) -> None:
    """Fill the /dev that has just been mounted; nobody else has been there, so nothing in it leads astray.

    ``links`` are what they lead to by their names; ``devices`` are made for characters, and open to everybody.
    """
    place = os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0)
    try:
        for each in devices:
            number = os.makedev(each["major"], each["minor"])
            os.mknod(each["path"], each["mode"] | stat.S_IFCHR, number, dir_fd=place)
        for name in directories:
            os.mkdir(name, 0o755, dir_fd=place)
        for name, to in links.items():
            os.symlink(to, name, dir_fd=place)
    finally:
        os.umask(mask)
        os.close(place)


def device(
    context: Context,  # noqa: ARG001
    path: str,
    major: int,
    minor: int,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    *,
    block: bool = False,
) -> None:
    """Make a device node; one that is there already must be the same device."""
    above, name = os.path.split(path)
    parent = mount_point(above, directory=True)
    number = os.makedev(major, minor)
    try:
        try:
            os.mknod(name, mode | (stat.S_IFBLK if block else stat.S_IFCHR), number, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if status.st_rdev != number or stat.S_ISBLK(status.st_mode) != block:
                raise
            return
        if uid or gid:
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        os.chmod(name, mode, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(parent)


def file(context: Context, path: str, text: str) -> None:  # noqa: ARG001
    """Write a new small file, which anybody may read."""
    written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    os.write(written, text.encode())
    os.close(written)


def open_cgroup(context: Context, *, whole: bool = False) -> None:
    """Take hold of the container's cgroup directories on the host; with ``whole``, of all of the unified hierarchy."""
    assert context.cgroup is not None
    for name, directory in context.cgroup.view(whole=whole):
        context.trees[f"cgroup/{name}"] = mounts.clone_tree(directory, recursive=False)


def cgroup_mounts(context: Context, *, writable: bool = False) -> None:
    """Show the container its own cgroup, read-only unless told otherwise, where programs look for their limits."""
    names = [slot.partition("/")[2] for slot in context.trees if slot.startswith("cgroup/")]
    if names == [""]:
        attach(context, "cgroup/", "/sys/fs/cgroup")
    else:
        mounts.mount("tmpfs", "/sys/fs/cgroup", "tmpfs", _QUIET, "mode=755,size=64k")
        # The directory is ours and empty, so nothing in it can lead astray.
        mounts.attach_each("/sys/fs/cgroup", {name: context.trees.pop(f"cgroup/{name}") for name in names})
    attributes = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC
    if not writable:
        attributes |= mounts.MOUNT_ATTR_RDONLY
    mounts.set_attributes("/sys/fs/cgroup", attributes, recursive=True)


def mask(context: Context, paths: list[str]) -> None:  # noqa: ARG001
    """Hide paths: files behind /dev/null, directories behind an empty read-only tmpfs each."""
    for path in paths:
        try:
            is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR}:
                continue
            raise
        # Made anew each time: before Linux 6.15 there are no copies of a mount that is nowhere yet.
        cover = _empty_directory() if is_directory else _null_device()
        mounts.attach_tree(cover, path)
        os.close(cover)


def _empty_directory() -> int:
    return mounts.new_filesystem("tmpfs", ("size=0k", "nr_inodes=1"), attributes=mounts.MOUNT_ATTR_RDONLY)


def _null_device() -> int:
    """A mount of /dev/null, and of nothing else.

    What a link of the image has put over /dev may have a link of that name, to a file of /proc that would be
    writable at the masked path then.
    """
    null = mounts.clone_tree("/dev/null", recursive=False)
    status = os.fstat(null)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
        os.close(null)
        raise OSError(errno.EINVAL, "not the null device", "/dev/null")
    return null


def read_only(context: Context, paths: list[str]) -> None:  # noqa: ARG001
    """Make paths read-only, by mounting them on themselves."""
    for path in paths:
        try:
            tree = mounts.clone_tree(path)
        except FileNotFoundError:
            continue
        mounts.set_attributes("", mounts.MOUNT_ATTR_RDONLY, recursive=True, dir_fd=tree)
        mounts.attach_tree(tree, path)
        os.close(tree)


# the surroundings of the process


def hostname(context: Context, name: str) -> None:  # noqa: ARG001
    """Set the name of the UTS namespace."""
    socket.sethostname(name)


def domainname(context: Context, name: str) -> None:  # noqa: ARG001
    """Set the NIS domain name of the UTS namespace."""
    namespaces.set_domain_name(name)


def sysctl(context: Context, name: str, value: str) -> None:  # noqa: ARG001
    """Set a parameter of the namespaces."""
    kernel_sysctl.put(name, value)


def loopback(context: Context) -> None:  # noqa: ARG001
    """Bring the loopback interface up."""
    namespaces.set_loopback_up()


def wait_for_network(context: Context) -> None:
    """Wait until the engine has attached this container to its network."""
    message, _ = messages.receive(context.report)
    if message is None or not message.get("go"):
        raise ConnectionAbortedError(errno.ECONNABORTED, "the engine did not attach the network")


def home(context: Context, path: str, owner: list[int]) -> None:  # noqa: ARG001
    """Make the caller's home where the image has none, owned by these ids (user and group) of this process."""
    identity.make_home(path, owner)


def passwd_entry(
    context: Context,  # noqa: ARG001
    name: str,
    uid: int,
    gid: int,
    groups: list[int],
    home: str,
    owner: list[int],
) -> None:
    """Make the caller known in the container: lines in passwd and group, and a home where a mount has hidden it.

    ``owner`` is what the caller is here, where that is another id than in the container (``user_namespace``).
    """
    identity.add_user(name, uid, gid, groups, home)
    identity.make_home(home, owner)


def terminal(context: Context, height: int = 0, width: int = 0) -> None:
    """Open a terminal of the container's own devpts, give its master to the monitor, and take it as 0, 1 and 2."""
    master, slave, number = tty.open_pair("/dev/pts/ptmx")
    if height and width:
        tty.set_size(slave, height, width)
    messages.send(context.report, {"terminal": number}, [master, slave])
    os.close(master)
    tty.make_controlling(slave)
    for descriptor in range(3):
        os.dup2(slave, descriptor)
    os.close(slave)
    context.terminal = f"/dev/pts/{number}"


def console(context: Context) -> None:
    """Show the terminal at /dev/console too."""
    context.trees["console"] = mounts.clone_tree(context.terminal, recursive=False)
    attach(context, "console", "/dev/console")


# what the process may do


def rlimit(context: Context, type: str, soft: int, hard: int) -> None:  # noqa: A002, ARG001
    """Set a resource limit; where the hard limit cannot be raised, as much as this machine allows."""
    number = getattr(resource, type)
    try:
        resource.setrlimit(number, (soft, hard))
    except (ValueError, PermissionError):
        _, allowed = resource.getrlimit(number)
        limit = soft if allowed == resource.RLIM_INFINITY else min(soft, allowed)
        resource.setrlimit(number, (limit, allowed))


def oom_score(context: Context, adjust: int) -> None:  # noqa: ARG001
    """Say how readily the kernel may choose this process when memory runs out."""
    process.set_oom_score_adjustment(adjust)


def user(
    context: Context,
    name: str = "",
    uid: int = 0,
    gid: int = 0,
    groups: Sequence[int] | None = None,
    added: Sequence[str] = (),
    *,
    keeps_groups: bool = False,
) -> None:
    """Look up who the command runs as (the ids are taken on by ``privileges``).

    ``added`` are further groups; with ``keeps_groups`` they are those that this process has.
    """
    if name:
        context.identity = identity.look_up(name)
    else:
        context.identity = identity.of_ids(uid, gid, groups)
    context.identity.keeps_groups = keeps_groups
    if added:
        have = context.identity.groups
        have += [number for number in identity.group_numbers(added) if number not in have]


def directory(context: Context, path: str, *, make: bool = True) -> None:  # noqa: ARG001
    """Go to the working directory as root; with ``make``, one that is missing is made (as Docker does at a start)."""
    if make and not os.path.exists(path):
        os.close(mount_point(path, directory=True))
    for call, arguments in entering(path):
        call(*arguments)


def entering(path: str) -> list[Call]:
    """The calls by which ``directory`` goes to one that is there."""
    # The second fails where that is not below the root: another bolt, should a descriptor of the host be left open.
    return [(os.chdir, (path,)), (os.getcwd, ())]


def user_namespace(context: Context, uids: list[list[int]], gids: list[list[int]]) -> None:  # noqa: ARG001
    """Enter a user namespace of this process's own: other ids, and no rights over what was made so far."""
    made = userns.make(uids, gids)
    namespaces.setns(made, namespaces.CLONE_NEWUSER)
    os.close(made)


def no_new_privileges(context: Context) -> None:  # noqa: ARG001
    """Let no set-uid program give more privileges."""
    process.set_no_new_privileges()


def privileges(
    context: Context, capabilities: list[str], seccomp_filter: str = "", *, locked: bool = False, bound: bool = False
) -> None:
    """Drop to the command's capabilities, filter and ids, for good; ``bound`` to the monitor's life.

    The filter comes as late as can be, for it may refuse what this process does itself: only capset(2) and execve(2)
    are left to do. Loading it takes CAP_SYS_ADMIN, kept until then, unless no_new_privs makes that needless
    (``locked``).
    """
    process.drop_bounding(bounding_mask(capabilities))
    for call, arguments in dropping(context.identity, capabilities, seccomp_filter, locked=locked, bound=bound):
        call(*arguments)


def bounding_mask(capabilities: Sequence[str]) -> int:
    """The bit mask of those of these capabilities that this process has to give."""
    return process.capability_mask(capabilities) & process.permitted_capabilities()


def dropping(
    who: identity.Identity, capabilities: Sequence[str], seccomp_filter: str, *, locked: bool, bound: bool
) -> list[Call]:
    """The calls by which ``privileges`` drops all but the bounding set."""
    # As in Docker, a command that is not root's holds none (the bounding set is what set-uid programs may get back).
    held = bounding_mask(capabilities) if who.uid == 0 else 0
    calls: list[Call] = [
        (process.close_on_exec_from, (3,)),
        (process.set_keep_capabilities, (True,)),
        (_become, (who,)),
        (process.set_keep_capabilities, (False,)),
        # From here on it is the command, and goes on when the monitor does not; unless nobody may be left, where all
        # are killed at once that would end it.
        (process.set_parent_death_signal, (signal.SIGKILL if bound else 0,)),
    ]
    if seccomp_filter:
        loading = held if locked else held | _SYS_ADMIN
        calls.append((process.set_capabilities, (loading, loading, 0)))
        calls.append((seccomp.load, (seccomp.assemble(binascii.a2b_base64(seccomp_filter)),)))
    if not (seccomp_filter and locked):
        calls.append((process.set_capabilities, (held, held, 0)))
    return calls


def _become(who: identity.Identity) -> None:
    try:
        _give_streams(who)
        if not who.keeps_groups:
            _set_groups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{who.uid}:{who.gid}") from None


def _set_groups(groups: Sequence[int]) -> None:
    try:
        os.setgroups(groups)
    except PermissionError:
        # In a user namespace that its maker alone has been put into, nobody may.
        if process.may_set_groups():
            raise


def _give_streams(who: identity.Identity) -> None:
    """Let the command's user open its streams anew by their names (/dev/stdout), which pipes of root's would not."""
    if who.uid == 0:
        return
    for descriptor in range(3):
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, who.uid, who.gid)


OPERATIONS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        join_cgroup, new_namespace,
        detach_mounts, open_tree, open_cgroup, open_disk, mount_disk, mount_root, pivot, detach_old_root,
        root_read_only,
        mount, attach, fill_dev, device, file, cgroup_mounts, mask, read_only,
        hostname, domainname, sysctl, loopback, wait_for_network, home, passwd_entry, terminal, console,
        rlimit, oom_score, user, directory, no_new_privileges, user_namespace, privileges,
    )
}  # fmt: skip


def perform(context: Context, operations: list[tuple[str, dict[str, Any]]]) -> None:
    """Execute the operations in order; a failure says which one it was (``error.operation``)."""
    for name, arguments in operations:
        try:
            (OPERATIONS.get(name) or _rare(name))(context, **arguments)
        except Exception as error:
            error.operation = name  # type: ignore[attr-defined]
            error.arguments = arguments  # type: ignore[attr-defined]
            raise


def _rare(name: str) -> Callable[..., None]:
    from kist.runtime import rare  # noqa: PLC0415 - few containers have one

    return rare.find(name)
