"""Who called the engine is on record, whatever came of the call, and however the engine ended."""

import json
import os
import socket
from typing import Any

from harness import BUSYBOX, Cli, kill_engine, until


def send(cli: Cli, request: bytes) -> bytes:
    """The answer to bytes of HTTP, to the connection's end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(cli.directory / "run" / "engine.sock"))
        connection.sendall(request)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def records(cli: Cli) -> list[dict[str, Any]]:
    text = (cli.directory / "data" / "audit.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_each_call_is_recorded_with_who_made_it(small: Cli) -> None:
    small.good("run", "--name", "audited", "--network", "none", BUSYBOX, "true")
    close = b"\r\nHost: x\r\nConnection: close\r\n\r\n"
    send(small, b"GET /v1.50/nowhere?token=s3cret HTTP/1.1" + close)
    send(
        small, b"POST /build?t=a&buildargs=%7B%22TOKEN%22%3A%22s3cret%22%7D HTTP/1.1\r\nX-Registry-Auth: s3cret" + close
    )
    send(small, b"GET /v9.99/_ping HTTP/1.1" + close)
    assert b" 400 " in send(small, b"not HTTP at all\r\n\r\n")
    killed = kill_engine(small)
    found = records(small)
    assert "s3cret" not in json.dumps(found)
    mine = [each for each in found if each.get("pid") == os.getpid()]
    assert {(each["uid"], each["gid"]) for each in mine} == {(os.geteuid(), os.getegid())}
    assert [each["path"] for each in mine[:3]] == ["/v1.50/nowhere", "/build", "/v9.99/_ping"]
    assert [mine[number]["status"] for number in (0, 2, 3)] == [404, 400, 400]
    assert all(each["program"] for each in mine)
    started = next(each for each in found if each["path"].endswith("/start"))
    assert (started["method"], started["status"]) == ("POST", 204)
    assert started["pid"] != killed
    assert started["socket"].endswith("/run/engine.sock")
    made = next(each for each in found if each["path"].endswith("/containers/create"))
    assert made["container"] == "audited"


def test_calls_about_a_container_are_found_by_its_name_its_id_and_the_beginning_of_that(small: Cli) -> None:
    identity = small.good("run", "-d", "--name", "sought", "--network", "none", BUSYBOX, "sleep", "1000")
    small.good("exec", "sought", "true")
    small.good("rename", identity[:9], "found")
    small.good("run", "--rm", "--name", "another", "--network", "none", BUSYBOX, "true")
    small.good("rm", "-f", identity)

    def paths(wanted: str) -> list[str]:
        shown = small.good("system", "audit", "-f", f"container={wanted}", "--format", "{{.Path}}").split()
        return [path.lstrip("/").partition("?")[0] for path in shown]

    about = paths("sought")
    assert about[0] == "containers/create"
    assert "kist/containers/sought/exec" in about
    assert f"containers/{identity[:9]}/rename" in about
    assert not any("another" in path for path in about)
    assert paths(identity) == paths(identity[:7]) == about
    assert paths("found") == about[about.index(f"containers/{identity[:9]}/rename") :]


def test_a_stream_has_a_line_at_its_beginning_and_one_at_its_end(small: Cli) -> None:
    small.good("run", "--name", "talking", "--network", "none", BUSYBOX, "echo", "told")
    small.good("logs", "talking")

    def attached() -> list[tuple[int, bool]]:
        return [(each["status"], each.get("end", False)) for each in records(small) if "/attach" in each["path"]]

    until(lambda: len(attached()) == 2)
    assert attached() == [(101, False), (101, True)]
    told = [
        json.loads(line) for line in small.good("system", "audit", "-f", "path=/logs", "--format", "json").split("\n")
    ]
    assert [each["Status"] for each in told] == ["200", "end"]
    assert len({each["Call"] for each in told}) == 1
    assert "/logs" not in small.good("system", "audit", "--filter", "status=4xx")
    assert "invalid filter" in small("system", "audit", "--filter", "colour=red").stderr
