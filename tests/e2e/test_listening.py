"""Where else an engine listens: sockets that a service manager made, further paths, and TCP with mutual TLS."""

import contextlib
import hashlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

import certificates
import kist
from building import SSH_ADD, a_key, an_agent, needs_agent, put_ssh_add
from harness import BUSYBOX, Cli, a_cli, give_busybox, until
from kist.spec.container import ContainerOptions
from kist.spec.tls import TlsEnd
from ordinary import KIST

# Be a service manager: the descriptors in argv become 3, 4, …, and what follows them is the service.
_MANAGER = """
import fcntl, os, sys
count = int(sys.argv[1])
kept = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 100) for each in sys.argv[2:2 + count]]
for place, descriptor in enumerate(kept, 3):
    os.dup2(descriptor, place)
    os.close(descriptor)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execvp(sys.argv[2 + count], sys.argv[2 + count:])
"""


@dataclass
class Far:
    """An engine that listens at many places, and the one who manages it.

    Attributes:
        cli: the command line beside it.
        certificates: the directory with its own and a client's.
        port: of TCP, which the engine has opened.
        elsewhere: likewise, at an address that its certificate does not name.
        handed_port: of TCP, which was handed over.
        handed: the path of a socket that was handed over.
        further: the path of a socket that ``-H`` names.
        words: what it has told its manager.
    """

    cli: Cli
    certificates: Path
    port: int
    elsewhere: int
    handed_port: int
    handed: Path
    further: Path
    words: socket.socket
    process: "subprocess.Popen[bytes]"

    @property
    def docker(self) -> list[str]:
        """Docker's words before the verb."""
        files = [f"--tlscacert={self.certificates}/ca.pem", f"--tlscert={self.certificates}/cert.pem"]
        files += [f"--tlskey={self.certificates}/key.pem"]
        return ["docker", "--tlsverify", *files, "-H", f"tcp://localhost:{self.port}"]

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def context(self, *, client: bool = True) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        if client:
            made.load_cert_chain(self.certificates / "cert.pem", self.certificates / "key.pem")
        return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def managed(cli: Cli, sockets: list[socket.socket], *options: str) -> Iterator["tuple[Any, socket.socket]"]:
    """An engine that was handed these sockets, once it has said that it is ready, and what hears it."""
    told = str(cli.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as words:
        words.bind(told)
        words.settimeout(30)
        numbers = [str(each.fileno()) for each in sockets]
        process = subprocess.Popen(
            [sys.executable, "-c", _MANAGER, str(len(numbers)), *numbers, *KIST, "engine", *options],
            env={**cli.environment, "NOTIFY_SOCKET": told},
            pass_fds=[each.fileno() for each in sockets],
        )
        try:
            assert words.recv(100) == b"READY=1"
            yield process, words
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            os.unlink(told)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    directory = tmp_path_factory.mktemp("far")
    made = certificates.make(directory / "pem")
    handed, further, port, other = directory / "handed.sock", directory / "further.sock", free_port(), free_port()
    tls = [
        f"--tls-{each}={made}/{file}.pem"
        for each, file in (("ca", "ca"), ("cert", "server-cert"), ("key", "server-key"))
    ]
    with a_cli(directory) as cli, socket.socket(socket.AF_UNIX) as unix, socket.create_server(("127.0.0.1", 0)) as tcp:
        unix.bind(str(handed))
        unix.listen()
        hosts = ["-H", f"unix://{further}", "-H", "fd://", "--tcp", f"localhost:{port}", "--tcp", f"127.0.0.2:{other}"]
        with managed(cli, [unix, tcp], *hosts, *tls) as (process, words):
            give_busybox(cli)
            yield Far(cli, made, port, other, tcp.getsockname()[1], handed, further, words, process)


def test_all_places_lead_to_one_engine(far: Far) -> None:
    image = far.cli.good("images", "-q", "--no-trunc")
    for path in (far.handed, far.further):
        assert far.cli.good("-H", f"unix://{path}", "images", "-q", "--no-trunc") == image
    for port in (far.port, far.handed_port):
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=far.context())
        with contextlib.closing(connection):
            connection.request("GET", "/images/json")
            assert image.encode() in connection.getresponse().read()
    recorded = (far.cli.directory / "data" / "audit.log").read_text(encoding="utf-8")
    assert '"subject":"commonName=ada"' in recorded
    assert f'"socket":"tcp://localhost:{far.port}"' in recorded


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_has_no_certificate_is_told_so_and_gets_nothing(far: Far, version: ssl.TLSVersion) -> None:
    context = far.context(client=False)
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate|handshake failure"):
        answer_to(b"GET /_ping HTTP/1.0\r\n\r\n", far, context)


def test_the_engines_own_certificate_is_no_clients(far: Far) -> None:
    context = far.context(client=False)
    context.load_cert_chain(far.certificates / "server-cert.pem", far.certificates / "server-key.pem")
    with pytest.raises(ssl.SSLError):
        answer_to(b"", far, context)


def answer_to(request: bytes, far: Far, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("localhost", far.port), 20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(request)
        return secured.recv(100)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_of_old_is_refused(far: Far) -> None:
    context = far.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("localhost", far.port), 20) as plain,
        pytest.raises(ssl.SSLError, match=r"(?i)version"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_plain_http_on_the_port_of_tls_is_no_request(far: Far) -> None:
    with socket.create_connection(("localhost", far.port), 20) as plain:
        plain.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        assert b"HTTP" not in plain.recv(1000)


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs a docker client (Debian: docker.io)")
def test_dockers_client_attaches_with_half_close_over_tls(far: Far) -> None:
    big = os.urandom(1 << 20) * 20
    command = [*far.docker, "run", "-i", "--rm", "--network", "none", BUSYBOX]
    done = subprocess.run([*command, "wc", "-c"], input=big, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (0, [str(len(big)).encode()]), done.stderr
    done = subprocess.run([*command, "cat"], input=big, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout == big


def test_a_half_closed_stream_goes_on_over_tls(far: Far) -> None:
    made = far.cli.good("create", "-i", "--network", "none", BUSYBOX, "sh", "-c", "cat; echo after")
    request = f"POST /containers/{made}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
    with HalfClosing(far) as caller:
        caller.send(f"{request}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        assert b"HTTP/1.1 101" in caller.receive_until(b"\r\n\r\n")
        far.cli.good("start", made)
        caller.send(b"before\n")
        caller.receive_until(b"before\n")
        caller.end.say_end()
        caller.send(b"")
        assert b"after\n" in caller.receive_until(None)
    far.cli.good("rm", made)


class HalfClosing:
    """A client that can end its direction alone, which Python's own sockets of TLS cannot."""

    def __init__(self, far: Far) -> None:
        self.end = TlsEnd(far.context(), server=False, name="localhost")
        self.plain = socket.create_connection(("localhost", far.port), 30)

    def __enter__(self) -> Self:
        while not self.end.shake():
            self.send(b"")
            self.end.arrived(self.plain.recv(1 << 16))
        return self

    def __exit__(self, *_: object) -> None:
        self.plain.close()

    def send(self, data: bytes) -> None:
        self.end.write(data)
        self.plain.sendall(self.end.leaving())

    def receive_until(self, word: bytes | None) -> bytes:
        """What comes up to a word and perhaps a little beyond, or up to the end of the other direction."""
        received = b""
        while word is None or word not in received:
            if (data := self.end.read()) is None:
                self.end.arrived(self.plain.recv(1 << 16))
            elif not data:
                assert word is None, received
                break
            else:
                received += data
        return received


def on_tls(far: Far, *, own: bool = True) -> list[str]:
    """Kist's words before the verb."""
    files = [f"--tlscacert={far.certificates}/ca.pem"]
    if own:
        files += [f"--tlscert={far.certificates}/cert.pem", f"--tlskey={far.certificates}/key.pem"]
    return ["--tlsverify", *files, "-H", f"tcp://localhost:{far.port}"]


def test_kists_client_attaches_with_half_close_over_tls(far: Far) -> None:
    big = os.urandom(1 << 20) * 20
    command = [*KIST, *on_tls(far), "run", "-i", "--rm", "--network", "none", BUSYBOX, "cat"]
    done = subprocess.run(command, input=big, capture_output=True, timeout=60, check=False, env=far.cli.environment)
    assert (done.returncode, done.stdout == big) == (0, True), done.stderr


@needs_agent
@pytest.mark.parametrize("by", ["tls", "ssh"])
def test_a_build_elsewhere_has_what_is_the_callers_and_sends_what_it_makes(
    far: Far, fake_ssh: dict[str, str], tmp_path: Path, by: str
) -> None:
    """Secret and files are larger than one record of TLS, and than a socket's buffer."""
    (tmp_path / "token").write_bytes(os.urandom(400_000))
    context, named, out = tmp_path / "context", tmp_path / "named", tmp_path / "out"
    put_ssh_add(context)
    named.mkdir()
    (named / "file").write_bytes(os.urandom(400_000))
    mounts = "--mount=type=secret,id=token,required --mount=type=ssh,required --mount=target=/ctx"
    (context / "Dockerfile").write_text(
        f"FROM {BUSYBOX} AS made\nRUN {mounts} md5sum /run/secrets/token && {SSH_ADD} -l\n"
        "FROM scratch\nCOPY --from=named file /\nCOPY --from=made /etc/group /\n"
    )
    where = on_tls(far) if by == "tls" else ["-H", f"ssh://there{far.further}"]
    with an_agent(tmp_path, a_key(tmp_path)) as agent:
        given = ["--secret", f"id=token,src={tmp_path}/token", "--ssh", f"default={agent}"]
        given += ["--build-context", f"named={named}", "-o", str(out), "-o", f"type=oci,dest={tmp_path}/oci.tar"]
        command = [*KIST, *where, "build", "--no-cache", "--progress", "plain", *given, str(context)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=fake_ssh, text=True)
    assert done.returncode == 0, done.stderr
    assert hashlib.md5((tmp_path / "token").read_bytes(), usedforsecurity=False).hexdigest() in done.stderr
    assert " of-the-test (ED25519)\n" in done.stderr
    assert (out / "file").read_bytes() == (named / "file").read_bytes()
    assert sorted(os.listdir(out)) == ["file", "group"]
    with tarfile.open(tmp_path / "oci.tar") as archive:
        assert "index.json" in archive.getnames()


def test_the_environment_and_the_library_reach_an_engine_on_tls(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    image = far.cli.good("images", "-q", "--no-trunc")
    for name, value in (
        ("DOCKER_HOST", f"tcp://localhost:{far.port}"),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", str(far.certificates)),
    ):
        monkeypatch.setenv(name, value)
    assert far.cli.good("images", "-q", "--no-trunc") == image
    with kist.Engine() as engine:
        assert [str(each.id) for each in engine.images()] == [image]
        assert (
            engine.run(BUSYBOX, ["echo", "far"], options=ContainerOptions(image=BUSYBOX, network="none")).stdout
            == "far\n"
        )


@pytest.mark.parametrize("what", ["no certificate", "another name", "nobody trusted", "no TLS"])
def test_an_engine_on_tls_that_does_not_suit_is_told(far: Far, what: str) -> None:
    port, store = far.port, "/etc/ssl/certs/ca-certificates.crt"
    words, said = {
        "no certificate": (on_tls(far, own=False), "wants another certificate"),
        "another name": (
            [*on_tls(far)[:-1], f"tcp://127.0.0.2:{far.elsewhere}"],
            "is not to be trusted: IP address mismatch",
        ),
        "nobody trusted": (["--tlsverify", f"--tlscacert={store}", *on_tls(far)[2:]], "is not to be trusted"),
        "no TLS": (["-H", f"tcp://localhost:{port}"], "without an answer"),
    }[what]
    done = far.cli(*words, "ps")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_context_holds_its_certificates(far: Far) -> None:
    config = {**far.cli.environment, "DOCKER_CONFIG": str(far.cli.directory / "config")}

    def good(*command: str, **variables: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**config, **variables})
        return done.stdout.rstrip("\n")

    files = ",".join(f"{name}={far.certificates}/{name}.pem" for name in ("ca", "cert", "key"))
    good(*KIST, "context", "create", "lab", "--docker", f"host=tcp://localhost:{far.port},{files}")
    image = far.cli.good("images", "-q", "--no-trunc")
    assert good(*KIST, "-c", "lab", "images", "-q", "--no-trunc") == image
    assert good(*KIST, "images", "-q", "--no-trunc", DOCKER_CONTEXT="lab") == image
    if docker := shutil.which("docker"):
        assert good(docker, "-c", "lab", "images", "-q", "--no-trunc") == image
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**config, "DOCKER_CONTEXT": "lab"}.items():
            patch.setenv(name, value)
        with kist.Engine() as engine:
            assert [str(each.id) for each in engine.images()] == [image]


# ssh


@pytest.fixture(scope="module")
def fake_ssh(far: Far) -> dict[str, str]:
    """An environment where ssh runs its command here, and writes down how it was called; kist and docker are ours."""
    programs = far.cli.directory / "bin"
    programs.mkdir()
    log = programs / "log"
    script = f'#!/bin/sh\necho "$*" >> {log}\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$*"\n'
    for name, text in (("ssh", script), ("kist", f'#!/bin/sh\nexec {" ".join(KIST)} "$@"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (programs / "docker").symlink_to("kist")
    return {**far.cli.environment, "PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    "asked", [b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_the_end_of_an_ssh_connection_goes_with_its_client(far: Far, asked: bytes) -> None:
    """Though what the engine said was not read, and though it has no more to say: ssh's processes would be left."""
    ours, theirs = socket.socketpair()
    command = [*KIST, "-H", f"unix://{far.further}", "system", "dial-stdio"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, env=far.cli.environment)
    with ours, theirs:
        ours.sendall(asked)
        assert ours.recv(4096, socket.MSG_PEEK).startswith(b"HTTP/1.1 200 OK")
    assert process.wait(20) == 0


def test_kists_client_goes_by_ssh(far: Far, fake_ssh: dict[str, str]) -> None:
    big = os.urandom(1 << 20) * 10
    for host, words in (
        ("ssh://me@there:2222", "-l me -p 2222 -- there sh -c"),
        (
            f"ssh://there{far.further}",
            f"-- there sh -c 'command -v kist >/dev/null 2>&1 && exec kist --host unix://{far.further}",
        ),
    ):
        command = [*KIST, "-H", host, "run", "-i", "--rm", "--network", "none", BUSYBOX, "cat"]
        done = subprocess.run(command, input=big, capture_output=True, timeout=60, check=False, env=fake_ssh)
        assert (done.returncode, done.stdout == big) == (0, True), done.stderr
        assert words in (far.cli.directory / "bin" / "log").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs a docker client (Debian: docker.io)")
def test_dockers_client_goes_by_ssh(fake_ssh: dict[str, str]) -> None:
    docker = shutil.which("docker")
    assert docker
    command = [docker, "-H", "ssh://there", "run", "-i", "--rm", "--network", "none", BUSYBOX, "wc", "-c"]
    done = subprocess.run(command, input=b"x" * 100_000, capture_output=True, timeout=60, check=False, env=fake_ssh)
    assert (done.returncode, done.stdout.split()) == (0, [b"100000"]), done.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            255,
            "ssh has ended with 255 before ssh://there answered\nabove is what it said; it cannot ask for a password",
        ),
        (1, "what ssh ran has ended with 1 before ssh://there answered\nabove is what it said\n"),
    ],
)
def test_what_ssh_cannot_do_is_told(far: Far, tmp_path: Path, code: int, words: str) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\necho 'there: no such host' >&2\nexit {code}\n")
    (tmp_path / "ssh").chmod(0o755)
    environment = {**far.cli.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*KIST, "-H", "ssh://there", "ps"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("there: no such host\n")
    assert words in done.stderr


def test_callers_who_go_leave_nothing_behind(far: Far) -> None:
    before = far.open_files
    silent = socket.create_connection(("localhost", far.port), 20)
    vanished = far.context().wrap_socket(
        socket.create_connection(("localhost", far.port), 20), server_hostname="localhost"
    )
    vanished.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert vanished.recv(100).startswith(b"HTTP/1.1 200")
    for each in (silent, vanished):
        each.close()
    until(lambda: far.open_files <= before)


def test_a_managed_engine_leaves_the_sockets_that_it_was_handed(tmp_path: Path) -> None:
    with a_cli(tmp_path) as cli, socket.socket(socket.AF_UNIX) as own:
        (tmp_path / "run").mkdir(mode=0o700)
        own.bind(str(tmp_path / "run" / "engine.sock"))
        own.listen()
        with managed(cli, [own]) as (process, words):
            assert cli.engine_pid() == process.pid
            assert cli.good("ps", "-q") == ""
            # The test listens, as a service manager would, and the engine is what ends.
            cli.good("engine", "stop")
            assert process.wait(30) == 0
            assert words.recv(100) == b"STOPPING=1"
        assert (tmp_path / "run" / "engine.sock").is_socket()
        with managed(cli, [own]):
            assert cli.good("ps", "-q") == ""


ACTIVATE = "systemd-socket-activate"


@pytest.mark.skipif(shutil.which(ACTIVATE) is None, reason=f"needs {ACTIVATE} (Debian: systemd)")
def test_systemds_own_program_hands_sockets_over(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with a_cli(tmp_path) as cli:
        passed = [word for name in ("KIST_ROOT", "KIST_RUN") for word in ("-E", name)]
        command = [ACTIVATE, "-l", str(path), "--fdname=web", *passed, *KIST, "engine", "-H", "fd://web"]
        with subprocess.Popen(command, env=cli.environment, stderr=subprocess.DEVNULL) as process:
            try:
                until(path.exists)
                assert cli.good("-H", f"unix://{path}", "images", "-q") == ""
                assert cli.engine_pid() == process.pid
            finally:
                process.terminate()
        assert path.is_socket()


@pytest.mark.root("systemd-analyze works in the machine's own directories")
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
def test_the_units_are_such_as_systemd_reads(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    shown = cli.good("engine", "units")
    assert "Type=notify" in shown
    assert cli("engine", "units", str(tmp_path)).returncode == 0
    for name in ("kist.socket", "kist.service"):
        assert (tmp_path / name).read_text(encoding="utf-8") in shown + "\n"
    nowhere = cli("engine", "units", str(tmp_path / "none"))
    assert (nowhere.returncode, nowhere.stderr.splitlines()) == (
        1,
        [f"kist: no such directory: {tmp_path}/none", f"make it first: mkdir -p {tmp_path}/none"],
    )
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *map(str, tmp_path.glob("kist.*"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
