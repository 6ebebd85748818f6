"""What is answered is what the Engine API's definition shows, field by field where clients look."""

from typing import Any

import msgspec
import pytest

from kist.client.failure import from_fields
from kist.errors import Conflict, KistError, NotFound, ParseError, StepFailed
from kist.spec.container import Container, ContainerOptions, ContainerState, ExecOptions, Health, HealthResult
from kist.spec.digest import Digest
from kist.spec.docker.containers import describe_status, write_inspect, write_state, write_summaries
from kist.spec.docker.errors import write_error
from kist.spec.docker.execs import write_exec_state
from kist.spec.docker.images import write_history, write_removed
from kist.spec.docker.images import write_inspect as write_image
from kist.spec.docker.images import write_summary as write_image_summary
from kist.spec.docker.system import write_info, write_version
from kist.spec.image import ContainerConfig, History, ImageConfig, RootFS
from kist.spec.mount import Mount
from kist.spec.networking import Endpoint, NetworkAttachment, Networking
from kist.spec.resources import Resources
from kist.spec.summary import Image, Info, RemovedImage, Version

SECOND = 1_000_000_000
LAYER = Digest.of(b"layer")
IMAGE = Image(
    id=Digest.of(b"config"),
    manifest=Digest.of(b"manifest"),
    references=("docker.io/library/debian:12", "example.org/base:1"),
    created_at=1_700_000_000 * SECOND,
    size=1234,
    config=ImageConfig(
        "amd64",
        "linux",
        RootFS((LAYER,)),
        created="2023-11-14T22:13:20Z",
        config=ContainerConfig(env=("A=1",), cmd=("bash",), labels={"k": "v"}, exposed_ports={"80/tcp": {}}),
        history=(
            History("2023-11-14T22:13:20Z", "kist bootstrap"),
            History("2023-11-14T22:13:21Z", "CMD bash", empty_layer=True),
        ),
    ),
)
CONTAINER = Container(
    id="ab" * 32,
    name="web",
    image_id=IMAGE.id,
    created_at=1_700_000_000 * SECOND + 5,
    options=ContainerOptions(
        image="debian:12",
        command=("sleep", "a b"),
        mounts=(
            Mount.bind("/src", "/data", read_only=True),
            Mount("volume", "vol", "/v"),
            Mount.tmpfs("/t", "size=1m"),
        ),
        resources=Resources(memory=64 << 20, pids=10),
        cap_add=("NET_ADMIN",),
        tty=True,
        init=True,
        networking=Networking(endpoints=(Endpoint("bridge"),)),
    ),
    config=ContainerConfig(user="1000", env=("A=1",), cmd=("sleep", "a b"), labels={"k": "v"}),
    argv=("sleep", "a b"),
    state=ContainerState("running", pid=42, started_at=1_700_000_001 * SECOND),
    networks=(NetworkAttachment("bridge", "10.88.0.2/16", "10.88.0.1", "02:42:0a:58:00:02"),),
    log_path="/data/containers/ab/log",
)


def test_inspect_of_a_container():
    shown = write_inspect(CONTAINER)
    assert shown["Id"] == CONTAINER.id
    assert shown["Name"] == "/web"
    assert shown["Created"] == "2023-11-14T22:13:20.000000005Z"
    assert (shown["Path"], shown["Args"]) == ("sleep", ["a b"])
    assert shown["State"] == {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 42,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2023-11-14T22:13:21Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    assert shown["HostsPath"] == "/data/containers/ab/hosts"
    host = shown["HostConfig"]
    assert host["Binds"] == ["/src:/data:ro", "vol:/v"]
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert (host["Memory"], host["PidsLimit"], host["CapAdd"], host["Init"]) == (64 << 20, 10, ["NET_ADMIN"], True)
    assert (host["Privileged"], host["NetworkMode"]) == (False, "bridge")
    assert "/proc/kcore" in host["MaskedPaths"]
    assert "/proc/sys" in host["ReadonlyPaths"]
    assert shown["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/src",
            "Destination": "/data",
            "Mode": "ro",
            "RW": False,
            "Propagation": "rprivate",
        },
        {
            "Type": "volume",
            "Name": "vol",
            "Source": "/vol/_data",
            "Driver": "local",
            "Destination": "/v",
            "Mode": "",
            "RW": True,
            "Propagation": "",
        },
    ]
    config = shown["Config"]
    assert (config["Hostname"], config["User"], config["Tty"], config["Image"]) == (
        "ab" * 6,
        "1000",
        True,
        "debian:12",
    )
    network = shown["NetworkSettings"]["Networks"]["bridge"]
    assert (network["IPAddress"], network["IPPrefixLen"], network["Gateway"]) == ("10.88.0.2", 16, "10.88.0.1")
    assert network["MacAddress"] == "02:42:0a:58:00:02"


@pytest.mark.parametrize("options", [{"privileged": True}, {"security_options": ("systempaths=unconfined",)}])
def test_a_container_that_sees_all_paths_has_no_lists_of_them(options: dict[str, Any]):
    open_to_all = msgspec.structs.replace(CONTAINER, options=ContainerOptions("debian:12", **options))
    host = write_inspect(open_to_all)["HostConfig"]
    assert (host["MaskedPaths"], host["ReadonlyPaths"]) == (None, None)
    told = msgspec.structs.replace(CONTAINER, options=ContainerOptions("debian:12", masked_paths=("/proc/asound",)))
    assert write_inspect(told)["HostConfig"]["MaskedPaths"] == ["/proc/asound"]


def test_a_container_in_the_list():
    [shown] = write_summaries([CONTAINER], 1_700_000_061 * SECOND)
    assert shown["Names"] == ["/web"]
    assert shown["Command"] == "sleep 'a b'"
    assert shown["Created"] == 1_700_000_000
    assert (shown["State"], shown["Status"]) == ("running", "Up About a minute")
    assert shown["Labels"] == {"k": "v"}
    assert shown["ImageID"] == IMAGE.id


def test_the_status_tells_how_long_ago():
    assert describe_status(ContainerState(), 0) == "Created"
    assert describe_status(ContainerState("dead"), 0) == "Dead"
    assert describe_status(ContainerState("exited", exit_code=255), 10**18) == "Exited (255)"
    ended = ContainerState("exited", exit_code=137, finished_at=SECOND)
    assert describe_status(ended, 4 * SECOND) == "Exited (137) 3 seconds ago"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ContainerState("restarting", exit_code=1, finished_at=SECOND), "Restarting (1) 3 seconds ago"),
        (ContainerState("running", started_at=SECOND, health=Health()), "Up 3 seconds (health: starting)"),
        (ContainerState("running", started_at=SECOND, health=Health("healthy")), "Up 3 seconds (healthy)"),
        (ContainerState("running", started_at=SECOND, health=Health("unhealthy", 3)), "Up 3 seconds (unhealthy)"),
        (ContainerState("paused", started_at=SECOND, health=Health("healthy")), "Up 3 seconds (Paused)"),
        (ContainerState("exited", finished_at=SECOND, health=Health("unhealthy")), "Exited (0) 3 seconds ago"),
    ],
)
def test_restarts_and_health_in_dockers_words(state: ContainerState, words: str):
    assert describe_status(state, 4 * SECOND) == words


def test_a_restarting_container_counts_as_running():
    written = write_state(ContainerState("restarting", exit_code=1, restart_count=2))
    assert (written["Status"], written["Running"], written["Restarting"]) == ("restarting", True, True)
    assert "Health" not in written


def test_health_in_dockers_words():
    result = HealthResult(SECOND, 2 * SECOND, -1, "Health check exceeded timeout (1s)")
    assert write_state(ContainerState("running", health=Health("unhealthy", 4, (result,))))["Health"] == {
        "Status": "unhealthy",
        "FailingStreak": 4,
        "Log": [
            {
                "Start": "1970-01-01T00:00:01Z",
                "End": "1970-01-01T00:00:02Z",
                "ExitCode": -1,
                "Output": "Health check exceeded timeout (1s)",
            }
        ],
    }


def test_inspect_of_an_image():
    shown = write_image(IMAGE)
    assert shown["Id"] == IMAGE.id
    assert shown["RepoTags"] == ["debian:12", "example.org/base:1"]
    assert shown["RepoDigests"] == [f"debian@{IMAGE.manifest}", f"example.org/base@{IMAGE.manifest}"]
    assert shown["RootFS"] == {"Type": "layers", "Layers": [LAYER]}
    assert shown["Config"]["Env"] == ["A=1"]
    assert shown["Config"]["ExposedPorts"] == {"80/tcp": {}}


def test_an_image_in_the_list():
    shown = write_image_summary(IMAGE, 2)
    assert (shown["Created"], shown["Size"], shown["Containers"]) == (1_700_000_000, 1234, 2)


def test_history_comes_newest_first_with_the_sizes_of_the_steps_that_made_layers():
    assert [(step["CreatedBy"], step["Size"]) for step in write_history(IMAGE, [1234])] == [
        ("CMD bash", 0),
        ("kist bootstrap", 1234),
    ]
    assert [step["Id"] for step in write_history(IMAGE, [1234])] == [IMAGE.id, "<missing>"]


def test_a_removal_tells_names_first():
    removed = RemovedImage(("docker.io/library/debian:12",), (IMAGE.id,))
    assert write_removed(removed) == [{"Untagged": "debian:12"}, {"Deleted": IMAGE.id}]


def test_version_and_info_have_what_docker_prints():
    version = Version("1.0", "1.56", "1.24", "3.11.7", "6.1", "linux", "x86_64")
    shown = write_version(version)
    assert (shown["ApiVersion"], shown["Arch"], shown["Components"][0]["Name"]) == ("1.56", "amd64", "Engine")
    info = Info(version, 3, 1, 2, "/data", "/run", "overlay", "v2", 4, 1 << 30, rootless=True, warnings=("no swap",))
    told = write_info(info, now="T", hostname="h", machine="x86_64", operating_system="Debian")
    assert (told["ContainersStopped"], told["CgroupVersion"], told["NCPU"]) == (2, "2", 4)
    assert told["SecurityOptions"] == ["name=seccomp,profile=builtin", "name=rootless"]
    assert told["Warnings"] == ["WARNING: no swap"]
    assert told["Plugins"]["Volume"] == ["local"]
    assert "DiscoveredDevices" not in told
    described = msgspec.structs.replace(info, devices=("vendor.org/gpu=0",))
    told = write_info(described, now="T", hostname="h", machine="x86_64", operating_system="Debian")
    assert told["DiscoveredDevices"] == [{"Source": "cdi", "ID": "vendor.org/gpu=0"}]


def test_an_exec_tells_its_exit_code_only_once_it_has_ended():
    options = ExecOptions(("sh", "-c", "true"), user="me", tty=True)
    running = write_exec_state("e", "c", running=True, exit_code=0, pid=7, options=options)
    assert (running["ExitCode"], running["Pid"]) == (None, 7)
    ended = write_exec_state("e", "c", running=False, exit_code=3, pid=0, options=options)
    assert ended["ExitCode"] == 3
    assert ended["ProcessConfig"] == {
        "tty": True,
        "entrypoint": "sh",
        "arguments": ["-c", "true"],
        "privileged": False,
        "user": "me",
    }


def test_errors_survive_the_way_over_the_wire():
    for error in (
        NotFound("No such image: x", hint="did you mean y?"),
        Conflict("in use"),
        StepFailed("it failed", exit_code=3),
        KistError("internal"),
    ):
        back = from_fields(write_error(error))
        assert type(back) is type(error)
        assert (back.message, back.hint, back.exit_code) == (error.message, error.hint, error.exit_code)


def test_a_parse_error_brings_its_caret():
    error = ParseError("unknown instruction", source="Dockerfile", line=2, column=1, text="RUNN x")
    assert "^" in write_error(error)["message"]


def test_an_error_of_another_daemon_is_read_as_far_as_it_goes():
    assert from_fields({"message": "no"}).message == "no"
    assert from_fields({"message": "no", "error": "FromTheFuture"}).message == "no"
    assert from_fields({}).message == ""
