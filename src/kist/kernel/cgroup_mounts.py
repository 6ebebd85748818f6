"""Where the cgroup hierarchies of this machine are, found by looking (cgroups(7), proc_pid_mountinfo(5))."""

from __future__ import annotations

import os

from kist.kernel import cgroup_files as files
from kist.kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any


class Hierarchies:
    """The hierarchies in which containers can have cgroups.

    Attributes:
        v1: the directory to make cgroups in, and the controllers, for each version 1 hierarchy.
        v2: the directory to make cgroups in, in the unified hierarchy; empty when that is not mounted.
        v2_controllers: what ``v2`` can hand on.
        names: of a directory of ``v1`` that is not the root of its hierarchy, the name of that root.
    """

    __slots__ = ("names", "v1", "v2", "v2_controllers")

    def __init__(
        self,
        v1: Sequence[tuple[str, Sequence[str]]] = (),
        v2: str = "",
        v2_controllers: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.v1 = tuple((directory, tuple(controllers)) for directory, controllers in v1)
        self.v2 = v2
        self.v2_controllers = tuple(v2_controllers)
        self.names = dict(names or {})

    def told(self) -> dict[str, Any]:
        """The same as JSON has it: ``Hierarchies(**told)`` is this again."""
        return {"v1": self.v1, "v2": self.v2, "v2_controllers": self.v2_controllers, "names": self.names}

    def name(self, directory: str) -> str:
        """How the hierarchy of a directory of ``v1`` is called below /sys/fs/cgroup: ``cpu,cpuacct``."""
        return self.names.get(directory) or os.path.basename(directory)

    @property
    def mode(self) -> str:
        """``v1``, ``hybrid`` (both are mounted), ``v2``, or ``none``."""
        if self.v1:
            return "hybrid" if self.v2 else "v1"
        return "v2" if self.v2 else "none"


class CgroupMount:
    """A line of mountinfo about a cgroup file system.

    Attributes:
        device: ``major:minor``, which tells whether another file system hides this one.
        root: the cgroup that the mount shows at ``point``.
        controllers: empty for version 2 and for named hierarchies (``name=systemd``).
    """

    __slots__ = ("controllers", "device", "point", "root", "version")

    def __init__(self, version: int, device: str, root: str, point: str, controllers: tuple[str, ...]) -> None:
        self.version = version
        self.device = device
        self.root = root
        self.point = point
        self.controllers = controllers


def detect(*, ordinary: bool = False) -> Hierarchies:
    """Look at /proc/self/mountinfo, /proc/self/cgroup and what this process may write.

    Args:
        ordinary: as the root of a user namespace that this user makes will find them.
    """
    v1, v2 = _mounted()
    own = parse_own(files.read("/proc/self/cgroup"))
    found = tuple((mount.point, mount.controllers) for mount in v1)
    base = choose_base(v2.point, inside(v2, own.get("", "/"))) if v2 is not None else ""
    if ordinary or not process.in_initial_user_namespace():
        # An ordinary user has what was delegated; to root it is worth telling why a group cannot be made.
        found = tuple((point, controllers) for point, controllers in found if os.access(point, os.W_OK))
        base = base if base and _writable(base) else ""
    return Hierarchies(found, base, tuple(files.read(base + "/cgroup.controllers").split()) if base else ())


def below_own() -> Hierarchies:
    """The hierarchies with the cgroup that this process is in, in each, in place of their roots.

    A user namespace has none: what is made in it stays in the cgroup of who made it. Of version 2 there are those
    controllers that the own cgroup hands on; it has processes, so none can be added, but in a hierarchy's root.
    """
    if not process.in_initial_user_namespace():
        return Hierarchies()
    v1, v2 = _mounted()
    own = parse_own(files.read("/proc/self/cgroup"))
    found, names = [], {}
    for mount in v1:
        directory = inside(mount, own.get(mount.controllers[0], "/"))
        found.append((directory, mount.controllers))
        names[directory] = os.path.basename(mount.point)
    base = inside(v2, own.get("", "/")) if v2 is not None else ""
    # The root of all has no type, and its processes do not stand against its controllers.
    handed = "cgroup.subtree_control" if base and os.path.exists(f"{base}/cgroup.type") else "cgroup.controllers"
    return Hierarchies(found, base, tuple(files.read(f"{base}/{handed}").split()) if base else (), names)


def _mounted() -> tuple[list[CgroupMount], CgroupMount | None]:
    """The hierarchies of version 1 that have controllers, one mount of each; and the unified one."""
    v1: dict[tuple[str, ...], CgroupMount] = {}
    v2: CgroupMount | None = None
    for mount in parse_mounts(files.read("/proc/self/mountinfo")):
        if not _visible(mount):
            continue
        if mount.version == 2:
            v2 = v2 or mount
        elif mount.controllers:
            v1.setdefault(mount.controllers, mount)
    return list(v1.values()), v2


def parse_mounts(mountinfo: str) -> Iterator[CgroupMount]:
    """The cgroup mounts, those that show a whole hierarchy first."""
    found = [mount for line in mountinfo.splitlines() if (mount := _parse_mount(line)) is not None]
    yield from sorted(found, key=lambda mount: mount.root != "/")


def parse_own(text: str) -> dict[str, str]:
    """The process's cgroup for each controller, from /proc/self/cgroup; the empty key is version 2."""
    own = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        own.update(dict.fromkeys(names.split(","), path))
    return own


def inside(mount: CgroupMount, path: str) -> str:
    """The directory of the cgroup ``path`` in the mount; the mount point where the mount does not show it."""
    root = mount.root.rstrip("/")
    if path == "/" or path.startswith("/..") or not f"{path}/".startswith(root + "/"):
        return mount.point
    return (mount.point + path[len(root) :]).rstrip("/")


def choose_base(point: str, own: str) -> str:
    """Below which version 2 cgroup containers go.

    The root where it can be written; else the nearest writable ancestor of the process's own cgroup that holds no
    processes (they would keep it from handing controllers on); else its own cgroup; else the root all the same, and
    making a cgroup there fails with the errno that says why.
    """
    if _writable(point):
        return point
    ancestor = os.path.dirname(own)
    while ancestor.startswith(point + "/") and _writable(ancestor):
        if not files.read(ancestor + "/cgroup.procs"):
            return ancestor
        ancestor = os.path.dirname(ancestor)
    return own if _writable(own) else point


def _parse_mount(line: str) -> CgroupMount | None:
    if " - cgroup" not in line:  # most lines, at little cost
        return None
    before, _, after = line.partition(" - ")
    kind, *rest = after.split(" ")
    if kind not in ("cgroup", "cgroup2"):
        return None
    _, _, device, root, point, *_ = before.split(" ")
    root, point = _unescaped(root), _unescaped(point)
    if root.startswith("/.."):  # from outside this process's cgroup namespace: its paths mean nothing here
        return None
    if kind == "cgroup2":
        return CgroupMount(2, device, root, point, ())
    options = rest[-1].split(",")
    known = tuple(option for option in options if option in _V1_CONTROLLERS)
    return CgroupMount(1, device, root, point, known)


_V1_CONTROLLERS = frozenset(
    (
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    )
)


def _unescaped(text: str) -> str:
    """Mountinfo writes space, tab, newline and backslash as a backslash and three octal digits."""
    head, *parts = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)


def _visible(mount: CgroupMount) -> bool:
    """Whether the mount point shows this file system, not one mounted over it."""
    try:
        device = os.stat(mount.point).st_dev
    except OSError:  # hidden, or not for this user: either way of no use
        return False
    return f"{os.major(device)}:{os.minor(device)}" == mount.device


def _writable(directory: str) -> bool:
    return all(os.access(directory + name, os.W_OK) for name in ("", "/cgroup.procs", "/cgroup.subtree_control"))
