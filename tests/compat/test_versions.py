"""A running engine's main answers at each version of the API: which fields they have, by the API's own history."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import IMAGE, Server, make_tar

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

VERSIONS = range(24, 57)

# An answer, a field of it, and the first and the last version that have it (of 1.NN; 0 and 99 for all on that side).
FIELDS = [
    ("inspect", "HostConfig.NanoCpus", 25, 99),
    ("inspect", "HostConfig.KernelMemory", 0, 41),
    ("inspect", "HostConfig.KernelMemoryTCP", 40, 41),
    ("inspect", "HostConfig.MaskedPaths", 38, 99),
    ("inspect", "HostConfig.DeviceRequests", 40, 99),
    ("inspect", "HostConfig.CgroupnsMode", 41, 99),
    ("inspect", "HostConfig.Annotations", 43, 99),
    ("inspect", "NetworkSettings.Networks.bridge.DNSNames", 44, 99),
    ("inspect", "NetworkSettings.Networks.bridge.GwPriority", 48, 99),
    ("inspect", "NetworkSettings.IPAddress", 0, 51),
    ("inspect", "NetworkSettings.Bridge", 0, 51),
    ("inspect", "NetworkSettings.SecondaryIPAddresses", 0, 51),
    ("inspect", "NetworkSettings.Ports", 0, 99),
    ("inspect", "Config.OnBuild", 0, 51),
    ("inspect", "Config.MacAddress", 0, 51),
    ("list", "0.HostConfig.Annotations", 46, 99),
    ("list", "0.NetworkSettings.Networks.bridge.GwPriority", 48, 99),
    ("list", "0.Health", 52, 99),
    ("stats", "os_type", 52, 99),
    ("stats", "cpu_stats.online_cpus", 27, 99),
    ("image", "VirtualSize", 0, 43),
    ("image", "Container", 0, 44),
    ("image", "ContainerConfig.Hostname", 0, 44),
    ("image", "Config.Hostname", 0, 49),
    ("image", "Config.Entrypoint", 0, 51),
    ("image", "Config.Cmd", 0, 99),
    ("image", "DockerVersion", 0, 51),
    ("image", "Author", 0, 51),
    ("image", "Metadata", 31, 99),
    ("images", "0.VirtualSize", 0, 43),
    ("network", "EnableIPv4", 48, 99),
    ("network", "Containers", 0, 99),
    ("networks", "0.Containers", 0, 51),
    ("networks", "0.Ingress", 29, 99),
    ("networks", "0.Status", 99, 0),
    ("volume", "CreatedAt", 31, 99),
    ("volumes", "Volumes.0.Options", 25, 99),
    ("version", "MinAPIVersion", 25, 99),
    ("version", "Components", 35, 99),
    ("info", "Plugins.Log", 30, 99),
    ("info", "Warnings", 39, 99),
    ("info", "CgroupVersion", 41, 99),
    ("info", "KernelMemory", 0, 41),
    ("info", "CDISpecDirs", 44, 99),
    ("info", "FirewallBackend", 49, 99),
    ("info", "RuncCommit.Expected", 0, 48),
    ("info", "RegistryConfig.AllowNondistributableArtifactsCIDRs", 0, 48),
    ("info", "BridgeNfIptables", 0, 49),
    ("df", "Images.0.VirtualSize", 0, 43),
    ("df", "BuilderSize", 31, 41),
    ("df", "LayersSize", 0, 99),
    ("df", "ImageUsage", 52, 99),
    ("verbose df", "LayersSize", 0, 51),
    ("verbose df", "ImageUsage.Items", 52, 99),
    ("event", "status", 0, 51),
    ("event", "from", 0, 51),
    ("event", "Action", 0, 99),
]


@pytest.fixture(scope="module")
def answers(server: Server) -> Iterator[dict[int, dict[str, Any]]]:
    """The answers at each version, of a container that runs on the default network."""
    mac = "02:42:ac:00:00:77"
    host = {"NetworkMode": "bridge", "Annotations": {"k": "v"}}
    networks = {"EndpointsConfig": {"bridge": {"MacAddress": mac}}}
    box = server.run("sleep", "1000", HostConfig=host, NetworkingConfig=networks)
    server.good("POST", "/volumes/create", {"Name": "versions"})
    paths = {
        "inspect": f"/containers/{box}/json",
        "list": f"/containers/json?filters={json.dumps({'id': [box]})}",
        "stats": f"/containers/{box}/stats?stream=0&one-shot=1",
        "image": f"/images/{IMAGE}/json",
        "images": "/images/json",
        "network": "/networks/bridge",
        "networks": "/networks",
        "volume": "/volumes/versions",
        "volumes": "/volumes",
        "version": "/version",
        "info": "/info",
        "df": "/system/df",
        "verbose df": "/system/df?verbose=1",
        "event": f"/events?since=0.000000001&until=NOW&filters={json.dumps({'container': [box], 'event': ['start']})}",
    }
    try:
        yield {minor: {name: _ask(server, minor, name, path) for name, path in paths.items()} for minor in VERSIONS}
    finally:
        server.remove(box)
        server.good("DELETE", "/volumes/versions")


def _ask(server: Server, minor: int, name: str, path: str) -> Any:
    # Before 1.41 there is no one-shot: a second has to pass.
    if name == "stats" and minor not in {26, 41, 51, 52}:
        return None
    answer = server.ask("GET", f"/v1.{minor}{path}".replace(" ", "%20").replace("NOW", f"{time.time():.6f}"))
    assert answer.status == 200, (minor, name, answer.body)
    return answer.lines[0] if name == "event" else answer.value


def _find(entries: list[dict[str, Any]], name: str, value: object) -> dict[str, Any]:
    [found] = [entry for entry in entries if entry[name] == value]
    return found


def _has(value: Any, path: str) -> bool:
    for name in path.split("."):
        if isinstance(value, list):
            value = value[int(name)]
        elif name in value:
            value = value[name]
        else:
            return False
    return True


def test_fields_are_there_at_the_versions_that_have_them(answers: dict[int, dict[str, Any]]):
    """One test for all of them: the answers are asked for once, and not by each process that runs tests."""
    wrong = {}
    for name, path, first, last in FIELDS:
        asked = [minor for minor in VERSIONS if answers[minor][name] is not None]
        found = [minor for minor in asked if _has(answers[minor][name], path)]
        if found != [minor for minor in asked if first <= minor <= last]:
            wrong[name, path] = found
    assert not wrong


def test_values_that_meant_something_else(answers: dict[int, dict[str, Any]]):
    box = answers[56]["inspect"]
    address = box["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert answers[51]["inspect"]["NetworkSettings"]["IPAddress"] == address
    assert answers[51]["inspect"]["Config"]["MacAddress"] == "02:42:ac:00:00:77"
    used = [_find(answers[minor]["images"], "RepoTags", [IMAGE])["Containers"] for minor in (50, 51)]
    assert used[0] == -1
    assert used[1] >= 1
    assert answers[24]["info"]["SecurityOptions"][0] == "seccomp"
    assert answers[25]["info"]["SecurityOptions"][0].startswith("name=seccomp")
    assert box["Id"] in _find(answers[27]["networks"], "Name", "bridge")["Containers"]
    assert _find(answers[28]["networks"], "Name", "bridge")["Containers"] == {}
    assert answers[51]["event"] == answers[52]["event"] | {
        "status": "start", "id": box["Id"], "from": IMAGE,
    }  # fmt: skip


def test_the_newest_version_is_the_one_without_a_prefix(server: Server):
    for path in (f"/images/{IMAGE}/json", "/version", "/networks/none"):
        assert server.good("GET", path) == server.good("GET", f"/v1.56{path}")


def test_a_client_of_before_1_24_reads_its_error_as_text(server: Server):
    answer = server.ask("GET", "/v1.23/containers/json")
    assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert answer.body.decode() == (
        "client version 1.23 is too old. Minimum supported API version is 1.24, "
        "please upgrade your client to a newer version\n"
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/v1.24/containers/prune", 400, "POST /containers/prune requires minimum API version 1.25"),
        ("POST", "/v1.30/build/prune", 400, "POST /build/prune requires minimum API version 1.31"),
        (
            "GET",
            "/v1.54/images/x/y/attestations",
            400,
            "{name:.*}/attestations requires minimum API version 1.55",
        ),
        ("GET", "/v1.53/images/json?identity=1", 200, ""),
        ("GET", "/v1.54/images/json?identity=1", 400, "conflicting options: identity requires manifests=1"),
        ("GET", f"/v1.48/images/{IMAGE}/json?manifests=1&platform=linux/arm64", 200, ""),
        ("GET", f"/v1.49/images/{IMAGE}/json?manifests=1&platform=linux/arm64", 400, "manifests and platform"),
        ("GET", f"/v1.47/images/{IMAGE}/history?platform=linux/s390x", 200, ""),
        ("GET", f"/v1.48/images/{IMAGE}/history?platform=linux/s390x", 404, ""),
        ("GET", f"/v1.51/images/{IMAGE}/get?platform=linux&platform=linux", 400, "use API version 1.52 or later"),
        ("GET", "/v1.41/system/df?type=nothing", 200, ""),
        ("GET", "/v1.42/system/df?type=nothing", 400, "unknown object type: nothing"),
        ("POST", "/v1.30/containers/nosuch/wait?condition=never", 400, "invalid condition"),
        ("POST", "/v1.29/containers/nosuch/wait?condition=never", 404, "No such container"),
    ],
)
def test_what_a_version_does_not_know_is_not_read(server: Server, method: str, path: str, status: int, words: str):
    answer = server.ask(method, path)
    assert answer.status == status, answer.body
    assert words in answer.body.decode(errors="replace")


def test_images_are_filtered_the_old_way_before_1_41(server: Server):
    assert server.good("GET", "/v1.40/images/json?filter=nosuch") == []
    assert [image["RepoTags"] for image in server.good("GET", "/v1.40/images/json?filter=busybox")] == [[IMAGE]]
    assert server.good("GET", "/v1.41/images/json?filter=nosuch")


def test_what_images_share_is_measured_on_request(server: Server):
    assert {image["SharedSize"] for image in server.good("GET", "/v1.56/images/json")} == {-1}
    assert min(image["SharedSize"] for image in server.good("GET", "/v1.42/images/json?shared-size=1")) >= 0
    assert {image["SharedSize"] for image in server.good("GET", "/v1.41/images/json?shared-size=1")} == {-1}


@pytest.mark.parametrize(
    ("minor", "accept", "kind", "mark"),
    [
        (51, "", "application/json", b""),
        (52, "", "application/jsonl", b""),
        (52, "*/*", "application/jsonl", b""),
        (52, "application/x-ndjson", "application/x-ndjson", b""),
        (56, "application/json-seq, application/jsonl;q=0.5", "application/json-seq", b"\x1e"),
    ],
)
def test_events_come_in_the_form_that_was_asked_for(server: Server, minor: int, accept: str, kind: str, mark: bytes):
    headers = {"Accept": accept} if accept else None
    path = f"/v1.{minor}/events?since=0.000000001&until={time.time():.6f}"
    answer = server.ask("GET", path, headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    lines = answer.body.splitlines()
    assert lines
    assert all(line.startswith(mark) and json.loads(line.removeprefix(mark))["timeNano"] for line in lines)


def test_an_old_wait_answers_when_it_has_come_true(server: Server):
    box = server.run("false")
    try:
        old = server.ask("POST", f"/v1.29/containers/{box}/wait")
        assert (old.value, "content-length" in old.headers) == ({"StatusCode": 1}, True)
        new = server.ask("POST", f"/v1.34/containers/{box}/wait")
        assert (new.value, "content-length" in new.headers) == ({"StatusCode": 1, "Error": None}, False)
    finally:
        server.remove(box)


def test_a_network_tells_how_full_it_is_since_1_52(server: Server):
    config = {"Config": [{"Subnet": "10.239.77.0/24", "IPRange": "10.239.77.64/28", "Gateway": "10.239.77.1"}]}
    lab = server.good("POST", "/networks/create", {"Name": "full", "IPAM": config})["Id"]
    box = server.run("sleep", "1000", HostConfig={"NetworkMode": "full"})
    try:
        assert "Status" not in server.good("GET", f"/v1.51/networks/{lab}")
        # The network's own, the broadcast's, the gateway's and the container's; the range has 16.
        told = {"10.239.77.0/24": {"IPsInUse": 4, "DynamicIPsAvailable": 15}}
        assert server.good("GET", f"/v1.52/networks/{lab}")["Status"] == {"IPAM": {"Subnets": told}}
    finally:
        server.remove(box)
        server.good("DELETE", f"/networks/{lab}")


def test_an_image_that_is_made_is_an_event_since_1_46_and_a_build_tells_its_id_since_1_30(server: Server):
    context = make_tar({"Dockerfile": f"FROM {IMAGE}\nLABEL made=here\n".encode()})
    begun = f"{time.time():.6f}"
    told = {}
    try:
        for version in ("v1.29", "v1.30"):
            lines = server.ask("POST", f"/{version}/build?t=made:1", raw=context).lines
            told[version] = [line["aux"]["ID"] for line in lines if "aux" in line]
        image = server.good("GET", "/images/made:1/json")["Id"]
        assert told == {"v1.29": [], "v1.30": [image]}
        asked = f"events?since={begun}&until={time.time():.6f}&filters=" + json.dumps(
            {"type": ["image"], "event": ["create"]}, separators=(",", ":")
        )
        assert server.ask("GET", f"/v1.45/{asked}").lines == []
        assert {event["Actor"]["ID"] for event in server.ask("GET", f"/v1.46/{asked}").lines} == {image}
    finally:
        server.good("DELETE", "/images/made:1")


@pytest.mark.parametrize(("body", "status"), [(b"", 204), (b"{}", 204), (b'{"Memory": 1}', 400)])
def test_a_start_takes_no_settings(server: Server, body: bytes, status: int):
    made = server.create("true")
    try:
        answer = server.ask("POST", f"/v1.24/containers/{made}/start", raw=body)
        assert answer.status == status, answer.body
        if status == 204:
            server.wait(made)
    finally:
        server.remove(made)


def test_named_volumes_are_pruned_by_old_clients_alone(server: Server):
    only = json.dumps({"label": ["versions"]}, separators=(",", ":"))
    server.good("POST", "/volumes/create", {"Name": "kept", "Labels": {"versions": ""}})
    assert server.good("POST", f"/v1.42/volumes/prune?filters={only}")["VolumesDeleted"] is None
    assert server.good("POST", f"/v1.41/volumes/prune?filters={only}")["VolumesDeleted"] == ["kept"]


def _tty(server: Server, version: str, **body: Any) -> bytes:
    """What a container with a terminal prints whose client never tells a size."""
    host = {"NetworkMode": "none", "ConsoleSize": [33, 77]}
    made = server.good(
        "POST", f"/{version}/containers/create", {"Image": IMAGE, "Tty": True, "HostConfig": host, **body}
    )["Id"]
    try:
        server.good("POST", f"/containers/{made}/start")
        server.wait(made)
        return server.ask("GET", f"/containers/{made}/logs?stdout=1").body.strip()
    finally:
        server.remove(made)


def test_a_terminal_has_its_size_from_the_beginning_since_1_42(server: Server):
    assert _tty(server, "v1.42", Cmd=["stty", "size"]) == b"33 77"
    assert b"33 77" not in _tty(server, "v1.41", Cmd=["stty", "size"])  # busybox complains that there is none


def test_an_exec_has_the_size_that_it_was_made_with_since_1_42(server: Server):
    box = server.run("sleep", "1000")
    try:
        for version, known in (("v1.42", True), ("v1.41", False)):
            asked = {"Cmd": ["stty", "size"], "Tty": True, "AttachStdout": True, "ConsoleSize": [20, 30]}
            made = server.good("POST", f"/{version}/containers/{box}/exec", asked)["Id"]
            printed = server.ask("POST", f"/{version}/exec/{made}/start", {"Tty": True}).body
            assert (b"20 30" in printed) == known
    finally:
        server.remove(box)


def test_an_exec_that_is_over_at_once_needs_no_size(server: Server):
    """Docker's client sends the size of its terminal twice; by the second time the command may have ended."""
    box = server.run("sleep", "1000")
    try:
        for size in ([20, 30], [40, 50]):
            for _ in range(10):
                asked = {"Cmd": ["true"], "Tty": True, "AttachStdout": True, "ConsoleSize": [20, 30]}
                made = server.good("POST", f"/containers/{box}/exec", asked)["Id"]
                answer = server.ask("POST", f"/exec/{made}/start", {"Tty": True, "ConsoleSize": size})
                assert (answer.status, answer.body) == (200, b"")
                assert server.good("GET", f"/exec/{made}/json")["ExitCode"] == 0
    finally:
        server.remove(box)


@pytest.mark.parametrize(
    ("version", "body", "status", "words"),
    [
        ("v1.52", {"MacAddress": "02:00:00:00:00:01"}, 400, "container-wide MAC address no longer supported"),
        ("v1.44", {"HostConfig": {"Mounts": [{"Type": "image", "Source": "x", "Target": "/x"}]}}, 400, "v1.48"),
        ("v1.43", {"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}, 400, "multiple network endpoints"),
        ("v1.48", {"HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.log_martians": "1"}}}, 400, "endpoint.sysctls"),
    ],
)
def test_what_a_version_refuses(server: Server, version: str, body: dict[str, Any], status: int, words: str):
    answer = server.ask("POST", f"/{version}/containers/create", {"Image": IMAGE, **body})
    assert (answer.status, words in answer.value["message"]) == (status, True), answer.value


def test_what_old_clients_ask_for_is_moved_to_where_it_is_now(server: Server):
    body = {
        "Image": IMAGE,
        "Cmd": ["cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"],
        "MacAddress": "02:42:ac:00:00:78",
        "HostConfig": {"Sysctls": {"net.ipv4.conf.eth0.log_martians": "1"}, "AutoRemove": True},
    }
    made = server.good("POST", "/v1.24/containers/create", body)
    try:
        assert any("Migrated sysctl" in warning for warning in made["Warnings"])
        box = made["Id"]
        server.good("POST", f"/v1.24/containers/{box}/start")
        server.wait(box)
        shown = server.good("GET", f"/v1.56/containers/{box}/json")  # still there: its client removes it
        assert shown["NetworkSettings"]["Networks"]["bridge"]["MacAddress"] == "02:42:ac:00:00:78"
        assert shown["HostConfig"]["IpcMode"] == "shareable"
        assert server.ask("GET", f"/containers/{box}/logs?stdout=1").body[8:] == b"1\n"
    finally:
        server.remove(made["Id"])


def test_an_endpoint_has_its_own_address_when_it_is_connected_since_1_54(server: Server):
    lab = server.good("POST", "/networks/create", {"Name": "versions"})["Id"]
    box = server.run("sleep", "1000", HostConfig={"NetworkMode": "bridge"})
    asked = {"Container": box, "EndpointConfig": {"MacAddress": "02:42:ac:00:00:79"}}
    try:
        found = []
        for version in ("v1.53", "v1.54"):
            server.good("POST", f"/{version}/networks/{lab}/connect", asked)
            shown = server.good("GET", f"/containers/{box}/json")["NetworkSettings"]["Networks"]["versions"]
            found.append(shown["MacAddress"])
            server.good("POST", f"/networks/{lab}/disconnect", {"Container": box})
        assert [mac == "02:42:ac:00:00:79" for mac in found] == [False, True]
    finally:
        server.remove(box)
        server.good("DELETE", f"/networks/{lab}")
