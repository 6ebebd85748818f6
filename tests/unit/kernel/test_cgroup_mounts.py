import os

import pytest

from kist.kernel.cgroup import Cgroup
from kist.kernel.cgroup_mounts import CgroupMount, Hierarchies, choose_base, detect, inside, parse_mounts, parse_own

SYSTEMD_V2 = """\
22 28 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
26 22 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
"""

SYSTEMD_HYBRID = """\
25 21 0:22 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
27 25 0:24 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr,name=systemd
30 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:14 - cgroup cgroup rw,cpu,cpuacct
31 25 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory
"""

# The same hierarchy twice: the container's part of it, and all of it; and one from outside the cgroup namespace.
NESTED = """\
100 90 0:29 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:11 - cgroup memory rw,memory
101 90 0:29 / /host\\040cgroup/memory rw - cgroup memory rw,memory
102 90 0:30 /../.. /sys/fs/cgroup/pids rw - cgroup pids rw,pids
"""


def _mounts(text: str) -> list[tuple[int, str, str, tuple[str, ...]]]:
    return [(m.version, m.root, m.point, m.controllers) for m in parse_mounts(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SYSTEMD_V2, [(2, "/", "/sys/fs/cgroup", ())]),
        (
            SYSTEMD_HYBRID,
            [
                (2, "/", "/sys/fs/cgroup/unified", ()),
                (1, "/", "/sys/fs/cgroup/systemd", ()),
                (1, "/", "/sys/fs/cgroup/cpu,cpuacct", ("cpu", "cpuacct")),
                (1, "/", "/sys/fs/cgroup/memory", ("memory",)),
            ],
        ),
        (
            NESTED,
            [
                (1, "/", "/host cgroup/memory", ("memory",)),
                (1, "/docker/abc", "/sys/fs/cgroup/memory", ("memory",)),
            ],
        ),
        ("", []),
    ],
)
def test_mounts_of_cgroups_are_read_and_whole_hierarchies_come_first(text, expected):
    assert _mounts(text) == expected


def test_own_cgroups_are_read_for_each_controller():
    text = "9:name=systemd:/\n4:memory:/process/8489\n3:cpu,cpuacct:/a:b\n0::/user.slice\n"
    assert parse_own(text) == {
        "name=systemd": "/",
        "memory": "/process/8489",
        "cpu": "/a:b",
        "cpuacct": "/a:b",
        "": "/user.slice",
    }


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("/", "/", "/sys/fs/cgroup"),
        ("/", "/user.slice/a.scope", "/sys/fs/cgroup/user.slice/a.scope"),
        ("/docker/abc", "/docker/abc", "/sys/fs/cgroup"),
        ("/docker/abc", "/docker/abc/x", "/sys/fs/cgroup/x"),
        ("/docker/abc", "/docker/abcd", "/sys/fs/cgroup"),
        ("/", "/../other", "/sys/fs/cgroup"),
    ],
)
def test_a_cgroup_is_found_in_what_a_mount_shows(root, path, expected):
    assert inside(CgroupMount(2, "0:23", root, "/sys/fs/cgroup", ()), path) == expected


def _tree(root: str, *, writable: tuple[str, ...], populated: tuple[str, ...]) -> None:
    for directory in ("", "/user.slice", "/user.slice/user", "/user.slice/user/app", "/user.slice/user/app/x.scope"):
        os.makedirs(root + directory, exist_ok=True)
        with open(f"{root}{directory}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("1\n" if directory in populated else "")
        if directory in writable:  # without the file access(2) says no, to root as well
            with open(f"{root}{directory}/cgroup.subtree_control", "w", encoding="ascii"):
                pass


OWN = "/user.slice/user/app/x.scope"


@pytest.mark.parametrize(
    ("writable", "populated", "expected"),
    [
        (("", OWN), (OWN,), ""),
        (("/user.slice/user", "/user.slice/user/app", OWN), (OWN,), "/user.slice/user/app"),
        (("/user.slice/user", "/user.slice/user/app", OWN), (OWN, "/user.slice/user/app"), "/user.slice/user"),
        ((OWN,), (OWN,), OWN),
        ((), (), ""),
    ],
)
def test_the_base_is_the_root_or_the_nearest_delegated_cgroup(tmp_path, writable, populated, expected):
    root = str(tmp_path)
    _tree(root, writable=writable, populated=populated)
    assert choose_base(root, root + OWN) == root + expected


@pytest.mark.parametrize(
    ("hierarchies", "mode"),
    [
        (Hierarchies(), "none"),
        (Hierarchies((("/c/memory", ("memory",)),)), "v1"),
        (Hierarchies((("/c/memory", ("memory",)),), "/c/unified"), "hybrid"),
        (Hierarchies((), "/c", ("memory",)), "v2"),
    ],
)
def test_the_mode_says_which_versions_are_mounted(hierarchies, mode):
    assert hierarchies.mode == mode


def test_this_machine_is_looked_at():
    found = detect()
    for point, controllers in found.v1:
        assert os.path.exists(point + "/cgroup.procs")
        assert controllers
    if found.v2:
        assert os.path.exists(found.v2 + "/cgroup.procs")


def test_a_unified_hierarchy_without_controllers_of_use_is_left_alone_beside_version_1():
    hybrid = Hierarchies((("/c/memory", ("memory",)),), "/c/unified", ("hugetlb",))
    assert Cgroup(hybrid, "kist/x").open_v2() is None


def test_without_any_hierarchy_creating_says_so():
    with pytest.raises(OSError, match="no cgroup hierarchy is mounted"):
        Cgroup(Hierarchies(), "kist/x").create({})
