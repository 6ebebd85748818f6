"""Plain HTTP/1.1 over the Unix socket, with curl, as the plug-ins of build tools speak it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kist.spec.docker.frames import FrameReader

from .conftest import IMAGE, Server, make_tar

pytestmark = [
    pytest.mark.root("serves an engine in a process of its own making"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (Debian: curl)"),
]


def curl(server: Server, method: str, path: str, *options: str, data: bytes = b"") -> bytes:
    """One request that must succeed; the body of its answer."""
    base = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "30"]
    done = subprocess.run(
        [*base, "--unix-socket", server.socket_path, "-X", method, *options, f"http://localhost/v1.41{path}"],
        input=data,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (method, path, done)
    return done.stdout


def test_from_a_tar_to_a_container_that_has_ended(server: Server, tmp_path: Path):
    dockerfile = f'FROM {IMAGE}\nCOPY file /file\nRUN echo more >> /file\nCMD ["cat", "/file"]\n'
    context = tmp_path / "context.tar"
    context.write_bytes(make_tar({"Dockerfile": dockerfile.encode(), "file": b"copied\n"}))
    tar = ("-H", "Content-Type: application/x-tar")
    told = curl(server, "POST", "/build?t=curl:1&forcerm=1", *tar, "-T", str(context))
    lines: list[Any] = [json.loads(line) for line in told.splitlines()]
    assert any("Successfully tagged curl:1" in line.get("stream", "") for line in lines)
    as_json = ("-H", "Content-Type: application/json")
    body = json.dumps({"Image": "curl:1", "HostConfig": {"NetworkMode": "none"}})
    made = json.loads(curl(server, "POST", "/containers/create?name=curl", *as_json, "-d", body))["Id"]
    try:
        attach = ["curl", "--verbose", "--no-buffer", "--max-time", "60", "--unix-socket", server.socket_path]
        address = f"http://localhost/v1.41/containers/{made}/attach?stream=1&stdout=1&stderr=1"
        with subprocess.Popen(
            [*attach, "-X", "POST", address], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as attached:
            assert attached.stdout is not None
            assert attached.stderr is not None
            assert any(b"< HTTP/1.1 200" in line for line in attached.stderr)  # from here on it is attached
            assert curl(server, "POST", f"/containers/{made}/start") == b""
            assert json.loads(curl(server, "POST", f"/containers/{made}/wait"))["StatusCode"] == 0
            shown = attached.stdout.read()
        assert b"".join(payload for _, payload in FrameReader().feed(shown)) == b"copied\nmore\n"
        assert json.loads(curl(server, "GET", f"/containers/{made}/json"))["State"]["ExitCode"] == 0
        logs = curl(server, "GET", f"/containers/{made}/logs?stdout=1&tail=1")
        assert logs == b"\x01\x00\x00\x00\x00\x00\x00\x05more\n"
    finally:
        curl(server, "DELETE", f"/containers/{made}?force=1&v=1")
        curl(server, "DELETE", "/images/curl:1")


def test_a_chunked_context_from_a_pipe(server: Server):
    context = make_tar({"Dockerfile": f"FROM {IMAGE}\n".encode()})
    chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Content-Type: application/x-tar", "-T", "-")
    told = curl(server, "POST", "/build?q=1&t=curl:2", *chunked, data=context)
    assert b"sha256:" in told
    curl(server, "DELETE", "/images/curl:2?noprune=1")


def test_a_failure_is_a_status_and_a_message(server: Server):
    base = ["curl", "--silent", "--unix-socket", server.socket_path, "-o", "-", "-w", "\n%{http_code}"]
    done = subprocess.run([*base, "http://localhost/v1.41/containers/nosuch/json"], capture_output=True, check=True)
    body, status = done.stdout.rsplit(b"\n", 1)
    assert (json.loads(body)["message"], status) == ("No such container: nosuch", b"404")
