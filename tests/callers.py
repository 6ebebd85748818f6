"""Those who run containers in the tests of ``--local``, and what is seen of their processes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import BUSYBOX, until
from ordinary import KIST

QUIET = ("--network", "none")


@dataclass(frozen=True)
class Caller:
    """Somebody who runs containers: root, or an ordinary user."""

    before: list[str]
    environment: dict[str, str]
    run_root: Path
    home: Path

    @property
    def python(self) -> list[str]:
        """The interpreter that has the library."""
        return [*self.before, sys.executable]

    @property
    def command(self) -> list[str]:
        """The command line of Kist's."""
        return [*self.before, *KIST]

    def __call__(self, *arguments: str, stdin: bytes = b"", **variables: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment | variables,
            timeout=120,
            check=False,
        )
        return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())

    def local(self, *arguments: str, stdin: bytes = b"", **variables: str) -> "subprocess.CompletedProcess[str]":
        return self("run", "--local", "--rm", *QUIET, *arguments, stdin=stdin, **variables)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
        """A local container that has said that it is up; its caller is dead at the end."""
        words = [*self.command, "run", "--local", "--rm", *QUIET, *arguments]
        shell = ("sh", "-c", "echo up; exec sleep 1000")
        with subprocess.Popen([*words, BUSYBOX, *shell], env=self.environment, stdout=subprocess.PIPE) as running:
            try:
                assert running.stdout is not None
                assert running.stdout.readline() == b"up\n"
                until(lambda: bool(_sleepers(running.pid)))  # the shell becomes it after these words
                yield running
            finally:
                running.kill()

    def engine_runs(self) -> bool:
        return (self.run_root / "engine.pid").exists()

    def stop_engine(self) -> None:
        assert self("engine", "stop").returncode == 0

    def left(self) -> list[str]:
        """What there is of containers on disk, of those that run too."""
        places = (self.run_root / "containers", self.run_root / "bonds")
        found = [str(each) for place in places if place.is_dir() for each in place.iterdir()]
        return found + [str(each) for each in self.run_root.glob("keeper-*")]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = parent(pid)
        found.append(pid)
    return found


def below(pid: int) -> list[int]:
    """All living processes that descend from this one."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdecimal() and pid in ancestors(int(name)):
                found.append(int(name))
    return found


def command_line(pid: int) -> bytes:
    """Empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def sleeper(pid: int) -> int:
    """The container's command below a caller."""
    (found,) = _sleepers(pid)
    return found


def _sleepers(pid: int) -> list[int]:
    return [each for each in below(pid) if command_line(each) == b"sleep\x001000\x00"]


def keepers(pid: int) -> list[int]:
    return [each for each in below(pid) if command_line(each).startswith(b"kist-keeper")]


def groups(pid: int) -> dict[str, str]:
    """Its control group in each hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {names: path for _, names, path in (line.split(":", 2) for line in lines)}


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
