"""Root's engine with a socket for a group, and members of that group who are on no machine.

``guests.py DIRECTORY WHO COMMAND…`` runs a command as root, or as one of the people here, who exist in mounts of the
command's own (see ``ordinary``): the engine has to run in such mounts too, for it asks who somebody is.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ordinary
from kist.kernel import mounts, namespaces
from ordinary import KIST

GROUP, GROUP_ID = "kist-guests", 51300
PEOPLE = {"root": 0, "ada": 51301, "bob": 51302, "eve": 51303, "nobody": 51304}
# Who may connect; eve may not, and nobody is in no database.
MEMBERS = ("ada", "bob", "nobody")
_MS_BIND = 0x1000


@dataclass(frozen=True)
class Person:
    """Somebody who calls the engine.

    Args:
        room: where it is.
        name: in ``PEOPLE``.
    """

    room: "Room"
    name: str

    @property
    def uid(self) -> int:
        return PEOPLE[self.name]

    @property
    def home(self) -> Path:
        return self.room.directory / self.name

    def popen(self, *command: str, **how: object) -> "subprocess.Popen[bytes]":
        """Start any command as this person."""
        line = [sys.executable, __file__, str(self.room.directory), self.name, *command]
        return subprocess.Popen(line, env=self.room.environment(self), **how)  # type: ignore[call-overload,no-any-return]

    def does(self, *command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
        """Run any command as this person, to its end."""
        running = self.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = running.communicate(stdin, timeout=120)
        return subprocess.CompletedProcess(command, running.returncode, out.decode(), err.decode(errors="replace"))

    def kist(self, *arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
        return self.does(*KIST, *arguments, stdin=stdin)

    def good(self, *arguments: str, stdin: bytes = b"") -> str:
        done = self.kist(*arguments, stdin=stdin)
        assert done.returncode == 0, (self.name, arguments, done)
        return done.stdout.strip()

    def refused(self, *arguments: str, stdin: bytes = b"") -> str:
        """What is said of a command that must fail, and not by a fault of ours."""
        done = self.kist(*arguments, stdin=stdin)
        assert done.returncode != 0, (self.name, arguments, done)
        assert done.stderr, done
        assert "internal error" not in done.stderr, done
        return done.stderr

    def file(self, name: str, content: str = "", mode: int = 0o644) -> Path:
        path = self.home / name
        path.write_text(content)
        path.chmod(mode)
        os.chown(path, self.uid, self.uid)
        return path


@dataclass(frozen=True)
class Room:
    """A directory with the engine's roots and everybody's home."""

    directory: Path

    @property
    def run_root(self) -> Path:
        return self.directory / "run"

    @property
    def socket(self) -> Path:
        return self.directory / "run-shared" / "engine.sock"

    @property
    def docker_socket(self) -> Path:
        """What is Docker's own socket on a machine."""
        return self.directory / "docker.sock"

    @property
    def policy(self) -> Path:
        return self.directory / "policy.toml"

    def __getattr__(self, name: str) -> Person:
        if name in PEOPLE:
            return Person(self, name)
        raise AttributeError(name)

    def environment(self, person: Person) -> dict[str, str]:
        own = {
            "HOME": str(person.home),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
        }
        if person.uid:
            return own | {"DOCKER_HOST": f"unix://{self.socket}"}
        roots = {"KIST_ROOT": str(self.directory / "data"), "KIST_RUN": str(self.run_root)}
        return own | roots | {"KIST_POLICY": str(self.policy), "KIST_CONFIG": str(self.directory / "engine.toml")}

    def make(self) -> None:
        """Everybody's homes, and the files that name them."""
        people = "".join(
            f"{name}:x:{uid}:{uid}::{self.directory / name}:/bin/sh\n"
            for name, uid in PEOPLE.items()
            if uid and name != "nobody"
        )
        groups = "".join(f"{name}:x:{uid}:\n" for name, uid in PEOPLE.items() if uid)
        lines = {"passwd": people, "group": f"{groups}{GROUP}:x:{GROUP_ID}:{','.join(MEMBERS)}\n"}
        for name in ("passwd", "group", "subuid", "subgid"):
            machines = Path("/etc", name)
            before = machines.read_text(encoding="utf-8") if machines.exists() else ""
            (self.directory / name).write_text(before + lines.get(name, ""), encoding="utf-8")
        for name, uid in PEOPLE.items():
            home = self.directory / name
            home.mkdir(mode=0o700)
            os.chown(home, uid, uid)
        ordinary.open_above(self.directory)


@contextlib.contextmanager
def a_room(directory: Path) -> Iterator[Room]:
    """A room with an engine in it, which has the small image; at the end nothing of it is left."""
    import pytest  # this file is a command too, which each call of somebody's starts

    from harness import BUSYBOX, busybox_tar, clean_up, until  # see above

    if os.geteuid() != 0:
        pytest.skip("needs root")
    room = Room(directory)
    room.make()
    settings = f'group = "{GROUP}"\n[listen]\ndocker-socket = "{room.docker_socket}"\n'
    (directory / "engine.toml").write_text(settings)
    engine = room.root.popen(*KIST, "engine")
    try:
        until(lambda: room.socket.exists() or engine.poll() is not None)
        archive = directory / "busybox.tar"
        archive.write_bytes(busybox_tar())
        archive.chmod(0o644)
        room.root.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
        yield room
    finally:
        room.policy.unlink(missing_ok=True)
        if left := room.root.kist("ps", "-aq").stdout.split():
            room.root.kist("rm", "-f", *left)
        room.root.kist("engine", "stop")
        engine.wait(30)
        clean_up(directory / "data")


def main(directory: str, who: str, command: list[str]) -> None:
    """Become this person, and execute the command."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    for name in ("passwd", "group", "subuid", "subgid"):
        if os.path.exists(f"/etc/{name}"):
            mounts.mount(f"{directory}/{name}", f"/etc/{name}", None, _MS_BIND)
    uid = PEOPLE[who]
    os.umask(0o022)
    if uid:
        ordinary.open_ways_to_python(directory)
        os.chdir("/")
        os.setgroups([GROUP_ID] if who in MEMBERS else [])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
