"""``import`` from the web, and the platforms of images."""

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kist.engine import Engine
from kist.engine.download import open_url
from kist.errors import InvalidInput, NotFound, Unavailable


def a_tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    return made.getvalue()


class Site(BaseHTTPRequestHandler):
    """A server with one good archive and several bad answers."""

    archive: ClassVar[bytes] = a_tar()

    def do_GET(self) -> None:
        {
            "/good.tar.gz": lambda: self.answer(200, self.archive),
            "/moved": lambda: self.answer(302, b"", Location="/good.tar.gz"),
            "/to-file": lambda: self.answer(302, b"", Location="file:///etc/passwd"),
            "/short": lambda: self.answer(200, self.archive[:50], length=len(self.archive)),
            "/huge": lambda: self.answer(200, b"", length=1 << 60),
            "/broken": lambda: self.answer(503, b"down"),
            "/text": lambda: self.answer(200, b"no tar at all" * 100),
        }.get(self.path, lambda: self.answer(404, b"nothing"))()

    def answer(self, code: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of a server on the loopback interface."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/good.tar.gz", "/moved"])
def test_import_from_the_web(cli: Any, site: str, path: str) -> None:
    identity = cli.good("import", "-c", "LABEL a=b", site + path, "from-web:1")
    found = json.loads(cli.good("image", "inspect", "from-web:1"))[0]
    assert (found["Id"], found["Comment"]) == (identity, f"Imported from {site}{path}")
    cli.good("rmi", "from-web:1")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "Got HTTP status code >= 400: 404"),
        ("/broken", "Got HTTP status code >= 400: 503"),
        ("/short", "it ended after 50 of"),
        ("/huge", f"has {1 << 60} bytes, and"),
        ("/to-file", "file"),
        ("/text", "damaged"),
    ],
)
def test_an_import_that_cannot_be_had_says_why_and_leaves_nothing(cli: Any, site: str, path: str, words: str) -> None:
    before = cli.good("images", "-aq", "--no-trunc")
    done = cli("import", site + path, "from-web:2")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert cli.good("images", "-aq", "--no-trunc") == before


def test_a_url_that_nobody_serves(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        open_url("http://127.0.0.1:1/x.tar", str(tmp_path))
    with pytest.raises(InvalidInput, match="invalid source"):
        open_url("ftp://127.0.0.1/x.tar", str(tmp_path))


def test_an_image_for_another_platform(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(a_tar())
    cli.good("import", "--platform", "linux/s390x", str(tmp_path / "a.tar.gz"), "foreign:1")
    found = json.loads(cli.good("image", "inspect", "--platform", "linux/s390x", "foreign:1"))[0]
    assert found["Architecture"] == "s390x"
    for command in (["image", "inspect"], ["history"], ["rmi"], ["save", "-o", str(tmp_path / "out.tar")]):
        done = cli(*command, "--platform", "linux/arm64", "foreign:1")
        assert done.returncode == 1, command
        assert "does not provide the specified platform (linux/arm64)" in done.stderr
    assert not (tmp_path / "out.tar").exists()
    cli.good("save", "--platform", "linux/s390x", "-o", str(tmp_path / "out.tar"), "foreign:1")
    assert cli.good("rmi", "--platform", "linux/s390x", "foreign:1").startswith("Untagged: foreign:1")
    assert cli.good("load", "--platform", "linux/s390x", "-i", str(tmp_path / "out.tar")) == "Loaded image: foreign:1"
    cli.good("rmi", "foreign:1")
    done = cli("import", "--platform", "a/b/c/d", str(tmp_path / "a.tar.gz"))
    assert "invalid platform 'a/b/c/d'" in done.stderr


def test_the_library_knows_platforms_too(engine: Engine) -> None:
    image = engine.import_image(io.BytesIO(a_tar()), "lib:1", platform="arm64")
    assert str(image.config.platform) == "linux/arm64"
    with pytest.raises(NotFound, match="specified platform"):
        engine.save(["lib:1"], io.BytesIO(), platform="linux/amd64")
    engine.remove_image("lib:1")
