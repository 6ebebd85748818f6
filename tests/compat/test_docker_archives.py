"""Archives of images between Kist and Docker: what ``save`` of the one writes, ``load`` of the other takes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import a_cli, until

pytestmark = pytest.mark.root("Docker's engine is root's")

DAEMON = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/sbin:/bin")
_PARTS = ("Id", "Architecture", "RootFS")
CLIENT = shutil.which("docker", path="/usr/bin:/bin")


class Docker:
    """Debian's, with an engine of its own in namespaces that end with it: nothing of it is the machine's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory)}

    def argv(self, *words: str) -> list[str]:
        return [str(CLIENT), "--host", f"unix://{self.directory}/socket", *words]

    def begin(self) -> "subprocess.Popen[bytes]":
        own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        roots = [f"--{kind}-root={self.directory}/{kind}" for kind in ("data", "exec")]
        plain = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--storage-driver=vfs"]
        where = [f"--pidfile={self.directory}/pid", f"--host=unix://{self.directory}/socket"]
        with (self.directory / "log").open("wb") as log:
            return subprocess.Popen(
                [*own, str(DAEMON), *roots, *plain, *where], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment,
            )  # fmt: skip

    def good(self, *words: str) -> str:
        done = subprocess.run(self.argv(*words), capture_output=True, text=True, env=self.environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answers(self) -> bool:
        told = subprocess.run(self.argv("version"), capture_output=True, env=self.environment, check=False)
        return told.returncode == 0


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    if DAEMON is None or CLIENT is None:
        pytest.skip("needs dockerd (Debian: docker.io)")
    directory = tmp_path_factory.mktemp("d")  # it has sockets deep below, whose paths may have 107 characters
    made = Docker(directory)
    with made.begin() as engine:
        try:
            until(lambda: made.answers() or engine.poll() is not None, 60)
            if engine.poll() is not None:
                pytest.skip(f"dockerd does not run here: {(directory / 'log').read_text(errors='replace')[-1000:]}")
            yield made
        finally:
            engine.kill()  # and with it all that is in its namespaces


def test_an_image_for_several_platforms_goes_to_docker_and_back(docker: Docker, tmp_path: Path) -> None:
    for name in ("kist", "context"):
        (tmp_path / name).mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY . /\nLABEL made.for=$TARGETARCH\n")
    ours, theirs = (str(tmp_path / name) for name in ("ours.tar", "theirs.tar"))
    with a_cli(tmp_path / "kist") as cli:
        platforms = ("--platform", "linux/amd64,linux/arm64")
        cli.good("build", "-q", "--no-lock", *platforms, "-t", "site.test/pair:1", str(tmp_path / "context"))
        usual = json.loads(cli.good("image", "inspect", "site.test/pair:1"))[0]
        cli.good("save", "-o", ours, "site.test/pair:1")
        assert docker.good("load", "-i", ours).splitlines()[-1] == "Loaded image: site.test/pair:1"
        found = json.loads(docker.good("image", "inspect", "site.test/pair:1"))[0]
        assert [found[part] for part in _PARTS] == [usual[part] for part in _PARTS]
        assert found["Config"]["Labels"] == {"made.for": usual["Architecture"]}

        docker.good("tag", "site.test/pair:1", "from.test/docker:2")
        docker.good("save", "-o", theirs, "from.test/docker:2")
        cli.good("rmi", "-f", usual["Id"])
        assert cli.good("load", "-i", theirs).splitlines()[-1] == "Loaded image: from.test/docker:2"
        again = json.loads(cli.good("image", "inspect", "from.test/docker:2"))[0]
        assert [again[part] for part in _PARTS] == [usual[part] for part in _PARTS]
