"""The unmodified docker client's everyday commands, some three hundred: a transcript of the terminal for each topic.

The newest client of the machine does them all, the others the one of every day; with KIST_LONG_TESTS=1 all do all.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import busybox_tar

from .conftest import IMAGE, Server, a_server, client_version, docker_programs, name_of_program
from .transcript import play, read

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

DIRECTORY = Path(__file__).parent / "transcripts"
TOPICS = sorted(path.stem for path in DIRECTORY.glob("*.txt"))
EVERYDAY = "everyday"
LISTS = ("/containers/json?all=1", "/images/json", "/networks", "/volumes")


def _plays() -> list[tuple[str, str]]:
    """Which client does which transcript."""
    newest, *others = docker_programs() or ("",)
    topics = TOPICS if os.environ.get("KIST_LONG_TESTS") else [EVERYDAY]
    return [(newest, topic) for topic in TOPICS] + [(other, topic) for other in others for topic in topics]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An engine of the transcripts' own, for they show all that it has: one image, called busybox."""
    with a_server(tmp_path_factory.mktemp("told")) as made:
        made.good("POST", "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20sh", raw=busybox_tar())
        made.good("DELETE", f"/images/{IMAGE}")
        yield made


@pytest.mark.parametrize(
    ("program", "topic"), _plays(), ids=lambda word: name_of_program(word) if "/" in word else word
)
def test_the_terminal_shows(own_server: Server, tmp_path: Path, program: str, topic: str):
    if not program:
        pytest.skip("needs a docker client (Debian: docker.io)")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").symlink_to(program)
    (tmp_path / "work").mkdir()
    environment = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DOCKER_HOST": own_server.host,
        "DOCKER_BUILDKIT": "0",
        "LC_ALL": "C.UTF-8",
    }
    steps = read((DIRECTORY / f"{topic}.txt").read_text(encoding="utf-8"), client_version(program)[0])
    assert steps
    before = _things(own_server)
    wrong = list(play(steps, tmp_path / "work", environment))
    left = _things(own_server) - before
    _clear(own_server, left)
    assert not wrong, "\n\n".join(["the terminal showed something else", *wrong])
    assert not left


def _things(server: Server) -> set[str]:
    """The paths of all containers, images, networks and volumes of an engine."""
    containers, images, networks, volumes = (server.good("GET", path) for path in LISTS)
    return {
        *(f"/containers/{each['Id']}?force=1&v=1" for each in containers),
        *(f"/images/{name}?force=1" for each in images for name in each["RepoTags"] or [each["Id"]]),
        *(f"/networks/{each['Name']}" for each in networks),
        *(f"/volumes/{each['Name']}" for each in volumes["Volumes"] or ()),
    }


def _clear(server: Server, left: set[str]) -> None:
    """Remove what a transcript has left, so that the next one tells of itself; containers first."""
    for path in sorted(left):
        server.ask("DELETE", path)
