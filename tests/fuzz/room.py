"""A room in which any request may be sent to root's engine.

It has namespaces of its own for mounts, processes, network, IPC, host name and control groups. All files of the machine
can only be read there but those in one directory; the network is a loopback; the command's control groups are below
one that is made for it. When the command has ended, everything that it started has ended, and the control groups go.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator

from kist.kernel import mounts, namespaces

DIRECTORY = "KIST_FUZZ"
"""The variable that tells the fuzzer which directory is its own."""
_GROUPS = "/sys/fs/cgroup"
_SPACES = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWPID
    | namespaces.CLONE_NEWNET
    | namespaces.CLONE_NEWIPC
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWCGROUP
)
_PATIENCE = 10.0
_CPUSET = ("cpuset.cpus", "cpuset.mems")


def hierarchies() -> dict[str, tuple[str, str]]:
    """The mounts of control groups: place → kind of the file system and its options."""
    found = {}
    with open("/proc/self/mountinfo", encoding="ascii") as file:
        for line in file:
            words = line.split()
            kind, _, options = words[words.index("-") + 1 :][:3]
            if kind in {"cgroup", "cgroup2"} and words[4].startswith(_GROUPS):
                found[words[4]] = (kind, ",".join(each for each in options.split(",") if each not in {"rw", "ro"}))
    return found


@contextlib.contextmanager
def groups(places: list[str]) -> Iterator[list[str]]:
    """A control group in each hierarchy; they and what is in them are removed at the end."""
    made = [f"{place}/kist-fuzz-{os.getpid()}" for place in places]
    for path in made:
        os.mkdir(path)
        for name in _CPUSET:  # without these nobody can join (cpusets(7))
            if os.path.exists(f"{path}/{name}") and os.path.dirname(path) != _GROUPS:
                _write(f"{path}/{name}", _read(f"{os.path.dirname(path)}/{name}"))
    try:
        yield made
    finally:
        deadline = time.monotonic() + _PATIENCE
        while left := [path for path in made if not _removed(path)]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"control groups are left: {left}")
            time.sleep(0.1)


def _removed(path: str) -> bool:
    with contextlib.suppress(OSError):
        for directory, _, _ in os.walk(path, topdown=False):
            os.rmdir(directory)
    return not os.path.exists(path)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter(directory: str, places: dict[str, tuple[str, str]]) -> None:
    """Arrange what is seen; called by the first process of the new namespaces."""
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    mounts.mount(directory, directory, None, mounts.MS_BIND)
    mounts.set_attributes("/", mounts.MOUNT_ATTR_RDONLY, recursive=True)
    mounts.set_attributes(directory, 0, clear=mounts.MOUNT_ATTR_RDONLY)
    mounts.mount("proc", "/proc", "proc")
    mounts.mount("sysfs", "/sys", "sysfs")
    mounts.mount("tmpfs", _GROUPS, "tmpfs", 0, "mode=755")
    for place, (kind, options) in places.items():
        os.makedirs(place, exist_ok=True)
        mounts.mount(kind, place, kind, 0, options)
    for place in ("/run", "/dev/shm"):
        mounts.mount("tmpfs", place, "tmpfs", 0, "mode=1777")
    namespaces.set_loopback_up()


def _have_run(command: list[str]) -> int:
    """Run a command as the first process of a process namespace, which has to bury orphans."""
    started = os.fork()
    if not started:
        os.execvp(command[0], command)
    while True:
        pid, status = os.wait()
        if pid == started:
            return os.waitstatus_to_exitcode(status)


def _inside(directory: str, places: dict[str, tuple[str, str]], joined: list[str], command: list[str]) -> int:
    for path in joined:
        _write(f"{path}/cgroup.procs", "0")
    namespaces.unshare(_SPACES)
    for path in joined:
        if os.path.exists(f"{path}/cgroup.controllers"):  # of version 2: who has groups below has no processes
            os.mkdir(f"{path}/own")
            _write(f"{path}/own/cgroup.procs", "0")
    first = os.fork()
    if not first:
        try:
            enter(directory, places)
            os._exit(_have_run(command) & 0xFF)
        except BaseException as error:  # noqa: BLE001 - a fork must not come back
            print(f"room: {error!r}", file=sys.stderr, flush=True)
            os._exit(125)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def main(directory: str, command: list[str]) -> int:
    """Run a command in a room where ``directory`` may be written to; its exit code."""
    places = hierarchies()
    with groups(list(places)) as joined:
        child = os.fork()
        if not child:
            code = _inside(directory, places, joined, command)
            os._exit(code & 0xFF)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
