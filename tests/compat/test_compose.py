"""docker-compose of version 1, unmodified, and ``docker compose`` where there is one, on three services."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import busybox_tar, until

from .conftest import Server, docker_programs

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

# What version 1 and version 2 both read. A name of an image that no other test has: they compare lists.
FILE = """
version: "2.4"
services:
  db:
    image: compose/base:1
    command: sh -c 'echo kept >> /data/file; exec nc -ll -p 5432 -e cat /data/file'
    volumes: ["data:/data"]
    networks: {back: {aliases: [database]}}
    healthcheck: {test: "nc 127.0.0.1 5432 < /dev/null", interval: 0.2s, timeout: 5s, retries: 50}
    stop_grace_period: 0s
  app:
    build: {context: app, args: {WORD: built}}
    image: compose/app:1
    depends_on: {db: {condition: service_healthy}}
    environment: [WHO=compose]
    networks: [back]
    stop_grace_period: 0s
  front:
    image: compose/base:1
    command: sh -c 'echo front is up; exec sleep 1000'
    links: ["app:backend"]
    networks: [back]
    ports: ["127.0.0.1::80"]
    stop_grace_period: 0s
networks:
  back: {}
volumes:
  data: {}
"""
DOCKERFILE = """
FROM compose/base:1
ARG WORD
RUN echo $WORD > /word
CMD echo app says $WHO $(cat /word) $(nc database 5432); exec sleep 1000
"""


OF_PROJECT = "%7B%22label%22%3A%5B%22com.docker.compose.project%3Dshop%22%5D%7D"
"""The filter for what has the project's label, as a query has it."""


@dataclass(frozen=True)
class Compose:
    """One version of Compose on a project."""

    command: tuple[str, ...]
    directory: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=90,
            check=False,
        )

    def good(self, *arguments: str) -> str:
        """One command that must succeed; its standard output."""
        done = self(*arguments)
        assert done.returncode == 0, (arguments, done)
        return done.stdout.decode()


def _versions() -> list[tuple[str, ...]]:
    """Version 1 by its name, version 2 as a plug-in of a docker client."""
    old = shutil.which("docker-compose", path="/usr/bin:/usr/local/bin")
    found: list[tuple[str, ...]] = [(old,)] if old else []
    new = [(program, "compose") for program in docker_programs()]
    return found + [words for words in new if _works(*words, "version")]


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(params=_versions() or [()], ids=lambda command: "-".join(Path(word).name for word in command) or "none")
def compose(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[Compose]:
    if not request.param:
        pytest.skip("needs docker-compose (Debian: docker-compose)")
    server.good("POST", "/images/create?fromSrc=-&repo=compose/base&tag=1&changes=CMD%20sh", raw=busybox_tar())
    project = tmp_path / "shop"
    (project / "app").mkdir(parents=True)
    (project / "docker-compose.yml").write_text(FILE)
    (project / "app" / "Dockerfile").write_text(DOCKERFILE)
    own = {
        "DOCKER_HOST": server.host,
        "DOCKER_CONFIG": str(tmp_path),
        "DOCKER_BUILDKIT": "0",
        "COMPOSE_DOCKER_CLI_BUILD": "0",
    }
    made = Compose(request.param, project, {**os.environ, **own})
    yield made
    if left(server):
        made("down", "-v", "-t", "0", "--remove-orphans")
    for name in ("compose/app:1", "compose/base:1"):
        server.ask("DELETE", f"/images/{name}?force=1")


def says(compose: Compose, service: str, words: str) -> Callable[[], bool]:
    """Whether a service has said words."""
    return lambda: words in compose.good("logs", "--no-color", service)


def left(server: Server) -> list[str]:
    """The names of what the project has: containers, networks and volumes."""
    containers, networks, volumes = (
        server.good("GET", f"{path}filters={OF_PROJECT}")
        for path in ("/containers/json?all=1&", "/networks?", "/volumes?")
    )
    return [each.get("Name") or each["Names"][0] for each in [*containers, *networks, *(volumes["Volumes"] or ())]]


def test_three_services_go_up_work_together_and_go_down(compose: Compose, server: Server):
    compose.good("up", "-d")
    until(says(compose, "app", "app says compose built kept"))
    shown = compose.good("ps")
    assert shown.count("Up") == 3
    assert "(healthy)" in shown
    done = compose("exec", "-T", "front", "sh", "-c", "nc db 5432; ping -c 1 -W 2 backend; exit 7")
    assert (done.returncode, done.stdout[:5]) == (7, b"kept\n")
    assert b"1 packets received" in done.stdout
    done = compose("run", "--rm", "-T", "-e", "WHO=run", "app", "sh", "-c", "echo $WHO; cat /word; cat", stdin=b"read")
    assert done.stdout == b"run\nbuilt\nread"
    compose.good("down", "-v", "-t", "0")
    assert not left(server)


@pytest.mark.skipif(
    "KIST_LONG_TESTS" not in os.environ, reason="starts Compose a dozen times: KIST_LONG_TESTS=1 runs it"
)
def test_services_are_started_again_looked_at_and_kept(compose: Compose, server: Server):
    compose.good("up", "-d", "--build")
    before = left(server)
    compose.good("up", "-d")  # nothing has changed, so nothing is made anew
    assert left(server) == before
    assert compose.good("port", "front", "80").startswith("127.0.0.1:")
    assert "sleep" in compose.good("top", "front")
    assert compose.good("images").count("compose") >= 3
    compose.good("pause", "front")
    compose.good("unpause", "front")
    compose.good("restart", "-t", "0", "db")
    until(lambda: compose("exec", "-T", "front", "nc", "db", "5432").stdout == b"kept\nkept\n")
    compose.good("kill", "app")
    compose.good("rm", "-f", "app")
    compose.good("up", "-d", "--scale", "app=2")
    assert compose.good("ps", "-q", "app").count("\n") == 2
    compose.good("stop", "-t", "0")
    compose.good("start")
    compose.good("down", "-t", "0")
    assert left(server) == ["shop_data"]
    compose.good("up", "-d")
    until(says(compose, "app", "kept kept kept"))
    compose.good("down", "-v", "-t", "0")
    assert not left(server)
