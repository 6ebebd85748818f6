"""The engine as a process: one for each run root, replaceable at any moment, and containers do not notice."""

import http.client
import os
import signal
import socket
import subprocess
import sys

import pytest

from .conftest import Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

_SERVE = """
import sys
from kist.api.server import serve
from kist.engine.rootless import Entry
serve(*sys.argv[1:], Entry())
"""


def test_a_second_engine_says_who_has_the_run_root(server: Server):
    roots = [str(server.directory / "data"), str(server.directory / "run")]
    second = subprocess.run([sys.executable, "-c", _SERVE, *roots], capture_output=True, timeout=30, check=False)
    assert second.returncode != 0
    assert server.process is not None
    assert f"an engine is already running for {roots[1]} (process {server.process.pid})" in second.stderr.decode()
    assert server.ask("GET", "/_ping").status == 200


def test_containers_outlive_an_engine_that_is_killed(fresh_server: Server):
    server = fresh_server
    running = server.run("sh", "-c", "echo before; sleep 1; echo after; exit 6")
    server.signal(signal.SIGKILL)
    assert os.path.exists(server.socket_path)
    server.start()
    assert server.wait(running) == 6
    assert b"before\n" in server.ask("GET", f"/containers/{running}/logs?stdout=1").body
    assert b"after\n" in server.ask("GET", f"/containers/{running}/logs?stdout=1").body


def test_a_graceful_end_closes_streams_and_leaves_containers_running(fresh_server: Server):
    server = fresh_server
    running = server.run("sleep", "1000")
    requests = [
        f"POST /containers/{running}/wait",
        f"GET /containers/{running}/logs?stdout=1&follow=1",
        f"POST /containers/{running}/attach?stream=1&stdout=1",
    ]
    open_streams: list[socket.socket] = []
    for request in requests:
        connection = server.connect()
        connection.sendall(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        open_streams.append(connection)
    assert server.signal(signal.SIGTERM) == 0
    for connection in open_streams:
        with connection:
            while connection.recv(65536):
                pass
    assert not os.path.exists(server.socket_path)
    assert not os.path.exists(server.directory / "run" / "engine.pid")
    server.start()
    assert server.good("GET", f"/containers/{running}/json")["State"]["Running"]


def test_a_fault_inside_breaks_the_answer_off_and_is_told_in_the_log(server: Server):
    made = server.run("echo", "printed")
    server.wait(made)
    log = server.good("GET", f"/containers/{made}/json")["LogPath"]
    os.mkdir(f"{log}.1")  # where an older part of it would be
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        server.ask("GET", f"/containers/{made}/logs?stdout=1")
    assert "Traceback" in (server.directory / "run" / "engine.log").read_text()
    server.remove(made)
