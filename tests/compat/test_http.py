"""The engine as plain HTTP sees it: what a build tool's plugin or curl relies on, and what must not harm it."""

import bz2
import contextlib
import gzip
import json
import lzma
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from kist.api.call import VALUE_TYPE
from kist.spec.docker.frames import FrameReader
from kist.spec.docker.progress import EVENTS_TYPE
from kist.spec.json import decode
from kist.spec.summary import Image

from .conftest import IMAGE, Server, make_tar

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


def receive_head(connection: socket.socket) -> tuple[int, bytes]:
    """The status of an answer, and the bytes that came after its head."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        assert part, received
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def receive_all(connection: socket.socket, start: bytes = b"") -> bytes:
    parts = [start]
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def demultiplex(data: bytes) -> dict[str, bytes]:
    found: dict[str, list[bytes]] = {}
    for stream, payload in FrameReader().feed(data):
        found.setdefault(stream, []).append(payload)
    return {stream: b"".join(payloads) for stream, payloads in found.items()}


# what everybody asks


def test_ping_tells_the_versions(server: Server):
    for method in ("GET", "HEAD"):
        answer = server.ask(method, "/_ping")
        assert (answer.status, answer.headers["api-version"], answer.headers["ostype"]) == (200, "1.56", "linux")
        assert answer.body == (b"OK" if method == "GET" else b"")
        assert answer.headers["docker-experimental"] == "false"


def test_json_is_announced_without_parameters_because_docker_compares_it_whole(server: Server):
    assert server.ask("GET", "/version").headers["content-type"] == "application/json"
    assert server.ask("GET", "/nowhere").headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v1.99/version", 400, "client version 1.99 is too new. Maximum supported API version is 1.56"),
        ("GET", "/v1.x/version", 404, "page not found"),
        ("GET", "/nowhere", 404, "page not found"),
        ("PATCH", "/version", 404, "page not found"),
        ("GET", "/containers/%00/json", 404, "No such container"),
        ("GET", "/containers/x/archive?path=%00", 400, "it has a NUL character"),
        ("GET", "/containers/..%2f..%2fetc/json", 404, "No such container"),
        ("GET", "/images/no/such/json", 404, "No such image"),
        ("POST", "/exec/nosuch/start", 404, "No such exec instance"),
        ("POST", "/containers/nosuch/attach?stream=1", 404, "No such container"),
        ("POST", "/containers/nosuch/wait", 404, "No such container"),
        ("POST", "/containers/x/wait?condition=never", 400, "invalid condition"),
        ("GET", "/containers/x/logs", 400, "you must choose at least one stream"),
        ("GET", "/containers/x/logs?stdout=1&since=soon", 400, "since"),
        ("GET", "/containers/json?filters={", 400, "invalid filters"),
        ("GET", "/containers/json?limit=many", 400, "limit"),
        ("POST", "/containers/x/resize?h=1", 400, "size of the terminal"),
        ("POST", "/containers/x/resize?h=1&w=-1", 400, "size of the terminal"),
        ("POST", "/images/create?fromImage=debian&tag=12", 404, "no registry support yet"),
        ("POST", "/images/create?fromSrc=ftp://x/y.tar", 400, "ftp"),
        ("GET", "/volumes/x", 404, "get x: no such volume"),
        ("PUT", "/volumes/x", 503, "This node is not a swarm manager."),
        ("HEAD", "/containers/x/archive?path=/", 404, ""),
        ("GET", "/swarm", 503, "This node is not a swarm manager."),
        ("GET", "/services", 503, "This node is not a swarm manager."),
        ("POST", "/build?version=2", 400, "DOCKER_BUILDKIT=0"),
    ],
)
def test_what_cannot_be_answered_is_told_why(server: Server, method: str, path: str, status: int, words: str):
    answer = server.ask(method, path)
    assert answer.status == status
    if words:
        told = answer.value
        assert words in told["message"] + told["hint"]
        assert set(told) == {"message", "hint", "error", "exit_code"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"7", 400),
        (b'{"Image": 7}', 400),
        (b'{"Image": "\xff"}', 400),
        (b'{"Image": "busybox:test", "Labels": {"a\\u0000": ""}}', 400),
        (b'{"Image": "nosuch"}', 404),
        (b'{"Image": "busybox:test", "HostConfig": {"Devices": [{}]}}', 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"Image": "' + b"x" * (5 << 20) + b'"}', 413),
    ],
)
def test_a_body_that_cannot_be_right_is_refused(server: Server, body: bytes, status: int):
    answer = server.ask("POST", "/containers/create", raw=body)
    assert answer.status == status
    assert answer.value["message"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /_ping HTTP/9.9\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_400_in_json_and_harms_nobody(server: Server, sent: bytes):
    with server.connect() as connection:
        connection.sendall(sent)
        status, rest = receive_head(connection)
        assert 400 <= status < 500
        assert json.loads(receive_all(connection, rest))["error"] == "InvalidInput"
    assert server.ask("GET", "/_ping").status == 200


def test_many_requests_go_over_one_connection(server: Server):
    request = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(request * 20)
        received = b""
        while received.count(b"\r\n\r\nOK") < 20:
            received += connection.recv(65536)


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(server: Server):
    body = b'{"Image": "nosuch"}'
    head = f"POST /containers/create HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode())
        assert receive_head(connection) == (100, b"")
        connection.sendall(body)
        assert receive_head(connection)[0] == 404


# containers


@pytest.fixture
def container(server: Server) -> Iterator[str]:
    """A container that sleeps."""
    made = server.run("sleep", "1000", Labels={"made": "here"})
    yield made
    server.remove(made)


def test_a_container_is_seen_in_list_and_inspect(server: Server, container: str):
    filters = json.dumps({"label": ["made=here"], "status": ["running"], "id": [container], "ancestor": [IMAGE]})
    (found,) = server.good("GET", f"/containers/json?filters={filters}".replace(" ", ""))
    shown = server.good("GET", f"/containers/{container[:12]}/json")
    assert found["Id"] == shown["Id"] == container
    assert found["Status"].startswith("Up ")
    assert shown["State"]["Running"]
    assert shown["State"]["Pid"] > 0
    assert shown["Config"]["Labels"] == {"made": "here"}
    assert shown["HostConfig"]["NetworkMode"] == "none"
    assert server.good("GET", '/containers/json?all=1&filters={"status":["exited"],"label":["made"]}') == []


def test_sizes_are_counted_when_they_are_asked_for(server: Server):
    made = server.run("sh", "-c", "head -c 100000 /dev/zero > /written")
    server.wait(made)
    shown = server.good("GET", f"/containers/{made}/json?size=1")
    (found,) = server.good("GET", f'/containers/json?all=1&size=true&filters={{"id":["{made}"]}}')
    assert shown["SizeRw"] == found["SizeRw"] >= 100_000
    assert shown["SizeRootFs"] > shown["SizeRw"]
    assert "SizeRw" not in server.good("GET", f"/containers/{made}/json")
    server.remove(made)


def test_start_and_stop_tell_when_nothing_was_to_be_done(server: Server):
    made = server.run("sleep", "1000")
    assert server.ask("POST", f"/containers/{made}/start").status == 304
    assert server.ask("POST", f"/containers/{made}/stop?t=1").status == 204
    assert server.ask("POST", f"/containers/{made}/stop").status == 304
    assert server.ask("POST", f"/containers/{made}/kill").status == 409
    assert server.ask("POST", f"/containers/{made}/restart?t=1").status == 204
    assert server.ask("DELETE", f"/containers/{made}").status == 409
    assert server.ask("DELETE", f"/containers/{made}?force=1").status == 204
    assert server.ask("DELETE", f"/containers/{made}").status == 404


def test_wait_answers_its_headers_at_once_and_the_code_in_time(server: Server):
    made = server.create("sh", "-c", "exit 9")
    with server.connect() as connection:
        connection.sendall(f"POST /containers/{made}/wait?condition=next-exit HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, rest = receive_head(connection)
        assert (status, rest) == (200, b"")
        server.good("POST", f"/containers/{made}/start")
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(4096)
        assert b'"StatusCode":9' in received
    server.remove(made)


def test_a_container_that_goes_by_itself_is_waited_for_until_it_is_gone(server: Server):
    made = server.create("true", HostConfig={"AutoRemove": True})
    codes: list[int] = []
    path = f"/containers/{made}/wait?condition=removed"
    waiter = threading.Thread(target=lambda: codes.append(server.good("POST", path)["StatusCode"]))
    waiter.start()
    server.good("POST", f"/containers/{made}/start")
    waiter.join()
    assert codes == [0]
    assert server.ask("GET", f"/containers/{made}/json").status == 404


def test_a_container_that_goes_by_itself_goes_when_it_cannot_start_too(server: Server):
    made = server.create("nosuch", HostConfig={"AutoRemove": True})
    failed = server.ask("POST", f"/containers/{made}/start")
    assert (failed.status, failed.value["error"], failed.value["exit_code"]) == (400, "CommandNotFound", 127)
    assert server.ask("GET", f"/containers/{made}/json").status == 404


# streams


def attach(server: Server, container: str, query: str, *, upgrade: bool = True, early: bytes = b"") -> socket.socket:
    connection = server.connect()
    headers = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
    request = f"POST /v1.51/containers/{container}/attach?{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
    connection.sendall(request.encode() + early)
    status, rest = receive_head(connection)
    assert (status, rest) == (101 if upgrade else 200, b"")
    return connection


@pytest.mark.parametrize("upgrade", [True, False])
def test_attach_carries_all_three_streams_and_half_closes(server: Server, upgrade: bool):
    made = server.create("sh", "-c", "cat; echo done >&2", OpenStdin=True, StdinOnce=True)
    with attach(server, made, "stream=1&stdin=1&stdout=1&stderr=1", upgrade=upgrade) as connection:
        server.good("POST", f"/containers/{made}/start")
        connection.sendall(b"x" * 1_000_000)
        connection.shutdown(socket.SHUT_WR)
        assert demultiplex(receive_all(connection)) == {"stdout": b"x" * 1_000_000, "stderr": b"done\n"}
    server.remove(made)


@pytest.mark.parametrize("upgrade", [True, False])
def test_input_that_comes_with_the_attach_request_is_not_lost(server: Server, upgrade: bool):
    made = server.create("head", "-n", "1", OpenStdin=True, StdinOnce=True)
    query = "stream=1&stdin=1&stdout=1"
    with attach(server, made, query, upgrade=upgrade, early=b"the first line\n") as connection:
        server.good("POST", f"/containers/{made}/start")
        assert demultiplex(receive_all(connection)) == {"stdout": b"the first line\n"}
    server.remove(made)


def test_a_request_after_a_refused_attach_is_answered(server: Server):
    refused = b"POST /containers/nosuch/attach?stream=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(refused + b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"\r\n\r\nOK"):
            received += connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 404")


def test_attach_without_stream_replays_the_log(server: Server):
    made = server.run("echo", "told")
    server.wait(made)
    with attach(server, made, "logs=1&stdout=1&stderr=1") as connection:
        assert demultiplex(receive_all(connection)) == {"stdout": b"told\n"}
    server.remove(made)


def test_a_terminal_is_one_raw_stream(server: Server):
    made = server.create("tty", Tty=True)
    with attach(server, made, "stream=1&stdout=1&stderr=1") as connection:
        server.good("POST", f"/containers/{made}/start")
        assert b"/dev/pts/" in receive_all(connection)
    assert server.ask("GET", f"/containers/{made}/logs?stdout=1").body.startswith(b"/dev/pts/")
    server.remove(made)


def test_clients_that_vanish_leave_nothing_behind(server: Server, container: str):
    server.good("GET", "/containers/json")
    before = server.descriptors
    for _ in range(20):
        vanishing = attach(server, container, "stream=1&stdin=1&stdout=1")
        half_closed = attach(server, container, "stream=1&stdin=1&stdout=1")
        half_closed.shutdown(socket.SHUT_WR)
        following = server.connect()
        following.sendall(f"GET /containers/{container}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        receive_head(following)
        for connection in (vanishing, half_closed, following):
            connection.close()
    assert server.settles_at(before)


def test_a_client_that_does_not_read_holds_nobody_up(server: Server):
    made = server.create("sh", "-c", "yes | head -c 20000000")
    with attach(server, made, "stream=1&stdout=1") as lazy:
        server.good("POST", f"/containers/{made}/start")
        assert server.ask("GET", "/_ping").status == 200
        other = server.run("echo", "quick")
        assert server.wait(other) == 0
        server.remove(other)
        assert len(demultiplex(receive_all(lazy))["stdout"]) == 20_000_000
    server.remove(made)


def test_exec_is_created_started_and_inspected(server: Server, container: str):
    body = {"Cmd": ["sh", "-c", "cat; echo err >&2; exit 5"], "AttachStdin": True, "AttachStdout": True}
    made = server.good("POST", f"/containers/{container}/exec", body)["Id"]
    headers = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2"
    with server.connect() as connection:
        head = f"POST /exec/{made}/start HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"
        connection.sendall(head.encode() + b"{}early ")
        assert receive_head(connection)[0] == 101
        connection.sendall(b"late")
        connection.shutdown(socket.SHUT_WR)
        assert demultiplex(receive_all(connection)) == {"stdout": b"early late", "stderr": b"err\n"}
    shown = server.good("GET", f"/exec/{made}/json")
    assert (shown["Running"], shown["ExitCode"], shown["ContainerID"]) == (False, 5, container)


@pytest.mark.parametrize(
    ("fields", "own_code", "code", "words"),
    [
        ({"Cmd": ["nosuch"]}, 127, 127, b"executable file not found"),
        ({"Cmd": ["/etc/hosts"]}, 126, 126, b"permission denied"),
        ({"Cmd": ["true"], "User": "nosuch"}, 125, 126, b"unable to find user nosuch"),
    ],
)
def test_an_exec_that_cannot_run_is_an_error_to_kist_and_output_to_docker(
    server: Server, container: str, fields: dict[str, Any], own_code: int, code: int, words: bytes
):
    def make() -> str:
        return str(server.good("POST", f"/containers/{container}/exec", fields)["Id"])

    failed = server.ask("POST", f"/exec/{make()}/start", {})
    assert (failed.status, failed.value["exit_code"]) == (400, own_code)
    as_docker = {"User-Agent": "Docker-Client/1"}
    assert server.ask("POST", f"/exec/{make()}/start", {"Detach": True}, as_docker).status == 400
    made = make()
    with server.connect() as connection:
        head = f"POST /exec/{made}/start HTTP/1.1\r\nHost: x\r\nUser-Agent: Docker-Client/1\r\nContent-Length: 2\r\n"
        connection.sendall(head.encode() + b"\r\n{}")
        status, rest = receive_head(connection)
        assert status == 200
        assert words in demultiplex(receive_all(connection, rest))["stdout"]
    shown = server.good("GET", f"/exec/{made}/json")
    assert (shown["Running"], shown["ExitCode"]) == (False, code)


# logs


@pytest.fixture(scope="module")
def talker(server: Server) -> Iterator[str]:
    """A container that has printed on both streams."""
    made = server.run("sh", "-c", "echo one; echo two >&2; echo three; printf open")
    server.wait(made)
    yield made
    server.remove(made)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("stdout=1&stderr=1", {"stdout": b"one\nthree\nopen", "stderr": b"two\n"}),
        ("stdout=1", {"stdout": b"one\nthree\nopen"}),
        ("stderr=true", {"stderr": b"two\n"}),
        ("stdout=1&tail=1", {"stdout": b"open"}),
        ("stdout=1&stderr=1&tail=all&follow=1", {"stdout": b"one\nthree\nopen", "stderr": b"two\n"}),
        ("stdout=1&tail=0", {}),
        ("stdout=1&since=4102444800", {}),
        ("stdout=1&until=1", {}),
    ],
)
def test_the_log_in_all_its_cuts(server: Server, talker: str, query: str, expected: dict[str, bytes]):
    assert demultiplex(server.ask("GET", f"/containers/{talker}/logs?{query}").body) == expected


def test_a_followed_log_ends_with_the_container_or_at_its_time(server: Server):
    made = server.run("sh", "-c", "echo begun; sleep 1000")
    connection = server.connect()
    with connection:
        connection.sendall(f"GET /containers/{made}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        _, received = receive_head(connection)
        while b"begun" not in received:
            received += connection.recv(4096)
        server.good("POST", f"/containers/{made}/kill")
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(4096)
    server.good("POST", f"/containers/{made}/start")
    answer = server.ask("GET", f"/containers/{made}/logs?stdout=1&follow=1&until=1")
    assert answer.status == 200
    server.remove(made)


def test_a_large_log_is_read_whole(server: Server):
    made = server.run("sh", "-c", "yes 0123456789 | head -n 200000")
    server.wait(made)
    printed = demultiplex(server.ask("GET", f"/containers/{made}/logs?stdout=1").body)
    assert printed == {"stdout": b"0123456789\n" * 200_000}
    server.remove(made)


# images and builds


def test_kists_own_values_are_given_to_those_who_accept_them(server: Server):
    answer = server.ask("GET", f"/images/{IMAGE}/json", headers={"Accept": VALUE_TYPE})
    assert answer.headers["content-type"] == VALUE_TYPE
    image = decode(answer.body, Image)
    assert image.references == (f"docker.io/library/{IMAGE}",)
    assert image.config.config.cmd == ("/bin/sh", "-c", "sh")


def test_an_image_goes_out_and_comes_back(server: Server):
    archive = server.ask("GET", f"/images/{IMAGE}/get").body
    assert server.ask("GET", "/images/nosuch/get").status == 404
    assert server.ask("GET", "/images/get").status == 400
    loaded = server.ask("POST", "/images/load", raw=archive)
    assert loaded.lines[0] == {"stream": f"Loaded image: {IMAGE}\n"}
    assert server.ask("POST", "/images/load", raw=archive[: len(archive) // 2]).status >= 400


def test_a_body_that_is_cut_short_is_no_image(server: Server):
    before = server.good("GET", "/images/json")
    with server.connect() as connection:
        connection.sendall(
            b"POST /images/create?fromSrc=- HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"\0" * 512
        )
    assert server.good("GET", "/images/json") == before


def test_changes_that_are_more_than_config_are_refused(server: Server):
    answer = server.ask("POST", "/images/create?fromSrc=-&changes=RUN%20true", raw=make_tar({"a": b""}))
    assert answer.status == 400
    assert "run is not a valid change command" in answer.value["message"]


CONTEXT = make_tar({"Dockerfile": f"FROM {IMAGE}\nCOPY file /\nCMD cat /file\n".encode(), "file": b"content"})


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda data: zstandard.ZstdCompressor().compress(data)],
    ids=["tar", "gzip", "bzip2", "xz", "zstd"],
)
def test_a_context_is_taken_in_every_compression(server: Server, compress):
    lines = server.ask("POST", "/v1.41/build?t=packed:1", raw=compress(CONTEXT)).lines
    assert lines[0] == {"stream": f"Step 1/3 : FROM {IMAGE}\n"}
    built = next(line["aux"]["ID"] for line in lines if "aux" in line)
    assert built == server.good("GET", "/images/packed:1/json")["Id"]
    assert lines[-1] == {"stream": "Successfully tagged packed:1\n"}


def test_a_quiet_build_tells_the_id_alone(server: Server):
    (line,) = server.ask("POST", "/build?q=1", raw=CONTEXT).lines
    assert line["stream"].startswith("sha256:")


def test_progress_is_kists_own_events_for_those_who_accept_them(server: Server):
    answer = server.ask("POST", "/build", raw=CONTEXT, headers={"Accept": EVENTS_TYPE})
    assert answer.headers["content-type"] == EVENTS_TYPE
    kinds = [line["type"] for line in answer.lines]
    assert (kinds[0], kinds[-1], kinds.count("finished")) == ("step-started", "finished", 1)


def test_a_failing_step_is_told_in_the_stream(server: Server):
    context = make_tar({"Dockerfile": f"FROM {IMAGE}\nRUN exit 3\n".encode()})
    answer = server.ask("POST", "/build?nocache=1", raw=context)
    assert answer.status == 200
    assert answer.lines[-1]["errorDetail"]["code"] == 3
    last = server.ask("POST", "/build?nocache=1", raw=context, headers={"Accept": EVENTS_TYPE}).lines[-1]
    assert (last["type"], last["error"], last["exit_code"]) == ("failed", "StepFailed", 3)


@pytest.mark.parametrize(
    ("context", "status", "words"),
    [
        (make_tar({"Dockerfile": b"FROMM x\n"}), 400, "Dockerfile:1:1"),
        (make_tar({"other": b""}), 404, "Dockerfile"),
        (make_tar({"Dockerfile": b"FROM scratch\n", "../outside": b""}), 400, "outside"),
        (b"this is no tar archive" * 100, 400, ""),
        (CONTEXT[:520], 400, "cut short"),
    ],
    ids=["syntax", "no Dockerfile", "outside", "no tar", "cut short"],
)
def test_a_build_that_cannot_begin_is_an_error_answer(server: Server, context: bytes, status: int, words: str):
    answer = server.ask("POST", "/build", raw=context)
    assert answer.status == status
    assert words in answer.value["message"]


def test_a_build_whose_client_vanishes_ends(server: Server):
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 1; done; sleep 1000"
    context = make_tar({"Dockerfile": f"FROM {IMAGE}\nRUN {script}\n".encode()})
    before = server.descriptors
    with server.connect() as connection:
        head = f"POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(context)}\r\n\r\n"
        connection.sendall(head.encode() + context)
        _, received = receive_head(connection)
        while b'"stream":"1' not in received:
            received += connection.recv(4096)
    assert server.settles_at(before)


def test_the_plan_of_a_start_is_shown_and_nothing_is_made(server: Server):
    before = len(server.good("GET", "/containers/json?all=1"))
    operations = server.good("POST", "/kist/plan", {"Image": IMAGE, "Cmd": ["true"]})["operations"]
    assert len(operations) > 5
    assert len(server.good("GET", "/containers/json?all=1")) == before


def test_a_bootstrap_of_what_nobody_distributes_is_refused(server: Server):
    answer = server.ask("POST", "/kist/bootstrap", {"distribution": "nosuch:1"})
    assert 400 <= answer.status < 600
    assert answer.value["message"]
    with contextlib.suppress(KeyError):
        assert server.ask("POST", "/kist/bootstrap", {"distribution": 7}).value["error"] == "InvalidInput"


def test_what_was_executed_is_known_though_it_has_ended_its_container(server: Server) -> None:
    made = {"Image": IMAGE, "Cmd": ["sh", "-c", "until [ -e /go ]; do sleep 0.01; done"]}
    name = server.good("POST", "/containers/create", made | {"HostConfig": {"NetworkMode": "none"}})["Id"]
    server.good("POST", f"/containers/{name}/start")
    body = {"Cmd": ["sh", "-c", "touch /go; exit 3"]}
    executed = server.good("POST", f"/containers/{name}/exec", body)["Id"]
    server.good("POST", f"/exec/{executed}/start", {"Detach": True})
    server.good("POST", f"/containers/{name}/wait")
    server.good("DELETE", f"/containers/{name}")  # with what is known of its run on disk
    found = server.good("GET", f"/exec/{executed}/json")
    assert (found["Running"], found["ContainerID"]) == (False, name)
    assert found["ExitCode"] in {3, 137}  # its container's end may have overtaken it


def test_nothing_is_executed_in_a_paused_container(server: Server, container: str):
    made = server.good("POST", f"/containers/{container}/exec", {"Cmd": ["true"]})["Id"]
    server.good("POST", f"/containers/{container}/pause")
    try:
        for path, body in (
            (f"/exec/{made}/start", {"Detach": True}),
            (f"/containers/{container}/exec", {"Cmd": ["true"]}),
        ):
            answer = server.ask("POST", path, body)
            assert (answer.status, "is paused, unpause the container before exec" in answer.value["message"]) == (
                409,
                True,
            )
    finally:
        server.good("POST", f"/containers/{container}/unpause")
    server.good("POST", f"/exec/{made}/start", {"Detach": True})


def test_a_pause_lets_those_in_who_are_on_their_way(server: Server, container: str):
    for _ in range(5):
        made = server.good("POST", f"/containers/{container}/exec", {"Cmd": ["true"]})["Id"]
        begun = threading.Thread(target=lambda made=made: server.ask("POST", f"/exec/{made}/start", {"Detach": True}))
        begun.start()
        server.good("POST", f"/containers/{container}/pause")
        begun.join(10)
        assert not begun.is_alive()
        server.good("POST", f"/containers/{container}/unpause")


@pytest.mark.parametrize("change", [{"MemorySwap": 64 << 20}, {"Memory": 64 << 20, "MemorySwap": 6 << 20}])
def test_limits_that_do_not_go_together_are_refused(server: Server, container: str, change: dict[str, int]):
    assert server.ask("POST", f"/containers/{container}/update", change).status == 400


def test_only_an_exec_that_runs_has_a_size(server: Server, container: str):
    made = server.good("POST", f"/containers/{container}/exec", {"Cmd": ["sleep", "1000"], "Tty": True})["Id"]
    assert server.ask("POST", f"/exec/{made}/resize?h=24&w=80").status == 400
    server.good("POST", f"/exec/{made}/start", {"Detach": True})
    server.good("POST", f"/exec/{made}/resize?h=24&w=80")
    assert server.ask("POST", f"/exec/{made}/start", {"Detach": True}).status == 409
