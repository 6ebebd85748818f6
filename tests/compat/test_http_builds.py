"""The classic builder as plain HTTP sees it: its parameters and its stream (Engine API, ImageBuild)."""

import base64
import contextlib
import gzip
import json
import lzma
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

import harness

from .conftest import IMAGE, Answer, Server, make_tar

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

_ID = re.compile("[0-9a-f]{12}")


def build(server: Server, dockerfile: str, query: str = "", **files: bytes) -> Answer:
    """A build that leaves no image behind: it has no name, or one that the test removes."""
    context = make_tar({"Dockerfile": dockerfile.encode(), **files})
    return server.ask("POST", f"/build?{query}", raw=context, headers={"Content-Type": "application/x-tar"})


def printed(answer: Answer) -> str:
    return "".join(line.get("stream", "") for line in answer.lines)


def image_of(answer: Answer) -> str:
    (found,) = [line["aux"]["ID"] for line in answer.lines if "aux" in line]
    return str(found)


@pytest.fixture
def clean(server: Server) -> Iterator[None]:
    """Images that a test's builds have made go with it."""
    before = {each["Id"] for each in server.good("GET", "/images/json?all=1")}
    yield
    for each in server.good("GET", "/images/json?all=1"):
        if each["Id"] not in before:
            server.good("DELETE", f"/images/{each['Id']}?force=1")


# the stream


@pytest.mark.usefixtures("clean")
def test_the_stream_is_the_classic_builders(server: Server):
    text = f'FROM {IMAGE}\nRUN echo of-http-builds > /made; echo said\nCMD ["true"]\n'
    answer = build(server, text, "t=of-http-builds:1&t=of-http-builds:2")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    shown = [_ID.sub("ID", line["stream"]) for line in answer.lines if "stream" in line]
    assert shown == [
        f"Step 1/3 : FROM {IMAGE}\n",
        " ---> ID\n",
        "Step 2/3 : RUN echo of-http-builds > /made; echo said\n",
        " ---> Running in ID\n",
        "said\n",
        " ---> Removed intermediate container ID\n",
        " ---> ID\n",
        'Step 3/3 : CMD ["true"]\n',
        " ---> ID\n",
        "Successfully built ID\n",
        "Successfully tagged of-http-builds:1\n",
        "Successfully tagged of-http-builds:2\n",
    ]
    made, short = image_of(answer), image_of(answer)[7:19]
    assert [line for line in answer.lines if short in line.get("stream", "")] == [
        {"stream": f" ---> {short}\n"},
        {"stream": f"Successfully built {short}\n"},
    ]
    assert server.good("GET", "/images/of-http-builds:2/json")["Id"] == made
    again = build(server, text)
    assert printed(again).count(" ---> Using cache\n") == 2  # not of FROM
    assert image_of(again) == made
    assert "tagged" not in printed(again), "names that it had before are not given by this build"


@pytest.mark.usefixtures("clean")
def test_a_step_that_fails_is_told_in_dockers_sentence(server: Server):
    answer = build(server, f"FROM {IMAGE}\nRUN echo of-http-builds >&2; exit 7\n", "nocache=1")
    message = "The command '/bin/sh -c echo of-http-builds >&2; exit 7' returned a non-zero code: 7"
    assert answer.lines[-1] == {"errorDetail": {"code": 7, "message": message}, "error": message}
    quiet = build(server, f"FROM {IMAGE}\nRUN echo of-http-builds >&2; exit 7\n", "nocache=1&q=1")
    assert quiet.lines[-2] == {"stream": "of-http-builds\n"}
    assert quiet.lines[-1]["error"] == message


# parameters


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("memory=1000000", "Minimum memory limit allowed is 6MB"),
        ("memory=many", "invalid memory: 'many' is not an integer"),
        ("memory=100000000&memswap=50000000", "Minimum memoryswap limit should be larger than memory limit"),
        ("cpusetcpus=4711", "Requested CPUs are not available"),
        ("cpuperiod=1", "CPU cfs period can not be less than 1ms"),
        ("cpuquota=10", "CPU cfs quota can not be less than 1ms"),
        ("shmsize=-1", "SHM size can not be less than 0"),
        ('ulimits=[{"Name":"nosuch","Soft":1,"Hard":1}]', "invalid ulimit type: nosuch"),
        ('ulimits=[{"Name":"nofile","Soft":2,"Hard":1}]', "ulimit soft limit must be less than or equal to hard limit"),
        ("extrahosts=nonsense", "nonsense"),
        ("networkmode=nosuch", "network nosuch not found"),
        ("cgroupparent=/a/../../b", "it leads out of the hierarchy"),
        ("securityopt=nonsense", "nonsense"),
        ("platform=a/b/c/d", "invalid platform"),
        ("platform=plan9/mips", "does not match the specified platform"),
        ("target=nosuch", 'target stage "nosuch" could not be found'),
        ("dockerfile=../Dockerfile", "forbidden path outside the build context"),
        ("t=UPPER", "repository name must be lowercase"),
        ("buildargs=[]", "invalid buildargs"),
        ('labels={"a":1}', "invalid labels"),
        ("outputs={", "invalid outputs"),
        ("version=2", "the BuildKit builder (version 2) is not supported"),
        ("remote=client-session", "experimental session with v1 builder is no longer supported"),
        ("isolation=hyperv", "unsupported isolation"),
    ],
)
def test_a_parameter_that_cannot_be_right_is_a_400(server: Server, query: str, words: str):
    answer = build(server, f"FROM {IMAGE}\n", quote(query, safe="=&"))
    assert (answer.status, words in answer.value["message"]) == (400, True), answer.body


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("networkmode=container:nosuch", 404, "No such container: nosuch"),
        ("dockerfile=nosuch", 404, "nosuch"),
        ('outputs=[{"Type":"tar","Attrs":{}}]', 501, "the output 'tar' of a build is not supported"),
    ],
)
def test_what_is_not_there_is_no_wrong_parameter(server: Server, query: str, status: int, words: str):
    answer = build(server, f"FROM {IMAGE}\n", quote(query, safe="=&"))
    assert (answer.status, words in answer.value["message"]) == (status, True), answer.body


def test_credentials_are_read(server: Server):
    context = make_tar({"Dockerfile": f"FROM {IMAGE}\n".encode()})
    good = base64.urlsafe_b64encode(json.dumps({"example.org": {"username": "a", "password": "b"}}).encode()).decode()
    for header, status in ((good, 200), ("e30=", 200), ("{}", 400), ("bm8=", 400)):
        answer = server.ask("POST", "/build", raw=context, headers={"X-Registry-Config": header})
        assert (header, answer.status) == (header, status)


@pytest.mark.usefixtures("clean")
def test_limits_bind_the_commands(server: Server):
    look = (
        "RUN cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null;"
        " cat cpu,cpuacct/cpu.shares cpu/cpu.shares cpu.weight 2>/dev/null;"
        " ulimit -n; cat /proc/self/mounts /etc/hosts /proc/self/status\n"
    )
    query = "memory=67108864&cpushares=512&shmsize=1048576&extrahosts=away:192.0.2.7&networkmode=none"
    query += f"&ulimits={quote(json.dumps([{'Name': 'nofile', 'Soft': 123, 'Hard': 123}]))}"
    query += "&securityopt=no-new-privileges&cpusetcpus=0"
    told = printed(build(server, f"FROM {IMAGE}\n{look}", query))
    lines = told.splitlines()
    assert str(64 << 20) in lines
    assert {"512", "20"} & set(lines)  # a weight of cgroup v2 is on another scale
    assert "123" in lines
    assert re.search(r"^\S+ /dev/shm tmpfs .*size=1024k", told, re.MULTILINE)
    assert "192.0.2.7\taway" in told
    assert "NoNewPrivs:\t1" in lines
    assert "Cpus_allowed_list:\t0" in lines


@pytest.mark.usefixtures("clean")
def test_commands_have_the_network_that_is_asked_for(server: Server):
    look = f"FROM {IMAGE}\nRUN cat /proc/net/dev; cat /etc/hostname\n"
    other = server.run("sleep", "1000", HostConfig={"NetworkMode": "bridge"}, Hostname="its-own-name")
    try:
        joined = printed(build(server, look, f"nocache=1&networkmode=container:{other}"))
    finally:
        server.remove(other)
    assert ("eth0" in joined, "its-own-name\n" in joined) == (True, True)
    assert "eth0" in printed(build(server, look, "nocache=1"))
    assert "eth0" not in printed(build(server, look, "nocache=1&networkmode=none"))
    server.good("POST", "/networks/create", {"Name": "of-http-builds"})
    try:
        assert "eth0" in printed(build(server, look, "nocache=1&networkmode=of-http-builds"))
    finally:
        server.good("DELETE", "/networks/of-http-builds")


@pytest.mark.usefixtures("clean")
def test_a_dockerfile_is_named_from_the_root_of_the_context(server: Server):
    context = make_tar({"d/File": f"FROM {IMAGE}\nLABEL which=d\n".encode(), "dockerfile": f"FROM {IMAGE}\n".encode()})
    for path in ("d/File", "/d/File", "d/../d/File"):
        answer = server.ask("POST", f"/build?dockerfile={path}", raw=context)
        assert server.good("GET", f"/images/{image_of(answer)}/json")["Config"]["Labels"] == {"which": "d"}
    assert server.ask("POST", "/build", raw=context).status == 200  # its name in small letters


@pytest.mark.usefixtures("clean")
def test_arguments_labels_target_and_platform(server: Server):
    text = f"FROM {IMAGE} AS one\nARG A=0\nARG B=1\nENV both=$A$B\nFROM {IMAGE}\nRUN false\n"
    arguments = quote(json.dumps({"A": "7", "B": None, "HTTP_PROXY": None}))
    query = (
        f"target=one&buildargs={arguments}&labels={quote(json.dumps({'x': 'y'}))}&platform=linux&pull=1&rm=0&forcerm=1"
    )
    answer = build(server, text, query.replace("platform=linux", f"platform={_platform(server)}"))
    config = server.good("GET", f"/images/{image_of(answer)}/json")["Config"]
    assert ("both=71" in config["Env"], config["Labels"]) == (True, {"x": "y"})
    assert "[Warning] no registry is asked for newer base images yet" in printed(answer)


def _platform(server: Server) -> str:
    found: dict[str, Any] = server.good("GET", f"/images/{IMAGE}/json")
    return f"{found['Os']}/{found['Architecture']}"


# its end


@pytest.mark.usefixtures("clean")
def test_a_build_is_cancelled_by_its_id_also_while_its_command_is_silent(server: Server):
    before = server.descriptors
    told: list[Answer] = []
    text = f"FROM {IMAGE}\nRUN echo begun; sleep 1000\n"
    builder = threading.Thread(target=lambda: told.append(build(server, text, "nocache=1&buildid=of-http-builds")))
    builder.start()
    harness.until(lambda: bool(_steps_running(server)))
    running = _steps_running(server)
    assert server.ask("POST", "/build/cancel?id=another").status == 200
    assert _steps_running(server) == running
    assert server.ask("POST", "/build/cancel").value["message"] == "build ID not provided"
    answer = server.ask("POST", "/build/cancel?id=of-http-builds")
    assert (answer.status, answer.body) == (200, b"")
    builder.join(20)
    assert told[0].lines[-1]["error"] == "Build cancelled"
    harness.until(lambda: not _steps_running(server))
    assert server.settles_at(before)


@pytest.mark.usefixtures("clean")
def test_a_client_that_vanishes_takes_a_silent_command_with_it(server: Server):
    context = make_tar({"Dockerfile": f"FROM {IMAGE}\nRUN sleep 1000\n".encode()})
    head = f"POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(context)}\r\n\r\n"
    with contextlib.closing(server.connect()) as connection:
        connection.sendall(head.encode() + context)
        harness.until(lambda: bool(_steps_running(server)))
    harness.until(lambda: not _steps_running(server))


def _steps_running(server: Server) -> list[str]:
    """The run directories of steps: nobody else sees their containers."""
    known = {each["Id"] for each in server.good("GET", "/containers/json?all=1")}
    found = (server.directory / "run" / "containers").glob("*/state.json")
    return sorted(each.parent.name for each in found if each.parent.name not in known)


# contexts from elsewhere


class Site(BaseHTTPRequestHandler):
    """Files by their paths, each with what it is said to be."""

    files: ClassVar[dict[str, tuple[str, bytes]]] = {}

    def do_GET(self) -> None:
        kind, body = self.files.get(self.path.partition("?")[0], ("", b""))
        self.send_response(200 if kind or body else 404)
        if "dated" in self.path:
            self.send_header("Last-Modified", "Sat, 03 Feb 2001 04:05:06 GMT")
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of a server on the loopback interface."""
    text = f"FROM {IMAGE}\nLABEL from=web\n".encode()
    archive = make_tar({"Dockerfile": text + b"COPY file /\n", "d/Other": text, "file": b"x"})
    Site.files = {
        "/Dockerfile": ("text/plain; charset=utf-8", text),
        "/nameless": ("application/octet-stream", text),
        "/c.tar": ("application/x-tar", archive),
        "/dated.tar": ("application/x-tar", archive),
        "/c.tar.gz": ("application/octet-stream", gzip.compress(archive)),
        "/c.tar.xz": ("", lzma.compress(archive)),
        "/page": ("text/html", b"<html>"),
        "/broken.tar": ("application/x-tar", b"no archive" * 100),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    "query",
    [
        "/Dockerfile",
        "/Dockerfile&dockerfile=ignored",
        "/nameless",
        "/c.tar",
        "/c.tar.gz&dockerfile=d/Other",
        "/c.tar.xz",
    ],
)
def test_a_remote_context_is_a_text_or_an_archive(server: Server, site: str, query: str):
    answer = server.ask("POST", f"/build?remote={site}{query}")
    assert server.good("GET", f"/images/{image_of(answer)}/json")["Config"]["Labels"] == {"from": "web"}


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("{site}/nothing", 404, "error downloading remote context {site}/nothing"),
        ("{site}/page", 400, "unsupported Content-Type 'text/html'"),
        ("{site}/broken.tar", 500, ""),
        ("http://127.0.0.1:1/x", 503, "connection refused"),
        ("ftp://127.0.0.1/x", 400, "remoteURL (ftp://127.0.0.1/x) could not be recognized as URL"),
        ("/etc/passwd", 400, "could not be recognized as URL"),
        ("file:///etc", 400, "could not be recognized as URL"),
        ("git://-oProxyCommand=x/y", 400, "invalid refspec or host"),
        ("git@-oProxyCommand=x:y", 400, "invalid refspec or host"),
        ("git://127.0.0.1/x#--upload-pack=x", 400, "invalid refspec or host"),
        ("git://127.0.0.1:1/x.git", 503, "error fetching git://127.0.0.1:1/x.git"),
        ("http://me:secret@127.0.0.1:1/x.git", 503, "error fetching http://127.0.0.1:1/x.git"),
    ],
)
def test_a_context_that_cannot_be_had_says_why(server: Server, site: str, url: str, status: int, words: str):
    answer = server.ask("POST", f"/build?remote={quote(url.format(site=site), safe='')}")
    assert (answer.status, words.format(site=site) in answer.value["message"]) == (status, True), answer.body
    assert b"secret" not in answer.body


@pytest.fixture(scope="module")
def repository(site: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bare repository on the site, for a server that knows nothing of Git."""
    if shutil.which("git") is None:
        pytest.skip("needs git (Debian: git)")
    work = tmp_path_factory.mktemp("repository")
    (work / "d").mkdir()
    text = f"FROM {IMAGE}\nLABEL from=main\nCOPY . /of-http-builds\nRUN ls -a /of-http-builds\n"
    (work / "Dockerfile").write_text(text)
    (work / "d" / "Dockerfile").write_text(f"FROM {IMAGE}\nLABEL from=directory\n")
    (work / "out").symlink_to("/etc")
    plain = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(work)}
    plain["GIT_COMMITTER_DATE"] = "2002-03-04T05:06:07Z"

    def git(*arguments: str) -> None:
        named = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *named, *arguments], cwd=work, env=plain, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "other")
    (work / "Dockerfile").write_text(f"FROM {IMAGE}\nLABEL from=other\n")
    git("commit", "-am", "two")
    git("checkout", "main")
    git("clone", "--bare", ".", "bare")
    git("-C", "bare", "update-server-info")
    for path in (work / "bare").rglob("*"):
        if path.is_file():
            Site.files[f"/r.git/{path.relative_to(work / 'bare')}"] = ("", path.read_bytes())
    return f"{site}/r.git"


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("fragment", "label"), [("", "main"), ("#other", "other"), ("#main:d", "directory"), ("#:/d", "directory")]
)
def test_a_repository_is_a_context_without_its_history(server: Server, repository: str, fragment: str, label: str):
    answer = server.ask("POST", f"/build?nocache=1&remote={quote(repository + fragment, safe='')}")
    assert server.good("GET", f"/images/{image_of(answer)}/json")["Config"]["Labels"] == {"from": label}
    if label == "main":
        assert "\nDockerfile\nd\nout\n" in printed(answer)
        assert ".git" not in printed(answer)


@pytest.mark.usefixtures("clean")
def test_the_moment_of_a_build_may_be_its_contexts(server: Server, site: str, repository: str):
    arguments = quote('{"SOURCE_DATE_EPOCH": "context"}')
    for context, moment in (
        (f"{site}/c.tar", "1970-01-01T00:00:00Z"),  # the time of its newest file
        (f"{site}/dated.tar", "2001-02-03T04:05:06Z"),
        (f"{repository}#main:d", "2002-03-04T05:06:07Z"),
    ):
        answer = server.ask("POST", f"/build?buildargs={arguments}&remote={quote(context, safe='')}")
        assert server.good("GET", f"/images/{image_of(answer)}/json")["Created"] == moment, context


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("ends", ["the client goes", "the build is cancelled"])
def test_git_ends_when_nobody_waits_for_it(server: Server, ends: str):
    """It went on for fifteen minutes, for a server that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, server.connect() as client:
        silent.settimeout(30)
        remote = quote(f"git://127.0.0.1:{silent.getsockname()[1]}/r.git", safe="")
        client.sendall(f"POST /build?buildid=git1&remote={remote} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        fetching, _ = silent.accept()
        with fetching:
            fetching.settimeout(30)
            assert fetching.recv(1)
            if ends == "the client goes":
                client.close()
            else:
                server.ask("POST", "/build/cancel?id=git1")
                assert b"cancelled" in client.recv(1 << 16)
            while fetching.recv(1 << 16):  # the rest of what it asks for, and then its end
                pass
        silent.settimeout(0.5)
        with pytest.raises(TimeoutError):
            silent.accept()


@pytest.mark.parametrize(
    ("fragment", "status", "words"),
    [
        ("#nosuch", 404, "couldn't find remote ref nosuch"),
        ("#main:nosuch", 404, "not a directory: 'nosuch'"),
        ("#main:out", 400, "not within git root"),
        ("#main:../..", 400, "not within git root"),
    ],
)
def test_what_a_repository_has_not(server: Server, repository: str, fragment: str, status: int, words: str):
    answer = server.ask("POST", f"/build?remote={quote(repository + fragment, safe='')}")
    assert (answer.status, words in answer.value["message"]) == (status, True), answer.body
