"""Contexts that are sent again: what is the same is neither written nor read again, and nothing is kept for long."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import IMAGE, Answer, Server, make_tar

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

DOCKERFILE = f"FROM {IMAGE}\nCOPY files/ /files/\nRUN echo sum: $(cat /files/*)\n"
Files = dict[str, bytes]


def files(**changed: bytes) -> Files:
    return {f"files/{number}": b"%d" % number for number in range(150)} | {f"files/{k}": v for k, v in changed.items()}


def archive(content: Files) -> bytes:
    return make_tar({"Dockerfile": DOCKERFILE.encode(), **content})


def build(server: Server, content: Files, query: str = "t=kept:1") -> Answer:
    answer = server.ask("POST", f"/build?{query}", raw=archive(content), headers={"Content-Type": "application/x-tar"})
    assert (answer.status, "error" in answer.lines[-1]) == (200, False), answer.body
    return answer


def sum_of(answer: Answer) -> str:
    """What the image's files have in them, as the command told when it ran; empty where it did not."""
    found = re.search(r"^sum: (.+)$", "".join(line.get("stream", "") for line in answer.lines), re.MULTILINE)
    return found[1] if found else ""


def kept(server: Server) -> dict[str, str]:
    """Inode and time of birth of the files of the one context that is kept, by their names.

    The inode alone may be that of a file that has gone.
    """
    found = list((server.directory / "data/cache-mounts").glob("*/0/context/files/*"))
    lines = subprocess.check_output(["stat", "--format=%n/%i %w", *found], text=True) if found else ""
    return dict(line.rsplit("/", 2)[1:] for line in lines.splitlines())


def entries(server: Server) -> list[dict[str, Any]]:
    return [each for each in server.good("GET", "/system/df")["BuildCache"] if each["Type"] == "source.local"]


@pytest.fixture
def room(server: Server) -> Iterator[Server]:
    """The engine, without contexts and images of these tests before and afterwards."""

    def prune() -> None:
        server.ask("DELETE", "/images/kept:1?force=1")
        server.good("POST", "/build/prune?all=1")

    prune()
    yield server
    prune()
    assert not kept(server)
    assert not entries(server)


def test_what_is_the_same_is_moved(room: Server) -> None:
    first = build(room, files())
    before = kept(room)
    assert len(before) == 150
    [entry] = entries(room)
    assert entry["Description"] == "local source for kept"
    assert entry["Size"] > 150 * 4096
    again = build(room, files())
    assert kept(room) == before
    assert again.lines[-3:-1] == first.lines[-3:-1], "the same image, from the cache"
    assert sum_of(first)
    assert not sum_of(again)


def test_what_is_not_the_same_is_in_the_image(room: Server) -> None:
    first = build(room, files())
    before = kept(room)
    changed = files(**{"7": b"0", "8": b"x"})
    del changed["files/9"]
    second = build(room, changed)
    after = kept(room)
    assert after.keys() == before.keys() - {"9"}
    assert {name for name in after if after[name] != before[name]} == {"7", "8"}
    assert sum_of(second) not in {"", sum_of(first)}
    assert sum_of(build(room, changed, "t=kept:1&nocache=1")) == sum_of(second)
    assert not sum_of(build(room, files())), "what was built first is still known"


def lose_what_is_known(place: Path) -> None:
    [known] = place.glob("known-*")
    known.unlink()


def begin_anew(place: Path) -> None:
    """As after a start of the machine."""
    [known] = place.glob("known-*")
    known.rename(known.with_name("known-of-another-boot"))


def damage(place: Path) -> None:
    """What is not as it was left: another file is there, and one that only looks the same."""
    (place / "context/files/7").unlink()
    (place / "context/files/7").write_bytes(b"0")
    (place / "context/files/8").write_bytes(b"0")
    os.utime(place / "context/files/8", (0, 0))


@pytest.mark.parametrize("spoil", [lose_what_is_known, begin_anew, damage])
def test_nothing_else_is_believed(room: Server, spoil: Callable[[Path], None]) -> None:
    first = build(room, files())
    before = kept(room)
    [place] = (room.directory / "data/cache-mounts").glob("*/0")
    spoil(place)
    build(room, files())
    after = kept(room)
    anew = {name for name in after if after[name] != before[name]}
    assert anew == ({"7", "8"} if spoil is damage else after.keys())
    assert sum_of(build(room, files(), "t=kept:1&nocache=1")) == sum_of(first)
    assert sorted(path.name for path in place.iterdir()) == ["context", next(place.glob("known-*")).name]


def test_small_contexts_are_not_kept(room: Server) -> None:
    build(room, {"files/x": b"x"})
    assert not kept(room)
    assert not entries(room)


def test_a_failed_build_keeps_its_context(room: Server) -> None:
    broken = {**files(), "Dockerfile": f"FROM {IMAGE}\nCOPY files/ /files/\nRUN false\n".encode()}
    answer = room.ask("POST", "/build?t=kept:1", raw=make_tar(broken), headers={"Content-Type": "application/x-tar"})
    assert "error" in answer.lines[-1]
    before = kept(room)
    build(room, files())
    assert kept(room) == before


def test_many_send_the_same_at_once(room: Server) -> None:
    build(room, files())
    sums: list[str] = []
    contents = [files(**{"7": bytes([65 + number])}) for number in range(4)]
    threads = [threading.Thread(target=lambda one=one: sums.append(sum_of(build(room, one)))) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(sums) - {""}) == 4
    assert len(kept(room)) == 150
    assert not os.listdir(room.directory / "data/tmp")


def test_an_engine_that_is_killed_while_a_context_comes_leaves_nothing(fresh_server: Server) -> None:
    server = fresh_server
    first = build(server, files())
    data = archive(files())
    with server.connect() as connection:
        connection.sendall(
            b"POST /build?t=kept:1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n"
            b"Content-Length: %d\r\n\r\n" % len(data) + data[: len(data) // 2]
        )
        deadline = time.monotonic() + 20
        while not list((server.directory / "data/tmp").glob("*/earlier")):
            assert time.monotonic() < deadline
        server.signal(signal.SIGKILL)
    server.start()
    assert not os.listdir(server.directory / "data/tmp")
    assert not kept(server)
    again = build(server, files())
    assert again.lines[-3:-1] == first.lines[-3:-1]
    assert len(kept(server)) == 150
