"""A web server of a test's own, and Git repositories on it, on the loopback interface."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Page:
    """What a server has at a path."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    short: bool = False  # the connection ends before all of it was sent
    is_told: bool = True  # how large it is
    held: threading.Event | None = None  # it is not answered before this is set


class Site(ThreadingHTTPServer):
    """A web server; ``asked`` are the requests that were answered: status and path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[int, str]] = []
        self.after_one: dict[str, Page] = {}  # what is at a path from its next answer on
        self.address = f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, body: bytes, **headers: str) -> str:
        """The URL at which this is from now on; ``Last_Modified`` is a header."""
        self.pages[path] = Page(body, {name.replace("_", "-"): value for name, value in headers.items()})
        return self.address + path

    def take(self) -> list[tuple[int, str]]:
        """What was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, Site)
        path = self.path.partition("?")[0]
        page = site.pages.get(path)
        # Before the answer: who has it may at once have other plans.
        if (later := site.after_one.pop(path, None)) is not None:
            site.pages[path] = later
        if page is None:
            status, page = 404, Page(b"")
        else:
            status = 304 if self._is_known(page) else 200
        site.asked.append((status, path))
        if page.held is not None:
            page.held.wait(60)
        self.send_response(status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        body = page.body if status == 200 else b""
        if page.is_told:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked may want no more
            self.wfile.write(body[:3] if page.short else body)

    def _is_known(self, page: Page) -> bool:
        etag, date = page.headers.get("ETag"), page.headers.get("Last-Modified")
        return bool(etag and self.headers["If-None-Match"] == etag) or bool(
            date and not etag and self.headers["If-Modified-Since"] == date
        )

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def a_site() -> Iterator[Site]:
    """One, for the time of the block."""
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Repository:
    """A repository that a web server has, and the ids of its commits."""

    url: str
    publish: Callable[[], None]
    git: Callable[..., str]
    work: Path
    one: str = ""
    two: str = ""


def a_repository(site: Site, directory: Path) -> Repository:
    """One with two branches and a tag, which the site has; a directory of its own is where it is made."""
    if shutil.which("git") is None:
        pytest.skip("needs git (Debian: git)")
    work = directory / "work"
    work.mkdir()
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    plain = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *named, *arguments], cwd=work, env=plain, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def publish() -> None:
        bare = directory / "bare"
        shutil.rmtree(bare, ignore_errors=True)
        git("clone", "--bare", str(work), str(bare))
        git("-C", str(bare), "update-server-info")
        for path in bare.rglob("*"):
            if path.is_file():
                site.put(f"/r.git/{path.relative_to(bare)}", path.read_bytes())

    made = Repository(f"{site.address}/r.git", publish, git, work)
    (work / "sub").mkdir()
    (work / "file").write_text("one", encoding="utf-8")
    (work / "sub" / "deep").write_text("deep", encoding="utf-8")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    made.one = git("rev-parse", "HEAD")
    git("tag", "-a", "v1", "-m", "first")
    git("checkout", "-b", "other")
    (work / "file").write_text("two", encoding="utf-8")
    git("commit", "-am", "two")
    made.two = git("rev-parse", "HEAD")
    git("checkout", "main")
    publish()
    return made
