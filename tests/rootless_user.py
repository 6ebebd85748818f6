"""The command line of an ordinary user who is on no machine (``ordinary.py``), with an engine of their own."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import BUSYBOX, busybox_tar
from ordinary import GID, KIST, UID, Ordinary


@dataclass(frozen=True)
class User:
    """The command line of an ordinary user."""

    who: Ordinary

    @property
    def run_root(self) -> Path:
        return self.who.directory / "run"

    def __call__(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.who.command, *KIST, *arguments],
            input=stdin,
            capture_output=True,
            env=self.who.environment | {"KIST_RUN": str(self.run_root)} | (environment or {}),
            timeout=60,
            check=False,
        )

    def good(self, *arguments: str, stdin: bytes = b"") -> str:
        done = self(*arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done)
        return done.stdout.decode().strip()

    def refused(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode != 0, (arguments, done)
        return done.stderr.decode()

    def file(self, name: str, content: str = "") -> Path:
        path = self.who.home / name
        path.write_text(content)
        os.chown(path, UID, GID)
        return path

    def engine_pid(self) -> int:
        return int((self.run_root / "engine.pid").read_text())


@contextlib.contextmanager
def made(directory: Path, *, range_: bool, group: str = "", who: Ordinary | None = None) -> Iterator[User]:
    if range_ and shutil.which("newuidmap") is None:
        pytest.skip("needs newuidmap (Debian: uidmap)")
    who = who or Ordinary(directory, range_, group)
    who.make()
    (directory / "run").mkdir()
    os.chown(directory / "run", UID, GID)
    user = User(who)
    try:
        archive = directory / "busybox.tar"
        archive.write_bytes(busybox_tar())
        archive.chmod(0o644)
        user.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
        yield user
    finally:
        if left := user("ps", "-aq").stdout.decode().split():
            user("rm", "-f", *left)
        user("engine", "stop")
