"""From a specification to operations: what comes in which order is what keeps the host out of reach."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput
from kist.runtime import mapped, operations
from kist.runtime.mount_words import split_options
from kist.runtime.plan import Log, Plan
from kist.runtime.planner import make_exec_plan, make_plan
from kist.spec.mount import Mount
from kist.spec.runtime import DeviceNode, IdMap, IdMaps, Linux, Process, Rlimit, RuntimeSpec, User

OVERLAY = Mount("overlay", "overlay", "", ("lowerdir=/a:/b", "upperdir=/u", "workdir=/w"))
USUAL = (
    Mount("proc", "proc", "/proc", ("nosuid",)),
    Mount("tmpfs", "tmpfs", "/dev", ("mode=755",)),
    Mount("cgroup", "cgroup", "/sys/fs/cgroup"),
    Mount.bind("/host/file", "/etc/hosts"),
)


@dataclass
class Made:
    """A plan's specification, of which a test changes what it is about."""

    process: Process = field(default_factory=lambda: Process(args=("sh", "-c", "echo hi"), capabilities=("CAP_KILL",)))
    root: tuple[Mount, ...] = (OVERLAY,)
    mounts: tuple[Mount, ...] = USUAL
    linux: Linux = field(default_factory=lambda: Linux(cgroups_path="kist/x", masked_paths=("/proc/kcore",)))
    hostname: str = "box"
    read_only: bool = False

    def plan(self, **options: Any) -> Plan:
        spec = RuntimeSpec(
            process=self.process,
            root=self.root,
            mounts=self.mounts,
            hostname=self.hostname,
            read_only=self.read_only,
            linux=self.linux,
        )
        usual: dict[str, Any] = {"seccomp": b"12345678" * 3, "wait_for_network": False, "log": Log()}
        return make_plan("id", spec, root_at="/run/root", limits={}, **{**usual, **options})


def names(plan: Plan) -> list[str]:
    return [name for name, _ in plan.operations]


def the(plan: Plan, name: str) -> dict[str, Any]:
    [found] = [arguments for each, arguments in plan.operations if each == name]
    return found


WITH_A_DISK = Mount("overlay", "overlay", "", (*OVERLAY.options, "disk=/s/3-disk"))
OF_THE_CONTAINER = Made(mounts=(*USUAL[:3], Mount.bind("/data/id/hosts", "/etc/hosts")))


@pytest.mark.parametrize(
    ("made", "own"),
    [
        (OF_THE_CONTAINER, True),
        (replace(OF_THE_CONTAINER, mounts=()), True),
        (replace(OF_THE_CONTAINER, mounts=USUAL), False),
        (replace(OF_THE_CONTAINER, mounts=(Mount.bind("/data/id-of-another/hosts", "/x"),)), False),
        (replace(OF_THE_CONTAINER, mounts=(Mount("held", "volume", "/x"),)), False),
        (replace(OF_THE_CONTAINER, mounts=(Mount("joined", "1:2", "/dev/shm"),)), False),
        (replace(OF_THE_CONTAINER, mounts=(OVERLAY,)), False),
        (replace(OF_THE_CONTAINER, root=(Mount.bind("/rootfs", ""),)), False),
        (replace(OF_THE_CONTAINER, root=(WITH_A_DISK,)), False),
        (replace(OF_THE_CONTAINER, linux=Linux(namespaces=("pid",))), False),
        (replace(OF_THE_CONTAINER, linux=Linux(ids=IdMaps((IdMap(0, 7, 1),), (IdMap(0, 7, 1),)))), False),
    ],
)
def test_the_end_is_told_before_mounts_go_that_nobody_else_has(made: Made, own: bool) -> None:
    assert made.plan(own_files="/data/id").own_mounts is own
    assert made.plan().message().get("own_mounts") is None, "nobody has said which files are its own"


ME = {"name": "me", "uid": 1, "gid": 1, "groups": [], "home": "/home/me", "owner": (1, 1)}
ON_DISK = Mount(
    "overlay", "overlay", "", ("lowerdir=/m/c:/s/1", "upperdir=/s/3/upper", "workdir=/s/3/work", "disk=/s/3-disk")
)
FULL = Made(
    root=(ON_DISK,),
    process=Process(
        args=("sh",),
        terminal=True,
        user=User(username="me"),
        no_new_privileges=True,
        rlimits=(Rlimit("RLIMIT_NOFILE", 1, 2),),
        oom_score_adj=5,
        within=IdMaps((IdMap(7, 0, 1),), (IdMap(7, 0, 1),)),
    ),
    linux=Linux(
        cgroups_path="kist/x",
        sysctl={"b": "2", "a": "1"},
        readonly_paths=("/proc/sys",),
        devices=(DeviceNode("/dev/fuse", "c", 10, 229),),
        dev_files={"note": "text"},
    ),
    read_only=True,
)


def test_every_operation_is_one_that_init_knows() -> None:
    plan = FULL.plan(wait_for_network=True, passwd=ME)
    known = set(operations.OPERATIONS)
    assert set(names(plan)) <= known
    # What the fullest plan lacks is the variants of what it has.
    assert known - set(names(plan)) <= {"hostname", "domainname"}


def test_only_who_would_leave_something_tells_its_mount_namespace() -> None:
    def first(**linux: object) -> str:
        return names(Made(linux=Linux(**linux)).plan())[0]  # type: ignore[arg-type]

    assert first(cgroups_path="", namespaces=("mount",)) == "tell_mounts"
    assert first(cgroups_path="", namespaces=("mount", "pid")) != "tell_mounts"
    assert first(cgroups_path="kist/x", namespaces=("mount",)) != "tell_mounts"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("join_cgroup", "new_namespace"),
        ("join_cgroup", "pivot"),
        ("oom_score", "pivot"),
        ("detach_mounts", "mount_root"),
        ("open_disk", "join_cgroup"),
        ("detach_mounts", "mount_disk"),
        ("mount_disk", "mount_root"),
        ("open_tree", "pivot"),
        ("open_cgroup", "pivot"),
        ("detach_old_root", "mount"),
        ("detach_old_root", "attach"),
        ("detach_old_root", "passwd_entry"),
        ("detach_old_root", "home"),
        ("home", "mount"),
        ("home", "attach"),
        ("detach_old_root", "directory"),
        ("mount", "mask"),
        ("attach", "mask"),
        ("attach", "read_only"),
        ("sysctl", "read_only"),
        ("terminal", "console"),
        ("passwd_entry", "user"),
        ("mask", "passwd_entry"),
        ("read_only", "passwd_entry"),
        ("directory", "root_read_only"),
        ("console", "root_read_only"),
        ("root_read_only", "wait_for_network"),
        ("wait_for_network", "no_new_privileges"),
        ("rlimit", "privileges"),
        ("no_new_privileges", "privileges"),
    ],
)
def test_what_has_to_come_before_what(before: str, after: str) -> None:
    found = names(FULL.plan(wait_for_network=True, passwd=ME))
    last_before = len(found) - 1 - found[::-1].index(before)
    assert last_before < found.index(after)


@pytest.mark.parametrize("made", [Made(), FULL])
def test_the_hosts_root_is_gone_before_any_path_of_the_image_is_walked(made: Made) -> None:
    found = names(made.plan())
    assert found[found.index("pivot") + 1] == "detach_old_root"


def test_privileges_are_dropped_last() -> None:
    assert names(FULL.plan(wait_for_network=True))[-1] == "privileges"


@pytest.mark.parametrize("count", [0, 2])
def test_a_root_is_one_mount(count: int) -> None:
    with pytest.raises(InvalidInput, match="a root file system is one mount"):
        Made(root=(OVERLAY,) * count).plan()


def test_the_cgroup_namespace_begins_in_the_cgroup_and_not_at_clone() -> None:
    plan = Made().plan()
    assert "cgroup" not in plan.namespaces
    assert names(plan)[:2] == ["join_cgroup", "new_namespace"]
    without = Made(linux=Linux(namespaces=("pid", "mount"), cgroups_path="")).plan()
    assert not {"join_cgroup", "new_namespace", "open_cgroup"} & set(names(without))


@pytest.mark.parametrize(("namespaces", "expected"), [(("pid", "network", "uts"), True), (("pid",), False)])
def test_host_name_and_loopback_are_touched_in_namespaces_of_their_own_only(
    namespaces: tuple[str, ...], expected: bool
) -> None:
    found = names(Made(linux=Linux(namespaces=namespaces)).plan())
    assert ("loopback" in found) == expected
    assert ("hostname" in found) == expected


def test_a_read_only_root_and_a_terminal_are_asked_for() -> None:
    assert {"root_read_only", "terminal", "console"} <= set(names(FULL.plan()))
    assert not {"root_read_only", "terminal", "console"} & set(names(Made().plan()))
    assert FULL.plan().terminal


@pytest.mark.parametrize(
    ("options", "recursive", "attributes", "propagation"),
    [
        ((), True, None, 0x40000),
        (("rbind", "rw"), True, None, 0x40000),
        (("bind",), False, None, 0x40000),
        (("ro",), True, 1, 0x40000),
        (("ro", "nosuid", "nodev", "noexec"), True, 1 | 2 | 4 | 8, 0x40000),
        (("rslave",), True, None, 0x80000),
        (("slave", "ro"), True, 1, 0x80000),
        (("rshared",), True, None, 0x100000),
        (("rprivate",), True, None, 0x40000),
    ],
)
def test_a_bind_is_opened_on_the_host_and_attached_inside(
    options: tuple[str, ...], recursive: bool, attributes: int | None, propagation: int
) -> None:
    plan = Made(mounts=(Mount("bind", "/host", "/inside", options),)).plan()
    opened, attached = the(plan, "open_tree"), the(plan, "attach")
    assert opened["source"] == "/host"
    assert opened.get("recursive", True) == recursive
    assert attached == {
        "slot": opened["slot"],
        "target": "/inside",
        **({"attributes": attributes} if attributes else {}),
        "propagation": propagation,
    }


def test_each_bind_has_a_slot_of_its_own() -> None:
    plan = Made(mounts=tuple(Mount.bind(f"/host/{n}", f"/inside/{n}") for n in range(12))).plan()
    opened = {a["slot"]: a["source"] for name, a in plan.operations if name == "open_tree"}
    attached = {a["slot"]: a["target"] for name, a in plan.operations if name == "attach"}
    assert {opened[slot].replace("host", "inside"): slot for slot in opened} == {v: k for k, v in attached.items()}


def test_devices_are_made_on_a_dev_of_the_containers_own_only() -> None:
    assert {"path": "null", "major": 1, "minor": 3, "mode": 0o666} in the(Made().plan(), "fill_dev")["devices"]
    assert "fill_dev" not in names(Made(mounts=(Mount.bind("/dev", "/dev"),)).plan())


def test_what_is_mounted_in_a_new_dev_has_its_place_at_once() -> None:
    later = (
        Mount("devpts", "devpts", "/dev/pts"),
        Mount("tmpfs", "shm", "/dev/shm"),
        Mount("tmpfs", "tmpfs", "/dev/deep/er"),
        Mount("tmpfs", "tmpfs", "/dev/stdin"),
        Mount.bind("/host/file", "/dev/file"),
    )
    assert the(Made(mounts=(*USUAL, *later)).plan(), "fill_dev")["directories"] == ["pts", "shm"]
    assert the(Made(mounts=(*later, *USUAL)).plan(), "fill_dev")["directories"] == []


@pytest.mark.parametrize(
    ("options", "flags", "data"),
    [
        ((), 0, ""),
        (("ro", "nosuid", "noexec", "nodev"), 1 | 2 | 4 | 8, ""),
        (("mode=755", "ro", "size=64k"), 1, "mode=755,size=64k"),
        (("rw", "dev", "suid", "exec", "async", "atime"), 0, ""),
        (("strictatime", "relatime"), 0x1000000 | 0x200000, ""),
    ],
)
def test_words_of_mount_become_flags_and_data(options: tuple[str, ...], flags: int, data: str) -> None:
    assert split_options(options) == (flags, data)


@given(st.lists(st.text(st.characters(exclude_characters=",", codec="utf-8"), min_size=1)))
def test_no_option_is_lost(options: list[str]) -> None:
    known = {"ro", "rw", "nosuid", "suid", "dev", "nodev", "exec", "noexec", "sync", "async", "atime"}
    kept = [option for option in options if option not in known]
    assert split_options([*options, "ro"])[1] == ",".join(kept)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (User(username="me:us"), {"name": "me:us"}),
        (User(uid=1, gid=2, additional_gids=(3,)), {"uid": 1, "gid": 2, "groups": [3]}),
        (User(uid=1, gid=2), {"uid": 1, "gid": 2, "groups": None}),
    ],
)
def test_a_user_is_looked_up_by_name_or_taken_by_ids(user: User, expected: dict[str, Any]) -> None:
    assert the(Made(process=Process(args=("x",), user=user)).plan(), "user") == expected


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("seccomp", [b"", b"x" * 16])
def test_the_filter_travels_with_the_privileges(seccomp: bytes, locked: bool) -> None:
    plan = Made(process=Process(args=("x",), no_new_privileges=locked)).plan(seccomp=seccomp)
    arguments = the(plan, "privileges")
    assert ("seccomp_filter" in arguments) == bool(seccomp)
    assert arguments.get("locked", False) == locked
    assert ("no_new_privileges" in names(plan)) == locked


def test_an_execd_process_changes_nothing_of_the_container() -> None:
    process = Process(args=("x",), cwd="/w", terminal=True, rlimits=(Rlimit("RLIMIT_CORE", 0, 0),))
    plan = make_exec_plan("id", process, ("pid", "mount"), seccomp=b"", stdin=True)
    assert names(plan) == ["terminal", "user", "directory", "rlimit", "privileges"]
    assert (plan.log, plan.cgroup, plan.stdin, plan.stdin_once) == (None, "", True, True)


def test_what_the_monitor_gets_is_json_without_init_s_part() -> None:
    plan = FULL.plan()
    message = json.loads(json.dumps(plan.message()))
    assert "operations" not in message
    part = json.loads(plan.init_text())
    assert [name for name, _ in part["operations"]] == names(plan)
    assert part["command"] == {"args": ["sh"], "env": [], "init": False}
    assert message["log"]["max_files"] > 0


def test_the_plan_as_text_has_a_line_for_each_operation() -> None:
    plan = msgspec.structs.replace(FULL.plan(), limits={"memory": 5, "devices": [1, 2, 3]})
    lines = plan.lines()
    assert len(lines) == len(plan.operations) + 3
    assert lines[0] == "make_cgroup kist/x memory=5"
    assert lines[1].startswith("clone pid ")
    assert "seccomp_filter=(3 instructions)" in lines[-2]
    assert lines[-1] == "execute sh"
    assert all("\n" not in line for line in lines)
    assert Made(process=Process(args=("sh", "-c", "echo hi", ""))).plan().lines()[-1] == "execute sh -c 'echo hi' ''"


# a user namespace

MAPPED = Made(
    linux=Linux(cgroups_path="kist/x", ids=IdMaps((IdMap(0, 1000, 10),), (IdMap(0, 2000, 10),))),
    mounts=(*USUAL, Mount("sysfs", "sysfs", "/sys", ("ro",)), Mount("bind", "/s", "/t", ("rshared", "callers"))),
    process=Process(args=("x",), rlimits=(Rlimit("RLIMIT_NOFILE", 1, 2),), oom_score_adj=5),
)


def test_what_takes_the_hosts_root_is_done_outside() -> None:
    plan = MAPPED.plan()
    outside = [name for name, _ in plan.outside]
    assert outside == [
        "join_cgroup", "oom_score", "raise_rlimit", "open_tree", "new_namespace", "detach_mounts", "open_tree",
        "open_cgroup", "open_devices", "map_layers", "open_root",
    ]  # fmt: skip
    inside = names(plan)
    assert not {"open_tree", "open_cgroup", "join_cgroup", "oom_score", "mount_root", "device"} & set(inside)
    assert "devices" not in the(plan, "fill_dev")
    assert {*outside, *inside} <= set(operations.OPERATIONS) | set(mapped.OPERATIONS)


def test_proc_and_sysfs_are_opened_while_the_hosts_are_in_sight() -> None:
    plan = MAPPED.plan()
    inside = names(plan)
    opened = [arguments["slot"] for name, arguments in plan.operations if name == "open_file_system"]
    assert opened == ["/proc", "/sys"]
    assert len(inside) - 1 - inside[::-1].index("open_file_system") < inside.index("place_root")
    assert inside[inside.index("place_root") + 1 : inside.index("place_root") + 3] == ["pivot", "detach_old_root"]
    attached = [arguments["slot"] for name, arguments in plan.operations if name == "attach"]
    assert attached == ["/proc", "dev", "bind3", "/sys", "bind5"]


def test_binds_are_mapped_as_files_are_kept_or_as_the_callers() -> None:
    trees = {arguments["slot"]: arguments["ids"] for name, arguments in MAPPED.plan().outside if name == "open_tree"}
    assert trees == {"bind3": "inside", "bind5": "callers"}


def test_layers_of_several_directories_are_all_mapped() -> None:
    root = Mount("overlay", "overlay", "", ("lowerdir=/m/c:/s/1:/s/2", "upperdir=/s/3", "workdir=/s/3-work"))
    [paths] = [arguments["paths"] for name, arguments in replace(MAPPED, root=(root,)).plan().outside
               if name == "map_layers"]  # fmt: skip
    assert paths == ["/m", "/s"]


LAYERS = Mount("overlay", "overlay", "/i", ("lowerdir=/x/2:/x/1", "userxattr", "ro", "subpath=a/b"))


def test_an_image_of_several_layers_is_opened_before_the_root_and_attached_read_only() -> None:
    plan = Made(mounts=(*USUAL, LAYERS)).plan()
    order = names(plan)
    opened = {"options": ["lowerdir=/x/2:/x/1", "userxattr"], "at": "/run/root", "within": "a/b"}
    assert the(plan, "open_layers") == opened | {"slot": f"bind{len(USUAL)}"}
    assert order.index("detach_mounts") < order.index("open_layers") < order.index("mount_root")
    [attached] = [arguments for name, arguments in plan.operations if arguments.get("target") == "/i"]
    assert attached == {"slot": f"bind{len(USUAL)}", "target": "/i", "attributes": 1, "propagation": 0x40000}


def test_its_layers_are_mapped_also_where_the_root_is_none() -> None:
    made = replace(MAPPED, root=(Mount("bind", "/root"),), mounts=(*MAPPED.mounts, LAYERS)).plan()
    outside = dict(made.outside)
    order = list(outside)
    assert outside["map_layers"] == {"paths": ["/x"]}
    assert order.index("map_layers") < order.index("open_layers") < order.index("open_root")
    assert "open_layers" not in names(made)


def test_a_disk_of_the_containers_own_is_opened_where_the_devices_are_and_mounted_below_the_root() -> None:
    plan = Made(root=(ON_DISK,)).plan()
    assert the(plan, "open_disk") == {"disk": "/s/3-disk"}
    assert the(plan, "mount_disk") == {"at": "/s/3"}
    assert the(plan, "mount_root")["options"] == ["lowerdir=/m/c:/s/1", "upperdir=/s/3/upper", "workdir=/s/3/work"]
    assert "open_disk" not in names(Made().plan())
    bare = Made(root=(Mount("bind", "/s/3/upper", "", ("rbind", "rw", "disk=/s/3-disk")),)).plan()
    assert the(bare, "mount_disk") == {"at": "/s/3"}
    assert the(bare, "mount_root")["source"] == "/s/3/upper"


def test_a_disk_is_mapped_with_the_directory_that_it_is_mounted_in() -> None:
    outside = dict(replace(MAPPED, root=(ON_DISK,)).plan().outside)
    order = list(outside)
    assert outside["map_layers"] == {"paths": ["/m", "/s"], "recursive": True}
    assert order[0] == "open_disk"
    assert order.index("detach_mounts") < order.index("mount_disk") < order.index("map_layers")


def test_a_mapped_plan_is_printed_in_the_order_in_which_it_is_done() -> None:
    lines = MAPPED.plan().lines()
    at = lines.index("user_namespace uids=0:1000:10 gids=0:2000:10")
    assert lines[at + 1].startswith("clone ")
    assert any(line.startswith("open_root") for line in lines[:at])
    assert any(line.startswith("place_root") for line in lines[at:])


def test_the_monitor_of_an_ordinary_container_holds_nothing_of_all_this() -> None:
    assert not {"ids", "joined", "outside"} & set(Made().plan().message())
    assert "outside" not in json.loads(Made().plan().init_text())
    assert "ids" in MAPPED.plan().message()


# made by root of a user namespace

CONFINED = Made(linux=Linux(confined=True, devices=(DeviceNode("/dev/mine", "c", 1, 2, source="/dev/theirs"),)))


def test_the_hosts_devices_are_bound_where_none_can_be_made() -> None:
    steps = list(CONFINED.plan().operations)
    taken = {arguments["slot"]: arguments["source"] for name, arguments in steps if name == "open_tree"}
    put = {arguments["target"] for name, arguments in steps if name == "attach"}
    assert "device" not in names(CONFINED.plan())
    assert "devices" not in the(CONFINED.plan(), "fill_dev")
    assert taken["/dev/mine"] == "/dev/theirs"
    assert taken["/dev/null"] == "/dev/null"
    assert {"/dev/mine", "/dev/null"} <= put


def test_what_shows_a_namespace_is_mounted_while_the_hosts_is_in_sight() -> None:
    found = names(CONFINED.plan())
    assert found.index("open_file_system") < found.index("pivot")
    mounted = {arguments["type"] for name, arguments in CONFINED.plan().operations if name == "mount"}
    assert not mounted & {"proc", "sysfs"}


def test_the_last_step_before_privileges_go_is_into_a_namespace_of_its_own() -> None:
    found = names(FULL.plan())
    assert found.index("user_namespace") == found.index("privileges") - 1
