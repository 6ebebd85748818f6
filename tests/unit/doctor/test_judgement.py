"""From what was found to findings: tables, with the cost and the fix that they must tell."""

import os
from collections.abc import Mapping
from dataclasses import replace
from errno import ENODEV, ENOSPC, EOPNOTSUPP, EPERM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.doctor.distribution import Distribution
from kist.doctor.facts import (
    Clock,
    Controls,
    Disks,
    EngineAnswer,
    Helper,
    Interpreter,
    Links,
    Machine,
    Mirrors,
    Names,
    Namespaces,
    Person,
    Place,
    Settings,
    Storage,
    SubordinateIds,
)
from kist.doctor.finding import BROKEN, LACKING, OK, Finding
from kist.doctor.judgement import ids, machine, networks, storage

ANNA = Person(1000, 1001, "anna")
ROOT = Person(0, 0, "root", machines_root=True)
DEBIAN = Distribution("Debian", "debian")
UNKNOWN = Distribution()
MACHINE = Machine("6.1.0-18-amd64", DEBIAN)
REFUSED = os.strerror(EPERM)
CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
MOST = "/proc/sys/user/max_user_namespaces"
UBUNTUS = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"


def fixes(finding: Finding) -> str:
    return "\n".join(finding.fix)


def tells(finding: Finding, state: str, *, found: str = "", cost: str = "", fix: str = "") -> None:
    """The finding is of this state, tells these words, and says what it must whenever something is lacking."""
    assert finding.state == state, finding
    assert found in finding.found, finding
    assert cost in finding.cost, finding
    assert fix in fixes(finding), finding
    assert bool(finding.cost) == (state != OK), finding
    assert state == OK or finding.fix or finding.advice, finding


# user namespaces


@pytest.mark.parametrize(
    ("person", "settings", "made", "state", "fix"),
    [
        (ANNA, {CLONE: "1", MOST: "9999"}, "", OK, ""),
        (ANNA, {CLONE: "0"}, REFUSED, BROKEN, "kernel.unprivileged_userns_clone = 1"),
        (ANNA, {MOST: "0"}, os.strerror(ENOSPC), BROKEN, "user.max_user_namespaces = 15000"),
        (ANNA, {UBUNTUS: "1"}, "Permission denied", BROKEN, "kernel.apparmor_restrict_unprivileged_userns = 0"),
        (ANNA, {CLONE: "1", UBUNTUS: "0"}, REFUSED, BROKEN, ""),
        (ROOT, {MOST: "0"}, os.strerror(ENOSPC), LACKING, "user.max_user_namespaces = 15000"),
    ],
)
def test_what_forbids_user_namespaces_is_named_with_what_allows_them(
    person: Person, settings: Mapping[str, str], made: str, state: str, fix: str
) -> None:
    tells(ids.userns(person, Namespaces(made, settings)), state, fix=fix)


def test_a_setting_that_forbids_nothing_is_not_blamed() -> None:
    assert not ids.userns(ANNA, Namespaces("", {UBUNTUS: "1"})).fix


def test_when_all_namespaces_are_in_use_there_may_be_more() -> None:
    found = Namespaces(os.strerror(ENOSPC), {MOST: "20000"}, most="20000")
    tells(ids.userns(ANNA, found), BROKEN, found="20000", fix="= 40000")


def test_a_hidden_proc_keeps_containers_from_starting() -> None:
    tells(ids.proc(Namespaces("")), OK)
    tells(ids.proc(Namespaces("", proc=REFUSED)), BROKEN, found=REFUSED)


@pytest.mark.parametrize(
    ("person", "mapped", "state"), [(ROOT, "", OK), (ROOT, "Invalid argument", LACKING), (ANNA, None, OK)]
)
def test_mapped_mounts_are_roots_matter(person: Person, mapped: str | None, state: str) -> None:
    tells(ids.mapped_mounts(person, Namespaces("", mapped=mapped)), state)


# subordinate ids

LINE = "anna:100000:65536\n"
BOTH = {name: Helper(f"/usr/bin/{name}", sets_ids=True) for name in ("newuidmap", "newgidmap")}


@pytest.mark.parametrize(
    ("person", "subuid", "subgid", "state", "fix"),
    [
        (ANNA, LINE, LINE, OK, ""),
        (ROOT, "", "", OK, ""),
        (ANNA, "", "", LACKING, "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 anna"),
        (ANNA, LINE, "", LACKING, "usermod --add-subgids 165536-231071 anna"),
        (ANNA, "bert:100000:65536", "", LACKING, "165536-231071"),
        (ANNA, "anna:100000:10\n", LINE, LACKING, "usermod --add-subuids 165536-231071 anna"),
        (replace(ANNA, local=False), "", "", LACKING, 'echo "anna:100000:65536" >> /etc/subuid'),
        (replace(ANNA, name=""), "", LINE, LACKING, 'echo "1000:165536:65536" >> /etc/subuid'),
    ],
)
def test_who_has_no_ids_is_told_how_to_get_them(person: Person, subuid: str, subgid: str, state: str, fix: str) -> None:
    tells(ids.subids(person, SubordinateIds(subuid, subgid)), state, fix=fix)


@given(st.lists(st.tuples(st.integers(0, 900_000), st.integers(0, 200_000)), max_size=12))
def test_the_new_range_is_nobodys(taken: list[tuple[int, int]]) -> None:
    texts = ["".join(f"x:{start}:{size}\n" for start, size in part) for part in (taken[::2], taken[1::2])]
    start = ids.free_start(texts)
    assert start >= 100_000
    assert all(first + size <= start or first >= start + 65536 for first, size in taken if size)


@pytest.mark.parametrize(
    ("person", "changes", "state", "found", "fix"),
    [
        (ROOT, {}, OK, "not needed", ""),
        (ANNA, {"helpers": BOTH}, OK, "may set ids", ""),
        (ANNA, {"helpers": BOTH, "mapped": ""}, OK, "work", ""),
        (ANNA, {"helpers": {**BOTH, "newgidmap": None}}, LACKING, "newgidmap is not", "apt-get install uidmap"),
        (
            ANNA,
            {"helpers": {**BOTH, "newuidmap": Helper("/opt/my bin/newuidmap", sets_ids=False)}},
            LACKING,
            "no right",
            "chmod u+s '/opt/my bin/newuidmap'",
        ),
        (ANNA, {"helpers": BOTH, "locked": True}, LACKING, "no_new_privs", ""),
        (ANNA, {"helpers": BOTH, "mapped": "newuidmap: no"}, LACKING, "newuidmap: no", ""),
    ],
)
def test_newuidmap(person: Person, changes: dict[str, object], state: str, found: str, fix: str) -> None:
    facts = replace(SubordinateIds(LINE, LINE), **changes)  # type: ignore[arg-type]
    tells(ids.newuidmap(person, DEBIAN, facts), state, found=found, fix=fix)


def test_where_the_package_is_not_known_its_usual_names_are_told() -> None:
    finding = ids.newuidmap(ANNA, UNKNOWN, SubordinateIds(LINE, LINE, helpers={**BOTH, "newuidmap": None}))
    assert not finding.fix
    assert "uidmap" in finding.advice


# storage

PLACE = Place(
    "/data", "KIST_ROOT", "/data", "", "ext4", "/", free=50 << 30, size=90 << 30, free_inodes=10**6, inodes=10**7
)


def test_a_place_that_cannot_be_written_is_told_with_the_variable_that_chooses_another() -> None:
    tells(storage.data_root(PLACE), OK, found="/data")
    for finding in (storage.data_root(replace(PLACE, refusal=REFUSED)), storage.run_root(replace(PLACE, refusal="no"))):
        tells(finding, BROKEN, found="/data")
        assert "KIST_ROOT" in finding.advice


@pytest.mark.parametrize("letter", [":", ",", "\\"])
def test_a_data_root_that_overlay_cannot_name_is_broken(letter: str) -> None:
    tells(storage.data_root(replace(PLACE, path=f"/da{letter}ta")), BROKEN, found="overlay")


@pytest.mark.parametrize(
    ("person", "owned", "state"),
    [(ANNA, None, OK), (ANNA, "", OK), (ANNA, os.strerror(EOPNOTSUPP), LACKING), (ROOT, None, OK)],
)
def test_a_place_that_keeps_no_other_owners_costs_the_range(person: Person, owned: str | None, state: str) -> None:
    finding = ids.owners(person, replace(PLACE, file_system="nfs4"), replace(SubordinateIds("", ""), owned=owned))
    tells(finding, state, found="nfs4" if state == LACKING else "")


def test_files_of_a_range_that_is_no_more_are_told() -> None:
    tells(ids.owners(ANNA, PLACE, SubordinateIds("", "", left=True)), LACKING, found="files of subordinate ids")
    tells(ids.owners(ANNA, PLACE, SubordinateIds("", "", owned="", left=True)), OK)
    tells(ids.owners(ROOT, PLACE, SubordinateIds("", "", left=True)), OK)


def test_overlay_that_is_no_module_yet_is_loaded_and_on_a_wrong_file_system_copies_are_made() -> None:
    fine = Storage("", "", "", "")
    tells(storage.overlay(PLACE, fine), OK)
    tells(storage.overlay(PLACE, replace(fine, overlay=os.strerror(ENODEV))), LACKING, fix="modprobe -a overlay")
    finding = storage.overlay(replace(PLACE, file_system="nfs4"), replace(fine, overlay="Invalid argument"))
    tells(finding, LACKING, found="nfs4")
    assert "copy" in finding.cost
    assert "KIST_ROOT" in finding.advice


@pytest.mark.parametrize(
    ("person", "attributes", "trusted", "state"),
    [
        (ANNA, "", None, OK),
        (ANNA, os.strerror(EOPNOTSUPP), None, LACKING),
        (ROOT, "", "", OK),
        (ROOT, "", os.strerror(EOPNOTSUPP), LACKING),
    ],
)
def test_attributes_of_files(person: Person, attributes: str, trusted: str | None, state: str) -> None:
    tells(storage.attributes(person, PLACE, Storage("", attributes, trusted, "")), state)


@pytest.mark.parametrize(
    ("data", "run", "state"),
    [
        (50 << 30, 1 << 30, OK),
        (900 << 20, 1 << 30, LACKING),
        (50 << 30, 1 << 20, LACKING),
        (0, 1 << 30, BROKEN),
        (50 << 30, 0, BROKEN),
    ],
)
def test_room_on_the_disk(data: int, run: int, state: str) -> None:
    finding = storage.space(replace(PLACE, free=data), replace(PLACE, path="/run", existing="/run", free=run))
    tells(finding, state, fix="" if state == OK else "kist system prune")
    assert finding.state == OK or not finding.as_root


@pytest.mark.parametrize(
    ("free", "all_", "state"), [(10**6, 10**7, OK), (100, 10**7, LACKING), (0, 10**7, BROKEN), (0, 0, OK)]
)
def test_room_for_files(free: int, all_: int, state: str) -> None:
    tells(storage.inodes(replace(PLACE, free_inodes=free, inodes=all_), replace(PLACE, inodes=0)), state)


def test_a_file_system_that_does_not_count_has_room() -> None:
    uncounted = replace(PLACE, free=0, size=0)
    tells(storage.space(uncounted, uncounted), OK)
    tells(storage.space(uncounted, replace(PLACE, free=0)), BROKEN)


def test_a_data_root_without_programs_is_mounted_anew() -> None:
    tells(storage.executables(PLACE), OK)
    found = replace(PLACE, noexec=True, mount_point="/my disk")
    tells(storage.executables(found), LACKING, cost="volumes", fix="mount -o remount,exec '/my disk'")


def test_blocks_that_cannot_be_shared_are_told() -> None:
    tells(storage.reflink(PLACE, Storage("", "", "", "")), OK)
    tells(storage.reflink(PLACE, Storage("", "", "", "Operation not supported")), LACKING, found="ext4")


@pytest.mark.parametrize(
    ("person", "found", "state", "fix"),
    [
        (ROOT, Disks("", "/sbin/mkfs.ext4"), OK, ""),
        (ROOT, Disks("", ""), LACKING, "apt-get install e2fsprogs"),
        (ROOT, Disks("No such file or directory", "/sbin/mkfs.ext4"), LACKING, "modprobe -a loop"),
        (ANNA, Disks("Permission denied", ""), OK, ""),
    ],
)
def test_a_containers_own_disk(person: Person, found: Disks, state: str, fix: str) -> None:
    tells(storage.disks(person, DEBIAN, found), state, fix=fix)


# the machine


@pytest.mark.parametrize(
    ("release", "state"),
    [("6.1.0-18-amd64", OK), ("5.12.0", OK), ("5.11.22-generic", BROKEN), ("4.18.0-553.el8", BROKEN), ("10.0", OK)],
)
def test_the_kernel(release: str, state: str) -> None:
    tells(machine.kernel(replace(MACHINE, kernel=release)), state, found=release)


def test_security_modules_are_told_and_no_lack() -> None:
    tells(machine.modules(MACHINE), OK, found="neither")
    tells(machine.modules(replace(MACHINE, confining=frozenset({"apparmor"}))), OK, found="AppArmor")


def test_without_seccomp_no_container_starts() -> None:
    tells(machine.seccomp(MACHINE), OK)
    tells(machine.seccomp(replace(MACHINE, seccomp="Invalid argument")), BROKEN)


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [("Permission denied", "chmod a+rw /dev/fuse"), ("No such file or directory", "modprobe -a fuse")],
)
def test_a_device_is_opened_to_all_or_its_module_loaded(refusal: str, fix: str) -> None:
    tells(machine.fuse(MACHINE), OK)
    tells(machine.fuse(replace(MACHINE, fuse=refusal)), LACKING, fix=fix)


ALL = frozenset({"memory", "cpu", "cpuset", "pids"})


@pytest.mark.parametrize(
    ("person", "controls", "state", "cost", "fix"),
    [
        (ROOT, Controls("hybrid", ALL | {"blkio"}, 1), OK, "", ""),
        (ANNA, Controls("v2", ALL | {"io"}, 2), OK, "", ""),
        (ANNA, Controls("v2", frozenset({"memory", "pids"}), 2), LACKING, "CPU time", "Delegate=cpu cpuset io"),
        (
            ANNA,
            Controls("none", frozenset(), 2),
            LACKING,
            "only -m is kept",
            "systemd-run --user --scope -p Delegate=yes",
        ),
        (ANNA, Controls("none", frozenset(), 1), LACKING, "only -m is kept", "systemd.unified_cgroup_hierarchy=1"),
        (ROOT, Controls("none", frozenset(), 0), LACKING, "only -m is kept", "systemd.unified_cgroup_hierarchy=1"),
        (ROOT, Controls("v2", frozenset({"memory"}), 2), LACKING, "pids", ""),
    ],
)
def test_which_limits_there_are(person: Person, controls: Controls, state: str, cost: str, fix: str) -> None:
    tells(machine.cgroups(person, MACHINE, controls), state, cost=cost, fix=fix)


def test_without_systemd_no_command_of_it_is_named() -> None:
    finding = machine.cgroups(ANNA, replace(MACHINE, systemd=False), Controls("none", frozenset(), 1))
    assert "systemd" not in fixes(finding)
    assert "version 2" in finding.advice


DAY = 86400.0


@pytest.mark.parametrize(
    ("now", "kept", "state", "found"),
    [
        (100 * DAY, True, OK, "kept synchronised"),
        (100 * DAY, False, OK, "nobody"),
        (99.5 * DAY, None, OK, "it is"),
        (0.0, False, LACKING, "1970-04-11"),
    ],
)
def test_a_clock_that_is_behind_the_files_is_wrong(now: float, kept: bool | None, state: str, found: str) -> None:
    finding = machine.clock(MACHINE, Clock(now, 100 * DAY, kept))
    tells(finding, state, found=found, fix="" if state == OK else "apt-get install systemd-timesyncd")


PLAIN = "'--prefix=/home/anna/.pyenv/versions/3.11.7' '--enable-shared'"
DEBIANS = "'--enable-shared' '--prefix=/usr' '--without-ensurepip'"


@pytest.mark.parametrize(
    ("python", "slow"),
    [
        (Interpreter("3.11.7", "/p", "/home/anna/.pyenv/versions/3.11.7", PLAIN, "-O3"), True),
        (Interpreter("3.11.7", "/p", "/usr/local", f"{PLAIN} '--enable-optimizations' '--with-lto'", "-O3"), False),
        (Interpreter("3.11.7", "/p", "/opt/python", PLAIN, "-O3 -fprofile-use -fprofile-correction"), False),
        (Interpreter("3.11.2", "/usr/bin/python3.11", "/usr", DEBIANS, "-O2"), False),  # and yet it is optimised
        (Interpreter("3.14.0", "/p", "/opt/python"), False),  # it does not know
    ],
)
def test_a_python_that_was_built_without_optimisations_is_told_and_no_fault(python: Interpreter, slow: bool) -> None:
    finding = machine.python(python)
    tells(finding, OK, found=f"{python.version} ({python.path})")
    assert ("without optimisations" in finding.found, bool(finding.advice)) == (slow, slow)


RUNS = {"running": 1, "containers": 2, "ids": 1}


@pytest.mark.parametrize(
    ("answer", "ids_", "state", "found"),
    [
        (EngineAnswer("/s"), 1, OK, "none runs"),
        (EngineAnswer("/s", info=RUNS), 1, OK, "1 containers of 2"),
        (EngineAnswer("/s", info=RUNS), 65537, LACKING, "has 1 id where it could have 65537"),
        (EngineAnswer("/s", info=RUNS | {"ids": 0}), 0, OK, "it runs"),
        (EngineAnswer("/s", refusal="nothing in 5 s"), 1, BROKEN, "nothing in 5 s"),
        (EngineAnswer("", refusal="cannot connect to 'tcp://a'", hint="unset it"), 1, BROKEN, "connect to 'tcp://a'"),
    ],
)
def test_the_engine(answer: EngineAnswer, ids_: int, state: str, found: str) -> None:
    tells(machine.engine(answer, ids_), state, found=found)


def test_settings_that_cannot_be_read_keep_every_engine_from_starting() -> None:
    tells(machine.settings(Settings("/etc/kist/engine.toml")), OK, found="/etc/kist/engine.toml")
    tells(machine.settings(Settings("/x", there=False)), OK, found="there are none")
    tells(
        machine.settings(Settings("/x", True, "/x: there is no setting 'y'", "remove it")), BROKEN, found="setting 'y'"
    )


def test_no_engine_starts_in_a_chroot() -> None:
    tells(machine.chroot(ROOT, MACHINE), OK)
    tells(machine.chroot(ROOT, replace(MACHINE, chroot=True)), BROKEN)
    tells(machine.chroot(ANNA, MACHINE), OK, found="userns")


# networks

LINKS = Links("", "", (), {"pasta": "/usr/bin/pasta", "slirp4netns": ""}, False, "", 80, (0, 2**31 - 1))


def test_bridges_and_rules_name_their_modules() -> None:
    tells(networks.bridge(LINKS), OK)
    tells(networks.nftables(LINKS), OK)
    tells(networks.bridge(replace(LINKS, bridge="Operation not supported")), LACKING, fix="modprobe -a bridge veth")
    tells(networks.nftables(replace(LINKS, rules="Protocol not supported")), LACKING, fix="nft_masq")


def test_a_firewall_that_drops_what_is_forwarded_is_told_how_to_let_bridges_through() -> None:
    tells(networks.forwarding(ROOT, LINKS), OK)
    dropped = replace(LINKS, dropping=("ip filter FORWARD", "inet site forward"))
    tells(networks.forwarding(ANNA, dropped), OK)
    tells(
        networks.forwarding(ROOT, dropped),
        LACKING,
        found="ip filter FORWARD and inet site forward",
        fix="iptables -I FORWARD -i kist+ -j ACCEPT",
    )
    assert "nft insert rule inet site forward iifname 'kist*' accept" in networks.forwarding(ROOT, dropped).fix


@pytest.mark.parametrize(
    ("name", "person", "there", "old", "state", "fix"),
    [
        ("pasta", ROOT, (), False, OK, ""),
        ("pasta", ANNA, ("pasta",), False, OK, ""),
        ("pasta", ANNA, ("pasta",), True, LACKING, "apt-get install slirp4netns"),
        ("pasta", ANNA, ("pasta", "slirp4netns"), True, OK, ""),
        ("pasta", ANNA, ("slirp4netns",), False, LACKING, "apt-get install passt"),
        ("pasta", ANNA, (), False, LACKING, "apt-get install passt"),
        ("slirp4netns", ANNA, ("pasta",), False, OK, ""),
        ("slirp4netns", ANNA, ("pasta",), True, LACKING, "apt-get install slirp4netns"),
        ("slirp4netns", ANNA, (), False, LACKING, "apt-get install slirp4netns"),
    ],
)
def test_one_program_that_leads_out_is_enough(
    name: str, person: Person, there: tuple[str, ...], old: bool, state: str, fix: str
) -> None:
    programs = {each: f"/usr/bin/{each}" if each in there else "" for each in ("pasta", "slirp4netns")}
    tells(networks.outward(name, person, DEBIAN, replace(LINKS, programs=programs, old_pasta=old)), state, fix=fix)


@pytest.mark.parametrize(
    ("person", "first", "state"), [(ANNA, 80, OK), (ANNA, 0, OK), (ANNA, 1024, LACKING), (ROOT, 1024, OK)]
)
def test_low_ports(person: Person, first: int, state: str) -> None:
    fix = "" if state == OK else "net.ipv4.ip_unprivileged_port_start = 80"
    tells(networks.low_ports(person, replace(LINKS, first_port=first)), state, fix=fix)


@pytest.mark.parametrize(
    ("person", "range_", "state"),
    [(ANNA, (0, 5000), OK), (ANNA, (1, 0), LACKING), (ANNA, (1002, 5000), LACKING), (ROOT, (1, 0), OK)],
)
def test_ping(person: Person, range_: tuple[int, int], state: str) -> None:
    fix = "" if state == OK else "net.ipv4.ping_group_range = 0 2147483647"
    tells(networks.ping(person, replace(LINKS, pingers=range_)), state, fix=fix)


def test_tun() -> None:
    tells(networks.tun(ANNA, LINKS), OK)
    tells(networks.tun(ANNA, replace(LINKS, tun="No such file or directory")), LACKING, fix="modprobe -a tun")


@pytest.mark.parametrize(
    ("answers", "state", "found", "cost"),
    [
        ({"10.0.0.1": ""}, OK, "10.0.0.1 answers", ""),
        ({"10.0.0.1": "", "10.0.0.2": ""}, OK, "10.0.0.1, 10.0.0.2 answer about", ""),
        ({"10.0.0.1": "no answer in 2 s", "10.0.0.2": ""}, LACKING, "10.0.0.1: no answer", "takes seconds"),
        ({"10.0.0.1": "it refused"}, LACKING, "it refused", "not found"),
        ({}, LACKING, "names no server", "not found"),
    ],
)
def test_names(answers: dict[str, str], state: str, found: str, cost: str) -> None:
    tells(networks.dns(Names("deb.debian.org", answers)), state, found=found, cost=cost)


def test_mirrors() -> None:
    tells(networks.mirrors(Mirrors("by apt", {"http://a": ""})), OK, found="http://a")
    tells(networks.mirrors(Mirrors("by apt", {"http://a": "refused", "http://b": ""})), LACKING, found="refused")
