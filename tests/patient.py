"""A machine for the doctor: an ordinary user and root on it, whose /etc and limits of namespaces are its own.

A process holds it: a user namespace in which everybody is who they are, and mounts in which a copy of /etc lies over
the machine's. Both users' commands run there, so that what root mends is mended for the other one; nothing of it is the
real machine's, and all of it ends with that process.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kist.kernel import mounts, namespaces, userns
from ordinary import GID, KIST, UID, open_above, open_ways_to_python

NAME = "kist-patient"
_EVERYBODY = ((0, 0, 0xFFFFFFFF),)
_MS_BIND = 0x1000
_READY = b"ready\n"


@dataclass
class Patient:
    """The machine, in a directory of the tests."""

    directory: Path
    _holder: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        etc = self.directory / "etc"
        shutil.copytree("/etc", etc, symlinks=True)
        (etc / "sysctl.d").mkdir(exist_ok=True)
        for name, line in (("passwd", f"{NAME}:x:{UID}:{GID}::{self.home}:/bin/sh"), ("group", f"{NAME}:x:{GID}:")):
            with (etc / name).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        for directory in (self.home, self.directory / "run"):
            directory.mkdir()
            os.chown(directory, UID, GID)
        open_above(self.directory)
        self._holder = subprocess.Popen(
            [sys.executable, __file__, "hold", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == _READY
        return self

    def __exit__(self, *error: object) -> None:
        assert self._holder is not None
        if left := self.kist("ps", "-aq").stdout.split():
            self.kist("rm", "-f", *left)
        self.kist("engine", "stop")
        self._holder.communicate()

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "KIST_RUN": str(self.directory / "run"),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
        }

    def run(self, who: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on it as ``root`` or as the ``user``."""
        assert self._holder is not None
        return subprocess.run(
            [sys.executable, __file__, "join", str(self._holder.pid), who, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            check=False,
        )

    def kist(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The user's command line."""
        return self.run("user", *KIST, *words)

    def follow(self, command: str) -> None:
        """Do what the doctor says, as root."""
        done = self.run("root", "sh", "-c", command)
        assert done.returncode == 0, (command, done)


def hold(directory: str) -> None:
    """Be the machine until standard input ends."""
    namespaces.setns(userns.make(_EVERYBODY, _EVERYBODY), namespaces.CLONE_NEWUSER)
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    mounts.mount(f"{directory}/etc", "/etc", None, _MS_BIND)
    open_ways_to_python(directory)
    os.write(1, _READY)
    os.read(0, 1)


def join(pid: int, who: str, command: list[str]) -> None:
    """Go there, be the user where that is wanted, and execute the command."""
    namespaces.setns(os.pidfd_open(pid), namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
    os.chdir("/")
    os.umask(0o022)
    if who == "user":
        os.setgroups(())
        os.setresgid(GID, GID, GID)
        os.setresuid(UID, UID, UID)
    os.execvp(command[0], command)


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        hold(sys.argv[2])
    else:
        join(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
