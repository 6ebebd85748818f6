"""The unmodified docker client copies, compares, exports and renames, and cleans up, against the engine."""

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Docker, Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


@pytest.fixture
def box(server: Server) -> Iterator[str]:
    made = server.run("sleep", "1000")
    yield made
    server.remove(made)


def test_cp_both_ways(docker: Docker, box: str, tmp_path: Path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").write_text("text")
    docker.good("cp", f"{tmp_path}/dir", f"{box}:/")
    docker.good("cp", f"{tmp_path}/dir/.", f"{box}:/other")
    assert docker.good("exec", box, "cat", "/dir/file", "/other/file") == "texttext"
    docker.good("cp", f"{box}:/other", f"{tmp_path}/back")
    assert (tmp_path / "back" / "file").read_text() == "text"
    done = docker("cp", f"{box}:/nosuch", str(tmp_path))
    assert (done.returncode, b"/nosuch" in done.stderr) == (1, True)


def test_diff_export_and_rename(docker: Docker, box: str):
    docker.good("exec", box, "sh", "-c", "echo x > /new")
    assert docker.good("diff", box).splitlines() == ["A /new"]
    with tarfile.open(fileobj=io.BytesIO(docker("export", box).stdout)) as archive:
        assert {"bin/busybox", "new"} <= set(archive.getnames())
    docker.good("rename", box, "named-now")
    assert docker.good("inspect", "-f", "{{.Name}}", box) == "/named-now\n"


def test_the_header_of_a_path(server: Server, box: str):
    answer = server.ask("HEAD", f"/v1.41/containers/{box}/archive?path=/bin/sh")
    assert (answer.status, answer.body) == (200, b"")
    status = json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))
    assert (status["name"], status["linkTarget"], status["mode"] >> 27) == ("sh", "/bin/busybox", 1)
    got = server.ask("GET", f"/containers/{box}/archive?path=/bin/sh")
    assert json.loads(base64.b64decode(got.headers["x-docker-container-path-stat"])) == status
    assert got.headers["content-type"] == "application/x-tar"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/containers/nosuch/archive?path=/", 404),
        ("HEAD", "/containers/{box}/archive?path=/nosuch", 404),
        ("GET", "/containers/{box}/archive?path=/nosuch", 404),
        ("GET", "/containers/{box}/archive", 400),
        ("PUT", "/containers/{box}/archive?path=/nosuch", 404),
        ("PUT", "/containers/{box}/archive?path=/bin/busybox", 400),
        ("GET", "/containers/nosuch/changes", 404),
        ("GET", "/containers/nosuch/export", 404),
        ("POST", "/containers/{box}/rename", 400),
        ("POST", "/containers/{box}/rename?name=*", 400),
        ("POST", "/containers/nosuch/rename?name=x1", 404),
    ],
)
def test_requests_that_cannot_be_right(server: Server, box: str, method: str, path: str, status: int):
    assert server.ask(method, path.format(box=box), raw=b"").status == status


def test_commit_df_and_prune(docker: Docker, server: Server):
    made = server.create("sh", "-c", "echo x > /new", Labels={"prune-test": "yes"})
    server.good("POST", f"/containers/{made}/start")
    server.wait(made)
    docker.good("commit", "-m", "text", "-c", "LABEL prune-test=yes", made, "committed:1")
    assert docker.good("run", "--rm", "--network", "none", "committed:1", "cat", "/new") == "x\n"
    assert "Images" in docker.good("system", "df")
    assert "committed" in docker.good("system", "df", "-v")
    done = docker.good("container", "prune", "-f", "--filter", "label=prune-test")
    assert done.startswith(f"Deleted Containers:\n{made}\n")
    done = docker.good("image", "prune", "-af", "--filter", "label=prune-test=yes")
    assert "untagged: committed:1" in done
    assert docker("image", "prune", "-f", "--filter", "nosuch=x").returncode == 1
