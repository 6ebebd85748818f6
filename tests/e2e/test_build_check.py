"""Build checks of a machine on which an engine runs: what base images define, and what a build tells."""

import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import Cli


@pytest.fixture
def context(cli: Cli, tmp_path: Path) -> Iterator[Path]:
    """A directory whose Dockerfile stands on an image with a variable of its own."""
    path = tmp_path / "context"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\nENV PLACE=/p\nCOPY Dockerfile /\n")
    cli.good("build", "-q", "-t", "placed:1", "--no-lock", str(path))
    (path / "Dockerfile").write_text("FROM placed:1\nCOPY Dockerfile $PLACE/\nCOPY Dockerfile $PLACES/\nCMD a\n")
    yield path
    cli.good("rmi", "-f", *cli.good("images", "-q", "--filter", "reference=placed").split())


def test_an_engine_that_runs_tells_what_bases_define(cli: Cli, context: Path) -> None:
    done = cli("build", "--check", str(context))
    assert done.returncode == 1
    assert "Usage of undefined variable '$PLACES' (did you mean $PLACE?)\nDockerfile:3\n" in done.stdout
    assert "not checked" not in done.stdout


def test_a_build_tells_what_is_found_unless_it_is_quiet(cli: Cli, context: Path) -> None:
    done = cli("build", "--no-lock", "-t", "placed:2", str(context))
    told = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert [line.split(":")[1].strip() for line in told] == ["UndefinedVar", "JSONArgsRecommended"]
    assert cli("build", "-q", "--no-lock", "-t", "placed:2", str(context)).stderr == ""


def test_a_base_for_another_platform_is_told(cli: Cli, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    cli.good("build", "-q", "-t", "placed:1", "--no-lock", "--platform", "linux/s390x", str(context))
    (context / "Dockerfile").write_text("FROM placed:1\nCOPY Dockerfile /there\n")
    words = 'Base image placed:1 was pulled with platform "linux/s390x", expected "linux/amd64" for current build'
    done = cli("build", "--check", "--platform", "linux/amd64", str(context))
    assert (done.returncode, words in done.stdout) == (1, True), done.stdout
    assert "InvalidBaseImagePlatform" not in cli("build", "--check", "--platform", "linux/s390x", str(context)).stdout
    if os.uname().machine == "x86_64":  # without --platform the build takes it all the same
        assert f"warning: InvalidBaseImagePlatform: {words}" in cli("build", "--no-lock", str(context)).stderr


class Site(BaseHTTPRequestHandler):
    """A Dockerfile as text, and an archive with one and what is ignored for it."""

    def do_GET(self) -> None:
        text, kind = (DOCKERFILE, "text/plain") if self.path == "/Dockerfile" else (archived(), "application/x-tar")
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


DOCKERFILE = b"FROM scratch AS Cased\nCOPY secret /\n"


def archived() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in (("Containerfile", DOCKERFILE), (".dockerignore", b"secret\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return made.getvalue()


@pytest.mark.parametrize(("path", "rules"), [("Dockerfile", 1), ("context.tar", 2)])
def test_a_context_at_a_url_is_fetched_by_the_engine(cli: Cli, path: str, rules: int) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        done = cli("build", "--check", "--format", "json", f"http://127.0.0.1:{server.server_port}/{path}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 1, done.stderr
    found = [each["ruleName"] for each in json.loads(done.stdout)["warnings"]]
    assert found == ["StageNameCasing", "CopyIgnoredFile"][:rules]
