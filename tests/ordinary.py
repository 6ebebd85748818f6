"""An ordinary user who is on no machine: ``ordinary.py DIRECTORY COMMAND…`` runs a command as one.

The user exists in mounts of the command's own: copies of /etc/passwd and its like, which the directory holds, lie over
the machine's. There too the way to this interpreter is opened where a directory above it is closed to others. Nothing
of the machine is changed, and all of it ends with the command and what it has started.
"""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from kist.kernel import mounts, namespaces

_PROGRAM = Path(sys.executable).with_name("kist")
KIST = (str(_PROGRAM),) if _PROGRAM.exists() else (sys.executable, "-m", "kist.cli")
"""The program that is tested, as users have it; where the project is not installed, the next best."""
UID, GID = 51234, 51235
NAME = "kist-ordinary"
FIRST, COUNT = 1_500_000_000, 65536
_NAMES = ("GROUP", "NETWORK", "HIDDEN", "TUN", "MOUNTS", "GROUPS")
_GROUP, _NETWORK, _HIDDEN, _TUN, _MOUNTS, _GROUPS = (f"KIST_TESTS_{name}" for name in _NAMES)
_FILES = ("passwd", "group", "subuid", "subgid", "resolv.conf")


@dataclass(frozen=True)
class Ordinary:
    """The user, as the tests have it.

    Args:
        directory: of the tests; the user gets a home in it.
        range_: whether there are subordinate ids for it.
        group: the directory of a control group that it is in; empty for the machine's.
        network: the file of a network namespace that it is in; empty for the machine's.
        hidden: programs that it has not.
        tun: whether it may make tap devices, as on most machines.
        mounts: the file of a mount namespace whose mounts it has; empty for the machine's.
        groups: the numbers of its further groups.
    """

    directory: Path
    range_: bool
    group: str = ""
    network: str = ""
    hidden: tuple[str, ...] = ()
    tun: bool = False
    mounts: str = ""
    groups: tuple[int, ...] = ()

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def command(self) -> list[str]:
        """What goes before a command line."""
        return [sys.executable, __file__, str(self.directory)]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            **{
                name: value
                for name, value in (
                    (_GROUP, self.group),
                    (_NETWORK, self.network),
                    (_HIDDEN, ":".join(self.hidden)),
                    (_TUN, "1" if self.tun else ""),
                    (_MOUNTS, self.mounts),
                    (_GROUPS, ":".join(map(str, self.groups))),
                )
                if value
            },
        }

    def make(self) -> None:
        """The home, and the files that name the user."""
        own = f"{NAME}:{FIRST}:{COUNT}\n" if self.range_ else ""
        lines = {
            "passwd": f"{NAME}:x:{UID}:{GID}::{self.home}:/bin/sh\n",
            "group": f"{NAME}:x:{GID}:\n",
            "subuid": own,
            "subgid": own,
        }
        for name, line in lines.items():
            machines = Path("/etc", name)
            before = machines.read_text(encoding="utf-8") if machines.exists() else ""
            (self.directory / name).write_text(before + line, encoding="utf-8")
        self.home.mkdir(exist_ok=True)
        os.chown(self.home, UID, GID)
        open_above(self.directory)


def open_above(directory: Path) -> None:
    """Let others enter a directory of the tests' own: these, and those on the way, are for root alone."""
    for above in (directory, *directory.parents):
        if above.stat().st_mode & 0o001 == 0 and above.is_relative_to("/tmp"):
            above.chmod(stat.S_IMODE(above.stat().st_mode) | 0o011)


def _closed(path: str) -> str:
    """The first directory on the way to ``path`` that others may not enter; empty when there is none."""
    for above in reversed(Path(path).parents):
        if not above.stat().st_mode & 0o001:
            return str(above)
    return ""


def _open_ways(paths: list[str]) -> None:
    """Put the directories at these paths into empty ones, where the way to them is closed."""
    wanted: dict[str, dict[str, int]] = {}
    for path in paths:
        if closed := _closed(path):
            wanted.setdefault(closed, {})[path] = mounts.clone_tree(path)
    for closed, trees in wanted.items():
        mounts.mount("tmpfs", closed, "tmpfs", 0, "mode=755")
        for path, tree in trees.items():
            os.makedirs(path, exist_ok=True)
            mounts.attach_tree(tree, path)
            os.close(tree)


def open_ways_to_python(directory: str) -> None:
    """Let others reach this interpreter, this project and a directory of the tests."""
    project = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    _open_ways(sorted({os.path.realpath(sys.base_prefix), sys.prefix, project, directory}))


def _open_tun(directory: str) -> None:
    """Open the device to everybody, as udev does."""
    place = f"{directory}/dev"
    os.makedirs(place, exist_ok=True)
    mounts.mount("tmpfs", place, "tmpfs", 0, "mode=755")
    os.mknod(f"{place}/tun", stat.S_IFCHR | 0o666, os.stat("/dev/net/tun").st_rdev)
    os.chmod(f"{place}/tun", 0o666)
    mounts.mount(f"{place}/tun", "/dev/net/tun", None, mounts.MS_BIND)


def main(directory: str, command: list[str]) -> None:
    """Become the user, and execute the command."""
    if group := os.environ.pop(_GROUP, ""):
        Path(group, "cgroup.procs").write_text("0")
    if network := os.environ.pop(_NETWORK, ""):
        with open(network, "rb") as file:
            namespaces.setns(file.fileno(), namespaces.CLONE_NEWNET)
    if theirs := os.environ.pop(_MOUNTS, ""):
        with open(theirs, "rb") as file:
            namespaces.setns(file.fileno(), namespaces.CLONE_NEWNS)
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    if os.environ.pop(_TUN, ""):
        _open_tun(directory)
    for path in filter(None, os.environ.pop(_HIDDEN, "").split(":")):
        mounts.mount(f"{directory}/subuid", path, None, mounts.MS_BIND)  # what is there cannot be executed
    for name in _FILES:
        # A machine without it has no subordinate ids for anybody.
        if os.path.exists(f"/etc/{name}") and os.path.exists(f"{directory}/{name}"):
            mounts.mount(f"{directory}/{name}", f"/etc/{name}", None, mounts.MS_BIND)
    open_ways_to_python(directory)
    os.chdir("/")
    os.umask(0o022)
    os.setgroups([int(number) for number in filter(None, os.environ.pop(_GROUPS, "").split(":"))])
    os.setresgid(GID, GID, GID)
    os.setresuid(UID, UID, UID)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
