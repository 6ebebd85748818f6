"""Volumes by the unmodified docker client."""

import json
from collections.abc import Iterator

import pytest

from kist.spec.docker.versions import parse_version

from .conftest import IMAGE, Docker

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


@pytest.fixture(autouse=True)
def tidy(docker: Docker) -> Iterator[None]:
    yield
    for name in docker.good("volume", "ls", "-q").split():
        docker("volume", "rm", name)


def test_a_volume_is_made_used_shown_and_removed(docker: Docker):
    words = ("--label", "team=survey", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m")
    assert docker.good("volume", "create", *words, "store") == "store\n"
    (found,) = json.loads(docker.good("volume", "inspect", "store"))
    assert found["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    assert (found["Driver"], found["Scope"], found["Labels"]) == ("local", "local", {"team": "survey"})
    assert docker.good("volume", "ls", "-q", "--filter", "label=team=survey") == "store\n"
    assert (
        docker.good("volume", "ls", "--format", "{{.Driver}} {{.Name}}", "--filter", "dangling=true") == "local store\n"
    )
    docker.good("create", "--name", "user", "-v", "store:/data", IMAGE, "true")
    done = docker("volume", "rm", "store")
    assert b"remove store: volume is in use - [" in done.stderr
    docker.good("rm", "user")
    assert docker.good("volume", "rm", "store") == "store\n"
    assert b"no such volume" in docker("volume", "inspect", "store").stderr.lower()


def test_prune_and_what_is_refused(docker: Docker):
    nameless = docker.good("volume", "create").strip()
    docker.good("volume", "create", "named")
    said = docker.good("volume", "prune", "-f")
    if parse_version(docker.good("version", "--format", "{{.Client.APIVersion}}").strip()) < (1, 42):
        assert set(said.splitlines()[1:3]) == {nameless, "named"}  # it says so before it asks
    else:
        assert said == f"Deleted Volumes:\n{nameless}\n\nTotal reclaimed space: 0B\n".replace("0B", said.split()[-1])
        assert docker.good("volume", "ls", "-q") == "named\n"
        assert "named" in docker.good("volume", "prune", "-f", "--filter", "all=true")
    assert b'invalid option: "foo"' in docker("volume", "create", "-o", "foo=1", "x").stderr
    assert docker.good("volume", "ls", "-q") == ""


def test_a_mount_with_a_part_and_labels(docker: Docker):
    mount = "type=volume,src=parts,dst=/d,volume-label=a=b"
    docker.good("run", "--rm", "--mount", mount, IMAGE, "sh", "-c", "mkdir /d/sub && echo x > /d/sub/file")
    assert json.loads(docker.good("volume", "inspect", "-f", "{{json .Labels}}", "parts")) == {"a": "b"}
    mount = "type=volume,src=parts,dst=/d,volume-subpath=sub,readonly"
    done = docker("run", "--rm", "--mount", mount, IMAGE, "cat", "/d/file")
    # Clients before 26 do not know it.
    assert done.stdout == b"x\n" or b"unexpected key" in done.stderr
