"""Bodies of requests at the version before a change, and at the version that made it."""

from typing import Any

import pytest

from kist.errors import InvalidInput
from kist.spec.docker.create import read_create
from kist.spec.docker.history.bodies import BODIES, SYSCTLS, container_create
from kist.spec.docker.resources import read_update, write_update


def _mount(kind: str, **options: Any) -> dict[str, Any]:
    return {"HostConfig": {"Mounts": [{"Type": kind, "Source": "/s", "Target": "/t", **options}]}}


def _ends(**ends: Any) -> dict[str, Any]:
    return {"NetworkingConfig": {"EndpointsConfig": ends}}


DROPPED = [
    (25, {"HostConfig": {"AutoRemove": True}}, {"HostConfig": {}}),
    (40, _mount("bind", BindOptions={"NonRecursive": True}), _mount("bind", BindOptions={})),
    (42, _mount("bind", BindOptions={"CreateMountpoint": True}), _mount("bind", BindOptions={})),
    (42, _mount("bind", TmpfsOptions={"SizeBytes": 1}), _mount("bind")),
    (42, _mount("tmpfs", VolumeOptions={"NoCopy": True}), _mount("tmpfs")),
    (42, {"HostConfig": {"ConsoleSize": [10, 20]}}, {"HostConfig": {}}),
    (43, {"HostConfig": {"Annotations": {"a": "b"}}}, {"HostConfig": {}}),
    (44, {"Healthcheck": {"StartInterval": 1, "Interval": 2}}, {"Healthcheck": {"Interval": 2}}),
    (44, _ends(lab={"MacAddress": "02:00:00:00:00:01"}), _ends(lab={"MacAddress": ""})),
    (48, _ends(lab={"GwPriority": 2, "MacAddress": ""}), _ends(lab={"MacAddress": ""})),
]
IPC = {"IpcMode": "private"}


@pytest.mark.parametrize(("minor", "asked", "before"), DROPPED)
def test_what_docker_ignores_at_a_version_is_taken_out(minor: int, asked: dict[str, Any], before: dict[str, Any]):
    asked, before = ({**each, "HostConfig": {**each.get("HostConfig", {}), **IPC}} for each in (asked, before))
    assert container_create((1, minor - 1), asked) == (before, ())
    assert container_create((1, minor), asked) == (asked, ())


REFUSED = [
    (40, 41, {"HostConfig": {"Capabilities": ["CAP_CHOWN"]}}, "use CapAdd and CapDrop"),
    (24, 44, _mount("bind", BindOptions={"ReadOnlyForceRecursive": True}), "ReadOnlyForceRecursive needs API v1.44"),
    (24, 44, _ends(a={}, b={}), "cannot be created with multiple network endpoints: a, b"),
    (24, 45, _mount("volume", VolumeOptions={"Subpath": "x"}), "VolumeOptions.Subpath needs API v1.45 or newer"),
    (24, 48, _mount("image"), 'Mount type "Image" needs API v1.48 or newer'),
    (52, 57, {"MacAddress": "02:00:00:00:00:01"}, "container-wide MAC address no longer supported"),
    (48, 57, {"HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.forwarding": "1"}}}, f"driver option '{SYSCTLS}'"),
]


@pytest.mark.parametrize(("first", "until", "asked", "words"), REFUSED)
def test_what_docker_refuses_at_a_version_is_refused_in_its_words(
    first: int, until: int, asked: dict[str, Any], words: str
):
    for minor in (first - 1, first, until - 1, until):
        if first <= minor < until:
            with pytest.raises(InvalidInput) as caught:
                container_create((1, minor), asked)
            assert words in caught.value.message
        elif 24 <= minor <= 56:
            container_create((1, minor), asked)


def test_shared_memory_was_sharable_before_1_40():
    assert container_create((1, 39), {})[0]["HostConfig"]["IpcMode"] == "shareable"
    assert container_create((1, 39), {"HostConfig": {"IpcMode": "none"}})[0]["HostConfig"]["IpcMode"] == "none"
    assert "IpcMode" not in container_create((1, 40), {})[0]["HostConfig"]


MAC = "02:00:00:00:00:01"
OLD = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."


@pytest.mark.parametrize(
    ("minor", "mode", "ends", "found", "warnings"),
    [
        (43, "", {}, {"bridge": {"MacAddress": MAC}}, ()),
        (43, "lab", {"id-of-lab": {"Aliases": ["x"]}}, {"id-of-lab": {"Aliases": ["x"], "MacAddress": MAC}}, ()),
        (44, "default", {"default": {"Aliases": ["x"]}}, {"bridge": {"Aliases": ["x"], "MacAddress": MAC}}, (OLD,)),
        (51, "lab", {"lab": {"MacAddress": MAC}, "b": {}}, {"lab": {"MacAddress": MAC}, "b": {}}, (OLD,)),
        (51, "host", {}, None, (OLD,)),
    ],
)
def test_the_address_of_the_whole_container_is_that_of_its_first_end(
    minor: int, mode: str, ends: dict[str, Any], found: dict[str, Any] | None, warnings: tuple[str, ...]
):
    asked = {"MacAddress": MAC, "HostConfig": {"NetworkMode": mode}, **_ends(**ends)}
    body, told = container_create((1, minor), asked)
    assert ("MacAddress" in body, told) == (False, warnings)
    assert body["NetworkingConfig"]["EndpointsConfig"] == ({} if found is None else found)


@pytest.mark.parametrize(
    ("minor", "mode", "ends", "words"),
    [
        (43, "host", {}, "conflicting options: mac-address and the network mode"),
        (43, "none", {}, "conflicting options: mac-address and the network mode"),
        (44, "lab", {"other": {}}, "HostConfig.NetworkMode must match the identity of a network"),
        (51, "lab", {"lab": {"MacAddress": "02:00:00:00:00:02"}}, "must match the endpoint-specific MAC address"),
    ],
)
def test_an_address_of_the_whole_container_that_fits_nowhere(minor: int, mode: str, ends: dict[str, Any], words: str):
    with pytest.raises(InvalidInput) as caught:
        container_create((1, minor), {"MacAddress": MAC, "HostConfig": {"NetworkMode": mode}, **_ends(**ends)})
    assert words in caught.value.message


def test_settings_of_a_device_were_an_option_of_the_container_before_1_48():
    settings = {"net.ipv4.conf.eth0.forwarding": "1", "net.ipv6.conf.eth0.mtu": "1400", "kernel.sem": "1"}
    asked = {"HostConfig": {"Sysctls": settings}, **_ends(bridge={"DriverOpts": {SYSCTLS: "net.a.b.IFNAME.c=1"}})}
    body, warnings = container_create((1, 47), asked)
    assert body["HostConfig"]["Sysctls"] == {"kernel.sem": "1"}
    assert body["NetworkingConfig"]["EndpointsConfig"]["bridge"]["DriverOpts"] == {
        SYSCTLS: "net.ipv4.conf.IFNAME.forwarding=1,net.ipv6.conf.IFNAME.mtu=1400,net.a.b.IFNAME.c=1"
    }
    assert 'sysctl "net.ipv4.conf.eth0.forwarding,net.ipv6.conf.eth0.mtu" to DriverOpts' in warnings[0]
    with pytest.raises(InvalidInput, match="unable to determine network endpoint for sysctl"):
        container_create((1, 47), {"HostConfig": {"Sysctls": {"net.ipv4.conf.eth1.forwarding": "1"}}})
    of_the_host = {"HostConfig": {"NetworkMode": "host", "Sysctls": settings}}
    assert container_create((1, 56), of_the_host) == (of_the_host, ())


def test_a_client_is_warned_of_what_is_not_heard_from_1_48_on():
    asked = _mount("volume", VolumeOptions={})
    asked["HostConfig"] |= {"VolumeDriver": "local", **IPC}
    assert container_create((1, 47), asked)[1] == ()
    assert container_create((1, 48), asked)[1][0].startswith("WARNING: the container-wide volume-driver configuration")
    named = _mount("volume", VolumeOptions={"DriverConfig": {"Name": "local"}})
    named["HostConfig"] |= {"VolumeDriver": "local"}
    assert container_create((1, 48), named)[1] == ()


def test_a_client_is_warned_of_empty_bindings_from_1_52_on():
    asked = {"HostConfig": {"PortBindings": {"80/tcp": [], "81/tcp": [{"HostPort": "1"}]}, **IPC}}
    assert container_create((1, 51), asked) == (asked, ())
    body, [warning] = container_create((1, 52), asked)
    assert body == asked
    assert warning.startswith("Following container port(s) have an empty list of port-bindings: 80/tcp.")


@pytest.mark.parametrize(
    ("operation", "minor", "asked", "before"),
    [
        ("ContainerUpdate", 40, {"PidsLimit": 3, "Memory": 1}, {"Memory": 1}),
        *(
            ("ContainerUpdate", 55, {name: []}, {})
            for name in (
                "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
                "BlkioWeightDevice",
            )
        ),
        ("ContainerExec", 42, {"ConsoleSize": [1, 2], "Tty": True}, {"Tty": True}),
        ("ExecStart", 42, {"ConsoleSize": [1, 2], "Tty": True}, {"Tty": True}),
        ("NetworkCreate", 48, {"Name": "n", "EnableIPv4": False}, {"Name": "n"}),
        ("NetworkConnect", 54, {"EndpointConfig": {"MacAddress": "m"}}, {"EndpointConfig": {}}),
    ],
)  # fmt: skip
def test_other_bodies(operation: str, minor: int, asked: dict[str, Any], before: dict[str, Any]):
    assert BODIES.at((1, minor - 1), operation, asked) == before
    assert BODIES.at((1, 56), operation, asked) is asked


@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": []},
        {"HostConfig": {"Mounts": {"a": 1}}},
        {"HostConfig": {"Mounts": [3]}},
        {"HostConfig": {"Mounts": [{"Type": "bind", "BindOptions": 7}]}},
        {"NetworkingConfig": 1},
        {"NetworkingConfig": {"EndpointsConfig": {"a": 1}}},
        {"MacAddress": 1},
        {"Healthcheck": "x"},
        {"HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.x": 1}}},
        {"HostConfig": {"PortBindings": 1}},
        {"HostConfig": {"ConsoleSize": [1]}},
    ],
)
@pytest.mark.parametrize("minor", [24, 39, 43, 47, 51, 56])
def test_a_body_that_cannot_be_right_is_refused_and_no_fault_at_any_version(minor: int, body: dict[str, Any]):
    if "ConsoleSize" in str(body) and minor < 42:
        body = {"HostConfig": []}  # it is not read
    with pytest.raises(InvalidInput):
        read_create(container_create((1, minor), {"Image": "x", **body})[0])


def test_an_empty_list_of_devices_takes_their_limits_away_from_1_55_on():
    body = {"BlkioDeviceReadBps": [], "BlkioWeightDevice": None, "Memory": 1}
    before = read_update(BODIES.at((1, 54), "ContainerUpdate", body))
    assert (before.changes.memory, before.emptied) == (1, frozenset())  # it was ignored then
    now = read_update(BODIES.at((1, 55), "ContainerUpdate", body))
    assert (now.changes.memory, now.emptied) == (1, {"read_bps"})
    assert read_update(write_update(now.changes, now.restart, now.emptied)) == now
