"""Docker in Docker by socket: a docker client in a container that has the engine's socket works with that engine."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import busybox_tar

from .conftest import IMAGE, Docker, Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

WITH_CLIENT = "with-a-client:1"
SCRIPT = """
set -e
mkdir /context
printf 'FROM %s\\nRUN echo made inside > /file\\nCMD cat /file\\n' "$1" > /context/Dockerfile
docker build -q -t built-inside:1 /context
docker run --rm --network none --name sibling built-inside:1
docker ps --format '{{.Names}}'
"""


def _libraries(program: str) -> list[str]:
    """The paths of a program's shared libraries and of its loader; none of a static one."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [word for word in listed.split() if word.startswith("/")]


@pytest.fixture
def image(docker: Docker, server: Server) -> Iterator[str]:
    """An image with a shell and the docker client of the host."""
    made = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=made, mode="a") as archive:
        for path in [docker.program, *_libraries(docker.program)]:
            name = "usr/bin/docker" if path == docker.program else path.strip("/")
            archive.add(Path(path).resolve(), name)
    server.good("POST", f"/images/create?fromSrc=-&repo={WITH_CLIENT}", raw=made.getvalue())
    yield WITH_CLIENT
    for name in ("built-inside:1", WITH_CLIENT):
        server.ask("DELETE", f"/images/{name}?force=1")


def test_a_client_inside_builds_and_starts_a_sibling(docker: Docker, server: Server, image: str):
    socket = ("-v", f"{server.socket_path}:/var/run/docker.sock", "-e", "DOCKER_BUILDKIT=0")
    done = docker("run", "--rm", "--name", "outer", *socket, image, "sh", "-c", SCRIPT, "sh", IMAGE)
    assert done.returncode == 0, done
    digest, said, *running = done.stdout.decode().splitlines()
    assert digest.startswith("sha256:")
    assert said == "made inside"
    assert "outer" in running
