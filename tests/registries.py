"""Registries for tests: Debian's (docker-registry) on a port of this machine, and servers that do as they are told."""

import base64
import json
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from kist.spec.credentials import Login

ADA = Login("ada", "p:ss w0rd")
_ADAS_LINE = "ada:$2y$04$PKRa3JYP6dbXCQ.Ns8ItqOzAkeCWJtVlAUVHQZGBd7goBd2JJPyHe"
_PROGRAM = "docker-registry"


class Asked(NamedTuple):
    """A request that a server of ours got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)


class Told(NamedTuple):
    """What it answers; with ``cut`` it breaks the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    cut: int | None = None


class Server:
    """A server on a port of this machine whose answers are a function of the requests.

    Args:
        answer: the function.
        tls: where it encrypts.
        ports: gets the port that each request came from.

    Attributes:
        domain: ``127.0.0.1:PORT``.
        asked: the requests so far.
    """

    def __init__(
        self, answer: Callable[[Asked], Told], tls: ssl.SSLContext | None = None, ports: list[int] | None = None
    ) -> None:
        self.asked: list[Asked] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                asked = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(size))
                server.asked.append(asked)
                if ports is not None:
                    ports.append(self.client_address[1])
                told = answer(asked)
                self.send_response(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in told.headers:
                    self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(told.body[: told.cut])
                if told.cut is not None:
                    self.close_connection = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._serve
                raise AttributeError(name)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Unnamed(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.domain = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Unnamed(ThreadingHTTPServer):
    """Nobody is asked for its name, which may take long."""

    server_bind = socketserver.TCPServer.server_bind


class Running(NamedTuple):
    """A registry of Debian's.

    Attributes:
        domain: ``127.0.0.1:PORT``.
        process: which serves it.
        blobs: the directory of its content.
    """

    domain: str
    process: "subprocess.Popen[str]"
    directory: Path

    @property
    def blobs(self) -> Path:
        return self.directory / "docker/registry/v2/blobs/sha256"

    def data_of(self, digest: str) -> Path:
        """The file of a blob."""
        name = digest.partition(":")[2]
        return self.blobs / name[:2] / name / "data"


@contextmanager
def debians(
    directory: Path, auth: Mapping[str, Any] | None = None, tls: Mapping[str, Any] | None = None
) -> Iterator[Running]:
    """One with nothing in it, for the time of the block; with ``auth`` and ``http.tls`` of its configuration."""
    if shutil.which(_PROGRAM) is None:
        pytest.skip(f"needs {_PROGRAM} (Debian: {_PROGRAM})")
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "content")}},
        "http": {"addr": "127.0.0.1:0", "relativeurls": False, **({"tls": tls} if tls else {})},
        **({"auth": auth} if auth else {}),
    }
    (directory / "config.yml").write_text(json.dumps(config))
    process = subprocess.Popen(
        [_PROGRAM, "serve", str(directory / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process:
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if "listening on" in line:
                    break
            else:
                raise AssertionError("".join(said))
            domain = line.partition("listening on ")[2].split('"')[0].partition(",")[0].strip()
            drain = threading.Thread(target=process.stderr.read, daemon=True)
            drain.start()
            yield Running(domain, process, directory / "content")
        finally:
            process.terminate()
            process.wait(20)
            drain.join(20)


@contextmanager
def encrypting(directory: Path, files: Path, *, asks: bool = False) -> Iterator[Running]:
    """One that shows the server's certificate of ``certificates.make``; with ``asks``, to nobody without a client's."""
    tls: dict[str, Any] = {"certificate": str(files / "server-cert.pem"), "key": str(files / "server-key.pem")}
    with debians(directory, tls=tls | ({"clientcas": [str(files / "ca.pem")]} if asks else {})) as running:
        yield running


@contextmanager
def with_passwords(directory: Path) -> Iterator[Running]:
    """One that knows nobody but ``ADA``, by name and password."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "passwords").write_text(_ADAS_LINE)
    with debians(directory, {"htpasswd": {"realm": "kist", "path": str(directory / "passwords")}}) as running:
        yield running


class Tokens:
    """A token server for ``ADA`` (the distribution project's token authentication): it signs what it is asked for."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs openssl (Debian: openssl)")
        directory.mkdir(parents=True, exist_ok=True)
        self._key, self.certificate = directory / "key.pem", directory / "cert.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kist tokens", "-days", "9"]
        command += ["-keyout", str(self._key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        self.server = Server(self._answer)

    def _answer(self, asked: Asked) -> Told:
        if asked.method == "POST":
            form = parse_qs(asked.body.decode())
            if form.get("refresh_token") != ["adas-token"]:
                return Told(401, b'{"error": "invalid_grant"}')
            scopes, service = form.get("scope", [""])[0].split(), form["service"][0]
            return Told(200, json.dumps({"access_token": self._token(service, scopes)}).encode())
        pair = asked.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(pair).decode() != f"{ADA.username}:{ADA.password}":
            return Told(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}')
        token = self._token(asked.query["service"][0], asked.query.get("scope", []))
        return Told(200, json.dumps({"token": token, "expires_in": 300}).encode())

    def _token(self, service: str, scopes: list[str]) -> str:
        der = self.certificate.read_text().replace("\n", "")
        der = der.removeprefix("-----BEGIN CERTIFICATE-----").removesuffix("-----END CERTIFICATE-----")
        now = int(time.time())
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        claims = {"iss": "kist", "aud": service, "sub": "ada", "exp": now + 300, "nbf": now - 9, "iat": now - 9}
        parts = ({"typ": "JWT", "alg": "RS256", "x5c": [der]}, {**claims, "jti": str(now), "access": access})
        text = ".".join(_unpadded(json.dumps(part).encode()) for part in parts)
        command = ["openssl", "dgst", "-sha256", "-sign", str(self._key)]
        signature = subprocess.run(command, input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{_unpadded(signature)}"


@contextmanager
def with_tokens(directory: Path) -> Iterator[tuple[Running, Tokens]]:
    """One that has a token server tell it who asks."""
    tokens = Tokens(directory)
    with tokens.server:
        realm = f"http://{tokens.server.domain}/token?kist=1"
        settings = {"service": "kist registry", "issuer": "kist", "rootcertbundle": str(tokens.certificate)}
        with debians(directory, {"token": {"realm": realm, **settings}}) as running:
            yield running, tokens


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
