"""An engine process of its own, spoken to over its socket as any Docker client speaks to it."""

import contextlib
import functools
import glob
import http.client
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from definition.exchange import Exchange
from definition.recorder import RECORDER
from definition.tap import Tap
from kist.network import bridges, plan, rules

IMAGE = "busybox:test"
_SERVE = """
import sys
from kist.api.server import serve
from kist.engine.rootless import Entry
serve(sys.argv[1], sys.argv[2], Entry(), ready_fd=int(sys.argv[3]))
"""
_APPLETS = (
    "sh",
    "cat",
    "echo",
    "false",
    "head",
    "id",
    "ls",
    "pwd",
    "sleep",
    "stty",
    "true",
    "yes",
    "kill",
    "test",
    "tty",
)


@functools.cache
def image_tar() -> bytes:
    """A root file system of the host's static busybox."""
    program = shutil.which("busybox", path="/bin:/usr/bin")
    if program is None:
        pytest.skip("needs busybox (Debian: busybox-static)")
    return make_tar({"bin/busybox": Path(program).read_bytes()}, {f"bin/{name}": "busybox" for name in _APPLETS})


def make_tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return made.getvalue()


class UnixConnection(http.client.HTTPConnection):
    """http.client on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


@dataclass
class Server:
    """An engine process on roots under ``directory``."""

    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def socket_path(self) -> str:
        return str(self.directory / "run" / "engine.sock")

    @property
    def tap_path(self) -> str:
        """The socket before the engine's, where the answers to other people's clients are judged."""
        return str(self.directory / "tap")

    @property
    def host(self) -> str:
        return f"unix://{self.tap_path}"

    def start(self) -> None:
        """Start it and wait for its word."""
        read_end, write_end = os.pipe()
        roots = [str(self.directory / "data"), str(self.directory / "run")]
        with open(read_end, "rb") as told:
            try:
                command = [sys.executable, "-c", _SERVE, *roots, str(write_end)]
                self.process = subprocess.Popen(command, pass_fds=(write_end,), stdin=subprocess.DEVNULL)
            finally:
                os.close(write_end)
            assert told.readline() == b"ready\n"

    def signal(self, number: int) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    @property
    def descriptors(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settles_at(self, descriptors: int) -> bool:
        """Whether the engine gets back to so many open descriptors; waits for it."""
        poll = select.poll()
        for _ in range(100):
            if self.descriptors <= descriptors:
                return True
            poll.poll(50)
        return False

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        raw: bytes | None = None,
    ) -> Answer:
        """One request on a connection of its own; ``body`` becomes JSON, ``raw`` is sent as it is."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = UnixConnection(self.socket_path)
        with contextlib.closing(connection):
            connection.request(method, path, data, headers or {})
            answer = connection.getresponse()
            found = Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        accept = (headers or {}).get("Accept", "")
        RECORDER.note(Exchange(method, path, accept, found.status, found.headers, found.body))
        return found

    def good(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> Any:
        """One request that must succeed; its JSON, None where there is none."""
        answer = self.ask(method, path, body, raw=raw)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body!r}"
        return answer.value if answer.body else None

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(30)
        made.connect(self.socket_path)
        return made

    def create(self, *command: str, **fields: Any) -> str:
        host = {"NetworkMode": "none"} | fields.pop("HostConfig", {})
        body = {"Image": IMAGE, "Cmd": list(command), "HostConfig": host} | fields
        return str(self.good("POST", "/v1.51/containers/create", body)["Id"])

    def run(self, *command: str, **fields: Any) -> str:
        """Create and start; the id."""
        made = self.create(*command, **fields)
        self.good("POST", f"/containers/{made}/start")
        return made

    def wait(self, container: str) -> int:
        return int(self.good("POST", f"/containers/{container}/wait")["StatusCode"])

    def remove(self, container: str) -> None:
        self.good("DELETE", f"/containers/{container}?force=1")


@contextlib.contextmanager
def a_server(directory: Path) -> Iterator[Server]:
    """An engine process; at the end nothing of it is left."""
    if os.geteuid() != 0:
        pytest.skip("needs root: rootless engines come later")
    server = Server(directory)
    server.start()
    try:
        server.good("POST", f"/images/create?fromSrc=-&repo={IMAGE}&changes=CMD%20sh", raw=image_tar())
        with Tap(server.tap_path, server.socket_path):
            yield server
    finally:
        if server.process is None or server.process.poll() is not None:
            server.start()
        for container in server.good("GET", "/containers/json?all=1"):
            server.ask("DELETE", f"/containers/{container['Id']}?force=1")
        server.signal(signal.SIGTERM)
        _clean_up(directory / "data")


def _clean_up(data_root: Path) -> None:
    bridge = plan.bridge_name(str(data_root))
    if os.path.isdir(f"/sys/class/net/{bridge}"):
        bridges.remove(bridges.default_network(bridge))
    for device, _ in bridges.marked(plan.alias_of(str(data_root))):
        rules.remove_chains([f"{device}-{kind}" for kind in ("postrouting", "forward")])
        bridges.remove_link(device)
    for parent in [*glob.glob("/sys/fs/cgroup/*/kist"), "/sys/fs/cgroup/kist"]:
        with contextlib.suppress(OSError):
            os.rmdir(parent)


@pytest.fixture(autouse=True)
def _judged() -> Iterator[None]:
    """Fail a test that got an answer which is otherwise than the Engine API's definition says (``definition``)."""
    RECORDER.take()
    yield
    wrong = RECORDER.take()
    assert not wrong, "\n".join(["answers that are not as the definition says:", *wrong])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One engine process for the session's tests."""
    with a_server(tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    """An engine process that a test may kill."""
    with a_server(tmp_path) as made:
        yield made


@functools.cache
def docker_programs() -> tuple[str, ...]:
    """Every docker client of this machine, the newest first: Debian's, and one from elsewhere."""
    found = (shutil.which("docker", path=directory) for directory in ("/usr/bin", "/usr/local/bin"))
    return tuple(sorted(filter(None, found), key=client_version, reverse=True))


@functools.cache
def client_version(program: str) -> tuple[int, ...]:
    """What a docker client says of itself: (20, 10, 24)."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", told)
    assert found is not None, told
    return tuple(map(int, found.groups()))


def chosen_programs() -> tuple[str, ...]:
    """The docker clients that tests are for: the newest, and all with KIST_LONG_TESTS=1, "" where there is none."""
    programs = docker_programs() or ("",)
    return programs if os.environ.get("KIST_LONG_TESTS") else programs[:1]


def name_of_program(path: str) -> str:
    """The client's name among a test's parameters."""
    return f"docker-{client_version(path)[0]}" if path else "none"


@dataclass(frozen=True)
class Docker:
    """The docker command line of one version against the server."""

    program: str
    server: Server

    @property
    def environment(self) -> dict[str, str]:
        config = str(self.server.directory / "docker-config")
        return {**os.environ, "DOCKER_HOST": self.server.host, "DOCKER_CONFIG": config, "DOCKER_BUILDKIT": "0"}

    def __call__(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.program, *arguments], input=stdin, capture_output=True, env=self.environment, timeout=60, check=False
        )

    def good(self, *arguments: str, stdin: bytes = b"") -> str:
        """One command that must succeed; its standard output."""
        done = self(*arguments, stdin=stdin)
        assert done.returncode == 0, f"docker {arguments} ended with {done.returncode}: {done.stderr!r}"
        return done.stdout.decode()


@pytest.fixture(params=chosen_programs(), ids=name_of_program)
def docker(request: pytest.FixtureRequest, server: Server) -> Docker:
    """The docker client."""
    if not request.param:
        pytest.skip("needs a docker client (Debian: docker.io)")
    return Docker(request.param, server)
