"""A room of one's own for the benchmark, so that nothing it starts can be left behind.

Everything runs in new network, mount and process namespaces. Bridges, firewall rules and mounts of all engines belong
to the room and end with it, and so do the processes: when the room's first process ends, the kernel ends all others.
What namespaces do not cover is control groups: the engines' top directories are removed at the end.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID = 0x00020000, 0x40000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 0x4000, 1 << 18
CGROUPS = Path("/sys/fs/cgroup")
TOP_GROUPS = ("docker", "libpod_parent", "kist", "kist-bench")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), what)


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, None), target)


def _furnish() -> None:
    """Private mounts; fresh /proc, /run and state directories that the engines insist on."""
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    for place in ("/run", "/dev/shm", "/var/lib/cni"):  # the last two: Podman's locks, and its network plugins' leases
        if os.path.isdir(place):
            _mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV)
    os.makedirs("/run/lock", exist_ok=True)
    os.system("ip link set lo up")


def _be_init(main: Callable[[], int]) -> int:
    """Process 1 of the room: runs `main` in a child and reaps what the engines orphan meanwhile."""
    _furnish()
    worker = os.fork()
    if worker == 0:
        try:
            code = main()
        except KeyboardInterrupt:
            code = 130
        except BaseException:  # noqa: BLE001 - this process ends here, whatever it was
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    while True:
        with contextlib.suppress(InterruptedError):
            pid, status = os.wait()
            if pid == worker:
                return os.waitstatus_to_exitcode(status)


def groups() -> set[Path]:
    """All control groups below the engines' top directories."""
    tops = (top for name in TOP_GROUPS for top in [*CGROUPS.glob(f"*/{name}"), CGROUPS / name] if top.is_dir())
    return {directory for top in tops for directory in [top, *top.rglob("*/")]}


def remove_groups(since: set[Path]) -> None:
    """Remove the control groups that have come since then; one that has members is somebody else's and stays."""
    for directory in sorted(groups() - since, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):
            directory.rmdir()


def _enter(main: Callable[[], int]) -> int:
    """New namespaces for this process, whose only task is to wait; process 1 of the room is its child."""
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID), "unshare")
    init = os.fork()
    if init == 0:
        os._exit(_be_init(main))
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def run_in_room(main: Callable[[], int]) -> int:
    """The exit code of `main`, run in new namespaces; nothing of it is alive afterwards.

    The caller stays outside: its view of the mounts is the old one, so it can remove the directories that were mount
    points inside.
    """
    groups_before = groups()
    door = os.fork()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides; its end is the room's end
    if door == 0:
        os._exit(_enter(lambda: _interruptible(main)))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(door, 0)[1])
    finally:
        signal.signal(signal.SIGINT, before)
        remove_groups(groups_before)


def _interruptible(main: Callable[[], int]) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return main()
