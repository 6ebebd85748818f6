"""The engines that are compared: all speak Docker's command line, and each keeps its data in a directory of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from bench.measure import CommandError, children, parent, run, seconds

IMAGE = "bench:1"


@dataclass
class Engine:
    """One engine in a directory of its own.

    Attributes:
        name: as in the table.
        work: its own directory.
        program: the command-line client, empty when it is missing here.
    """

    name: str
    work: Path
    program: str
    version: str = ""
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    log_options: tuple[str, ...] = ()

    def argv(self, *words: str) -> list[str]:
        return [self.program, *self.options, *words]

    def run(self, *words: str) -> str:
        return run(self.argv(*words), self.env)

    @property
    def socket(self) -> str:
        """The path of its Docker Engine API; empty for an engine without a daemon."""
        return ""

    @property
    def volatile(self) -> str:
        """A directory in memory, for what need not outlive the machine: the room's /run is one, as on every machine."""
        return f"/run/kist-bench/{self.name}/{self.work.name}"

    def beside(self, work: Path) -> Self:
        """Another one of this kind, which is not up yet, with its data in another directory."""
        return replace(self, work=work, options=(), env={})

    def seconds(self, *words: str) -> float:
        return seconds(self.argv(*words), self.env)

    def start(self) -> None:
        """Bring the engine up; afterwards every verb works."""

    def stop(self) -> None:
        """End what `start` began."""

    def daemons(self) -> list[int]:
        """Processes that live while nothing runs."""
        return []

    def import_tar(self, archive: Path) -> None:
        self.run("import", str(archive), IMAGE)

    def monitor_of(self, container: str) -> int:
        """The process that watches over the container: the parent of the container's first process."""
        return parent(json.loads(self.run("inspect", container))[0]["State"]["Pid"])


class Docker(Engine):
    """Debian's docker.io with a daemon on private roots and a private socket."""

    daemon: subprocess.Popen[bytes]

    @property
    def socket(self) -> str:
        return f"{self.work}/socket"

    def start(self) -> None:
        daemon = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/sbin:/bin")
        if daemon is None:
            raise CommandError("dockerd is not installed")
        self.options = ("--host", f"unix://{self.work}/socket")
        self.env = {**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(self.work / "config")}
        log = open(self.work / "log", "wb")  # noqa: SIM115 - the daemon keeps it
        self.daemon = subprocess.Popen(
            [
                daemon, f"--data-root={self.work}/root", f"--exec-root={self.volatile}/exec",
                f"--pidfile={self.work}/pid",
                f"--host=unix://{self.work}/socket", "--storage-driver=overlay2",
                "--exec-opt=native.cgroupdriver=cgroupfs",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(self.work)},
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while subprocess.run(self.argv("version"), env=self.env, capture_output=True, check=False).returncode != 0:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"dockerd did not start: {(self.work / 'log').read_text(errors='replace')[-800:]}")
            time.sleep(0.1)
        self.version = self.run("version", "--format", "{{.Server.Version}}").strip()

    def stop(self) -> None:
        self.daemon.terminate()
        self.daemon.wait(60)

    def daemons(self) -> list[int]:
        return [self.daemon.pid, *children(self.daemon.pid)]


class Podman(Engine):
    """Debian's podman on private roots; runc as its runtime, for crun refuses hybrid control groups."""

    def start(self) -> None:
        self.env = {**os.environ, "TMPDIR": str(self.work)}
        self.options = (
            "--root", f"{self.work}/root", "--runroot", f"{self.volatile}/run", "--tmpdir", f"{self.work}/tmp",
            "--network-config-dir", f"{self.work}/network", "--storage-driver", "overlay",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc",
        )  # fmt: skip
        (self.work / "network").mkdir()
        self.version = self.run("version", "--format", "{{.Client.Version}}").strip()


class Kist(Engine):
    """The project's own command; its engine starts by itself with the first verb."""

    @property
    def socket(self) -> str:
        return f"{self.volatile}/run/engine.sock"

    def start(self) -> None:
        self.env = {**os.environ, "KIST_ROOT": f"{self.work}/root", "KIST_RUN": f"{self.volatile}/run"}
        self.version = self.run("--version").split()[-1]

    def daemons(self) -> list[int]:
        engine = int(Path(f"{self.volatile}/run/engine.pid").read_text(encoding="ascii"))
        return [engine, *children(engine)]


def find(names: list[str], work: Path) -> tuple[list[Engine], list[str]]:
    """The engines that are installed, and a word on each that is not."""
    kist = Path(sys.executable).parent / "kist"
    programs = {
        "kist": (Kist, str(kist) if kist.exists() else None, "script/setup"),
        "docker": (Docker, shutil.which("docker", path="/usr/bin:/usr/local/bin"), "apt-get install docker.io"),
        "podman": (Podman, shutil.which("podman"), "apt-get install podman runc containernetworking-plugins"),
    }
    found: list[Engine] = []
    missing: list[str] = []
    for name in names:
        kind, program, remedy = programs[name]
        if program is None:
            missing.append(f"{name} is not installed ({remedy}): left out")
            continue
        directory = work / name
        directory.mkdir(parents=True)
        found.append(kind(name, directory, program))
    return found, missing
