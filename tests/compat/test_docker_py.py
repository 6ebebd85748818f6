"""docker-py, unmodified: the high-level objects and the low-level calls."""

import gc
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, BuildError, ContainerError, ImageNotFound, NotFound

from harness import until

from .conftest import IMAGE, Server, make_tar

pytestmark = [
    pytest.mark.root("serves an engine in a process of its own making"),
    # docker-py leaves the closing of what it streams to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def collect() -> Iterator[None]:
    """What a test leaves to the collector is collected before the next one, which may be another library's."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=server.host, version="auto", timeout=30)
    yield made
    made.close()


@pytest.fixture
def box(client: docker.DockerClient) -> Iterator[Any]:
    """A container that runs."""
    made = client.containers.run(IMAGE, "sleep 1000", detach=True, environment={"A": "1"}, network_mode="none")
    yield made
    made.remove(force=True)


def executed(box: Any, command: list[str] | str, **options: Any) -> tuple[int, Any]:
    """The exit code and the output of a command that says something.

    docker-py loses what comes together with the answer's head, which is in a buffer that it does not look into. The
    engine waits until the head is read; the tap that judges its answers hands on what it gets, and on a busy machine
    that may be both at once. So it is asked again where it has heard nothing.
    """
    for _ in range(50):
        code, output = box.exec_run(command, **options)
        if output not in {b"", (None, None)}:
            break
    return code, output


def test_the_engine_tells_of_itself(client: docker.DockerClient):
    assert client.ping()
    assert client.version()["Platform"] == {"Name": "Kist"}
    assert client.info()["OSType"] == "linux"
    assert client.df()


def test_run_returns_the_output_and_raises_the_failure(client: docker.DockerClient, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    volumes = {str(tmp_path): {"bind": "/data", "mode": "ro"}}
    options: dict[str, Any] = {"remove": True, "network_mode": "none", "mem_limit": "64m", "user": "0:0"}
    assert client.containers.run(IMAGE, "cat /data/file", volumes=volumes, working_dir="/data", **options) == b"mine"
    both = client.containers.run(IMAGE, ["sh", "-c", "echo out; echo err >&2"], stderr=True, **options)
    assert sorted(both.splitlines()) == [b"err", b"out"]
    assert list(client.containers.run(IMAGE, "echo streamed", stream=True, **options)) == [b"streamed\n"]
    with pytest.raises(ContainerError) as failed:
        client.containers.run(IMAGE, ["sh", "-c", "echo why >&2; exit 3"], **options)
    assert (failed.value.exit_status, failed.value.stderr) == (3, b"why\n")
    with pytest.raises(NotFound):
        client.containers.run("nosuch:1", **options)


def test_the_life_of_a_container(client: docker.DockerClient):
    made = client.containers.create(
        IMAGE, ["sh", "-c", "echo begun; sleep 1000"], name="py-life", labels={"py": "life"}, network_mode="none"
    )
    try:
        assert made.status == "created"
        made.start()
        made.reload()
        assert (made.status, made.name, made.labels["py"]) == ("running", "py-life", "life")
        assert [each.id for each in client.containers.list(filters={"label": "py=life"})] == [made.id]
        with pytest.raises(APIError, match="is already in use") as conflict:
            client.containers.create(IMAGE, name="py-life")
        assert conflict.value.status_code == 409
        made.pause()
        made.reload()
        assert made.status == "paused"
        made.unpause()
        made.rename("py-other")
        assert client.containers.get("py-other").id == made.id
        assert not made.update(mem_limit="64m", memswap_limit="64m")["Warnings"]
        assert any("sleep" in process[-1] for process in made.top()["Processes"])
        made.restart(timeout=0)
        made.kill("KILL")
        assert made.wait()["StatusCode"] == 137
        made.start()
        made.stop(timeout=0)
    finally:
        made.remove(force=True)
    with pytest.raises(NotFound):
        client.containers.get("py-life")


def test_logs_whole_in_part_and_followed(client: docker.DockerClient):
    made = client.containers.run(IMAGE, ["sh", "-c", "echo 1; echo 2 >&2; echo 3"], detach=True, network_mode="none")
    try:
        assert b"".join(made.logs(stream=True, follow=True)).splitlines() in ([b"1", b"2", b"3"], [b"1", b"3", b"2"])
        assert made.logs(stderr=False) == b"1\n3\n"
        assert made.logs(stdout=False) == b"2\n"
        assert re.fullmatch(rb"\S+Z \d\n", made.logs(tail=1, timestamps=True))
    finally:
        made.remove()


def test_exec_with_all_that_it_takes(box: Any):
    done = executed(box, ["sh", "-c", "echo $A $B $(pwd); exit 4"], environment={"B": "2"}, workdir="/bin")
    assert done == (4, b"1 2 /bin\n")
    assert executed(box, "echo heard", demux=True) == (0, (b"heard\n", None))
    assert executed(box, ["sh", "-c", "echo heard >&2"], demux=True) == (0, (None, b"heard\n"))
    assert executed(box, "tty", tty=True) == (0, b"/dev/pts/0\r\n")
    code, stream = box.exec_run("cat", stdin=True, socket=True)
    assert code is None
    stream._sock.sendall(b"to and fro")
    assert stream.read(8 + 10)[8:] == b"to and fro"
    stream._sock.close()
    stream.close()


def test_low_level_exec(client: docker.DockerClient, box: Any):
    made = client.api.exec_create(box.id, "sh -c 'exit 6'")["Id"]
    assert client.api.exec_inspect(made)["ExitCode"] is None
    assert client.api.exec_start(made) == b""
    told = client.api.exec_inspect(made)
    assert (told["ExitCode"], told["Running"], told["ProcessConfig"]["entrypoint"]) == (6, False, "sh")


def test_attach_before_the_start_misses_nothing(client: docker.DockerClient):
    made = client.containers.create(
        IMAGE, ["sh", "-c", "read line; echo got $line"], stdin_open=True, network_mode="none"
    )
    try:
        stream = made.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        made.start()
        stream._sock.sendall(b"words\n")
        assert stream.read(8 + 10)[8:] == b"got words\n"
        stream._sock.close()
        stream.close()
        made.wait()
        assert made.attach(logs=True, stream=False) == b"got words\n"
    finally:
        made.remove(force=True)


def test_files_in_and_out(box: Any):
    assert box.put_archive("/", make_tar({"dir/file": b"content"}))
    parts, status = box.get_archive("/dir/file")
    assert (status["name"], status["size"]) == ("file", 7)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        member = archive.extractfile("file")
        assert member is not None
        assert member.read() == b"content"
    assert {"Path": "/dir", "Kind": 1} in box.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(box.export()))) as archive:
        assert "dir/file" in archive.getnames()
    with pytest.raises(NotFound):
        box.get_archive("/nosuch")


def test_measurements(client: docker.DockerClient, box: Any):
    once = box.stats(stream=False)
    assert once["memory_stats"]["usage"] > 0
    assert once["pids_stats"]["current"] == 1
    stream = box.stats(decode=True)
    assert next(stream)["name"] == f"/{box.name}"
    stream.close()
    assert client.api.stats(box.id, stream=False, one_shot=True)["precpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_events_are_heard_as_they_come(client: docker.DockerClient):
    heard: list[tuple[str, str]] = []
    events = client.events(decode=True, filters={"type": "container", "label": "py=events"})
    listener = threading.Thread(target=lambda: heard.extend((each["Action"], each["Actor"]["ID"]) for each in events))
    listener.start()
    made = client.containers.run(IMAGE, "true", detach=True, labels={"py": "events"}, network_mode="none")
    made.wait()
    made.remove()
    try:
        until(lambda: ("destroy", made.id) in heard)
    finally:
        events.close()
        listener.join(10)
    assert [action for action, _ in heard] == ["create", "start", "die", "destroy"]


def test_an_image_is_built_tagged_saved_loaded_and_removed(client: docker.DockerClient, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text(
        f"FROM {IMAGE} AS one\nARG WORD\nCOPY file /file\nRUN echo $WORD >> /file\nCMD cat /file\n"
    )
    (tmp_path / "file").write_text("copied\n")
    image, told = client.images.build(
        path=str(tmp_path), tag="py/built:1", buildargs={"WORD": "built"}, labels={"py": "built"}, target="one", rm=True
    )
    try:
        assert any("Step 3/5" in line.get("stream", "") for line in told)
        assert client.containers.run("py/built:1", remove=True, network_mode="none") == b"copied\nbuilt\n"
        assert image.labels == {"py": "built"}
        assert image.tag("py/built", "2")
        image.reload()
        assert [each.id for each in client.images.list("py/built")] == [image.id]
        assert image.history()[0]["Id"] == image.id
        archive = b"".join(image.save(named="py/built:2"))
        client.images.remove("py/built:2")
        assert {each.id for each in client.images.load(archive)} == {image.id}
    finally:
        client.images.remove(image.id, force=True)
    with pytest.raises(ImageNotFound):
        client.images.get("py/built:1")


def test_a_build_of_a_file_alone_and_one_that_fails(client: docker.DockerClient):
    image, _ = client.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nRUN echo x > /file\n".encode()))
    client.images.remove(image.id)
    with pytest.raises(BuildError, match="returned a non-zero code: 5") as failed:
        client.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nRUN echo early; exit 5\n".encode()))
    assert any("early" in line.get("stream", "") for line in failed.value.build_log)


def test_commit_and_import(client: docker.DockerClient, box: Any):
    box.exec_run(["sh", "-c", "echo > /made"])
    image = box.commit("py/committed", "1", message="text", changes='CMD ["ls", "/made"]')
    try:
        assert client.containers.run(image.id, remove=True, network_mode="none") == b"/made\n"
    finally:
        client.images.remove("py/committed:1")
    client.api.import_image_from_data(make_tar({"file": b"x"}), repository="py/imported", tag="1")
    client.images.remove("py/imported:1")


def test_volumes(client: docker.DockerClient):
    made = client.volumes.create("py-volume", labels={"py": "yes"})
    try:
        assert client.volumes.get("py-volume").attrs["Labels"] == {"py": "yes"}
        assert [each.name for each in client.volumes.list(filters={"label": "py"})] == ["py-volume"]
        mount = docker.types.Mount("/data", "py-volume")
        options: dict[str, Any] = {"mounts": [mount], "remove": True, "network_mode": "none"}
        client.containers.run(IMAGE, ["sh", "-c", "echo kept > /data/file"], **options)
        assert client.containers.run(IMAGE, "cat /data/file", **options) == b"kept\n"
    finally:
        made.remove()
    with pytest.raises(NotFound):
        client.volumes.get("py-volume")
    assert client.volumes.prune(filters={"label": "py"})["VolumesDeleted"] is None


def test_ports_restart_policies_and_health_checks_are_what_was_asked_for(client: docker.DockerClient):
    made = client.containers.run(
        IMAGE, "sleep 1000", detach=True, ports={"80/tcp": ("127.0.0.1", None)},
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        healthcheck={"test": ["CMD", "true"], "interval": 100_000_000},
        ulimits=[docker.types.Ulimit(name="nofile", soft=99, hard=99)], tmpfs={"/scratch": "size=1m"}, shm_size="2m",
        extra_hosts={"db": "10.9.8.7"}, cap_drop=["ALL"], security_opt=["no-new-privileges"], init=True,
    )  # fmt: skip
    try:

        def healthy() -> bool:
            made.reload()
            return made.health == "healthy"

        until(healthy)
        assert made.ports["80/tcp"][0]["HostIp"] == "127.0.0.1"
        assert made.attrs["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
        assert executed(made, ["sh", "-c", "echo $(ulimit -n) $(cat /proc/1/comm)"]) == (0, b"99 kist-init\n")
    finally:
        made.remove(force=True)


def test_prune(client: docker.DockerClient):
    made = client.containers.run(IMAGE, "true", detach=True, labels={"py": "prune"}, network_mode="none")
    made.wait()
    assert client.containers.prune(filters={"label": "py=prune"})["ContainersDeleted"] == [made.id]
    assert client.images.prune(filters={"label": "py=nosuch"})["SpaceReclaimed"] == 0
