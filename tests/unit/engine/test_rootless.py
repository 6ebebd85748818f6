"""Which ids an ordinary user's engine has, and how containers are fitted to them: pure."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine import bundle, rootless
from kist.engine.means import Means
from kist.errors import Unsupported
from kist.kernel.userns import Ids
from kist.network import outward
from kist.spec.container import Caller, Container, ContainerOptions, Namespaces
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.networking import Endpoint, Networking, PortBinding
from kist.spec.owner import FIRST_SCOPE, Owner
from kist.spec.runtime import IdMap, RuntimeSpec

BOTH = {"newuidmap": "/usr/bin/newuidmap", "newgidmap": "/usr/bin/newgidmap"}
MANY = Ids(((0, 1), (1, 65536)), ((0, 1), (1, 65536)))
ALONE = Ids(((0, 1),), ((0, 1),))


# the ladder


@pytest.mark.parametrize(
    ("subuid", "subgid", "found", "lacks"),
    [
        ("me:100000:65536\n", "me:200000:65536\n", BOTH, ""),
        ("1000:100000:65536\n", "me:200000:10\nme:300000:5\n", BOTH, ""),
        ("", "me:200000:65536\n", BOTH, "/etc/subuid gives me no ids"),
        ("me:100000:65536\n", "you:200000:65536\n", BOTH, "/etc/subgid gives me no ids"),
        ("me:100000:65536\n", "me:1:2\n", {"newuidmap": "/x", "newgidmap": None}, "newgidmap is not installed"),
        ("me:x:y\n# me:1:2\nme\nme:²:3\n", "me:1:2\n", BOTH, "/etc/subuid gives me no ids"),
    ],
)
def test_the_step_of_the_ladder(subuid: str, subgid: str, found: dict[str, str | None], lacks: str) -> None:
    standing = rootless.standing(1000, 1001, "me", subuid, subgid, found)
    assert standing.lacks == lacks
    assert bool(standing.uids) == bool(standing.gids) == (not lacks)


def test_the_user_is_root_and_the_ranges_follow() -> None:
    standing = rootless.standing(1000, 1001, "me", "me:100000:65536\n", "me:1:10\nme:50:5\n", BOTH)
    uids, gids = standing.maps()
    assert uids == ((0, 1000, 1), (1, 100000, 65536))
    assert gids == ((0, 1001, 1), (1, 1, 10), (11, 50, 5))


def test_a_user_without_a_name_is_found_by_number() -> None:
    assert rootless.standing(7, 7, "", "7:100:10\n", "7:100:10\n", BOTH).uids == ((100, 10),)
    assert not rootless.standing(7, 7, "", ":100:10\n", ":100:10\n", BOTH).uids


# containers


def spec(means: Means, *, caller: Caller | None = None, **options: object) -> RuntimeSpec:
    asked = means.fit_options(ContainerOptions(image="x", caller=caller, **options))  # type: ignore[arg-type]
    container = Container(
        "a" * 64, "name", Digest("sha256:" + "0" * 64), 0, asked, ContainerConfig(env=("A=b",)), ("true",)
    )
    root = (Mount("bind", "/root"),)
    return means.fit(bundle.runtime_spec(container, bundle.Surroundings(root, "", "", "")))


def test_the_machines_root_has_all() -> None:
    made = spec(Means())
    assert not made.linux.confined
    assert made.linux.cgroups_path
    assert made.process.within is None


def test_without_control_groups_there_is_none_and_no_mount_of_it() -> None:
    made = spec(Means(cgroups=False))
    assert not made.linux.cgroups_path
    assert "cgroup" not in {mount.type for mount in made.mounts}


@pytest.mark.parametrize(("ids", "options"), [(MANY, True), (ALONE, False)])
def test_terminals_are_of_their_group_where_there_is_one(ids: Ids, options: bool) -> None:
    (terminals,) = (mount for mount in spec(Means(False, False, ids)).mounts if mount.type == "devpts")
    assert ("gid=5" in terminals.options) == options


def test_who_may_ping_is_bounded_by_the_groups_that_there_are() -> None:
    assert spec(Means(False, False, MANY), network="none").linux.sysctl["net.ipv4.ping_group_range"] == "0 65536"
    assert spec(Means(False, False, ALONE), network="none").linux.sysctl["net.ipv4.ping_group_range"] == "0 0"


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ({"network": "none"}, {"/sys": "sysfs", "/proc": "proc", "/dev/mqueue": "mqueue"}),
        ({"network": "host"}, {"/sys": "bind", "/proc": "proc"}),
        ({"network": "none", "namespaces": Namespaces(pid="host")}, {"/proc": "bind", "/sys": "sysfs"}),
        ({"network": "none", "namespaces": Namespaces(ipc="host")}, {"/sys": "sysfs"}),
    ],
)
def test_what_shows_a_namespace_of_the_hosts_is_the_hosts(options: dict[str, object], types: dict[str, str]) -> None:
    found = {mount.target: mount.type for mount in spec(Means(False, False, MANY), **options).mounts}
    assert types.items() <= found.items()
    assert ("/dev/mqueue" in found) == ("namespaces" not in options or options["namespaces"].ipc != "host")  # type: ignore[attr-defined]


PLAIN = ContainerOptions(image="x")
NO_WAY = Means(False, False, MANY)
WAY = Means(False, False, MANY, look_for_way_out=lambda: outward.Helper("pasta", "/usr/bin/pasta"))
FIXED = Networking(endpoints=(Endpoint("bridge", ip="10.88.0.9"),))
PUBLISHED = ContainerOptions(image="x", networking=Networking(ports=(PortBinding(80),)))


@pytest.mark.parametrize(
    ("means", "options", "network", "told"),
    [
        (Means(), PLAIN, "bridge", ""),
        (WAY, PLAIN, "bridge", ""),
        (WAY, PUBLISHED, "bridge", ""),
        (NO_WAY, PLAIN, "host", "the host's network"),
        (NO_WAY, PUBLISHED, "bridge", "nothing outside"),
        (NO_WAY, ContainerOptions(image="x", networking=Networking(publish_all=True)), "bridge", "nothing outside"),
        (
            NO_WAY,
            ContainerOptions(image="x", networking=FIXED),
            "bridge",
            "nothing outside",
        ),
        (NO_WAY, ContainerOptions(image="x", network="lab"), "lab", "nothing outside"),
        (NO_WAY, ContainerOptions(image="x", network="none"), "none", ""),
        (Means(False, False, ALONE), ContainerOptions("x", network="none", group_add=("77",)), "none", "--group-add"),
        (NO_WAY, ContainerOptions("x", network="none", group_add=("77",)), "none", ""),
        (NO_WAY, ContainerOptions(image="x", network="host"), "host", ""),
    ],
)
def test_the_default_network_is_the_hosts_where_a_bridge_leads_nowhere(
    means: Means, options: ContainerOptions, network: str, told: str
) -> None:
    assert means.fit_options(options).network == network
    assert [told in warning for warning in means.warnings(options)] == ([True] if told else [])


def test_whoever_comes_by_a_socket_with_a_role_has_not_the_hosts_network_for_want_of_a_way_out() -> None:
    owner = Owner(FIRST_SCOPE, 0, labels=("team=ci",))
    assert NO_WAY.fit_options(PLAIN, owner).network == "bridge"
    assert ["nothing outside" in warning for warning in NO_WAY.warnings(PLAIN, owner)] == [True]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (ContainerOptions(image="x", namespaces=Namespaces(user="auto")), "--userns auto"),
    ],
)
def test_what_cannot_be_done_is_refused(options: ContainerOptions, word: str) -> None:
    Means().check(options)
    with pytest.raises(Unsupported, match=word):
        Means(False, False, MANY).check(options)


# the caller


def inside(maps: tuple[IdMap, ...], outside: int) -> list[int]:
    return [
        entry.inside + outside - entry.outside
        for entry in maps
        if entry.outside <= outside < entry.outside + entry.size
    ]


@given(st.integers(1, 200), st.integers(0, 100), st.integers(1, 200))
def test_the_caller_and_root_change_places_and_nobody_else(uid: int, size: int, gid: int) -> None:
    ids = Ids(((0, 1), (1, size)) if size else ((0, 1),), ((0, 1), (1, size)) if size else ((0, 1),))
    process = spec(Means(False, False, ids), caller=Caller(uid, gid, (gid, 5), "me", "/home/me")).process
    assert process.within is not None
    assert process.user.additional_gids == (gid,)
    for own, maps in ((uid, process.within.uids), (gid, process.within.gids)):
        assert inside(maps, 0) == [own]
        assert all(inside(maps, other) == [other] for other in range(1, size + 1) if other != own)
        if own <= size:
            assert inside(maps, own) == [0]
        assert sum(entry.size for entry in maps) == size + 1


def test_a_user_that_the_image_names_is_in_the_engines_namespace() -> None:
    assert spec(Means(False, False, MANY)).process.within is None


def test_apt_is_told_that_there_is_nobody_else() -> None:
    assert "APT_CONFIG=/dev/apt.conf" in spec(Means(False, False, ALONE)).process.env
    assert "apt.conf" in spec(Means(False, False, ALONE)).linux.dev_files
    assert not spec(Means(False, False, MANY)).linux.dev_files
    config = msgspec.structs.replace(spec(Means()).process, env=("APT_CONFIG=/mine",))
    assert Means(False, False, ALONE).fit_process(config).env == ("APT_CONFIG=/mine",)
