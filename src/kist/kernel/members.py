"""A container's processes where it has no control group.

They are those in its mount namespace, which no other container has, whoever their parents are; and those in its pid
namespace, where that is its own, or in one below that. Both are held by descriptors: a namespace that nobody is in any
more would be gone, and its number soon another one's.
"""

from __future__ import annotations

import errno
import os
import time

from kist.kernel import process
from kist.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What stop and kill wait for, as the freezer of a control group does, and how long between looks.
_PATIENCE = 2.0
_MOMENT = 0.002
_STOPPED = frozenset((b"T", b"t"))
_GONE = frozenset((b"Z", b"X"))


class Members:
    """The processes of one container.

    Args:
        first: its first process.
        own_pids: whether it has a pid namespace of its own.
        mounts: a descriptor of its mount namespace, which is this object's from then on; -1 to ask the first process
            for it, which has to live.

    Attributes:
        mounts_fd: the descriptor of their mount namespace; -1 where it is not known, and after ``close``.
    """

    def __init__(self, first: int, *, own_pids: bool, mounts: int = -1) -> None:
        self.mounts_fd = mounts if mounts >= 0 else _open(first, "mnt")
        self._pids_fd = _open(first, "pid") if own_pids else -1
        self._mounts = _name(self.mounts_fd, "mnt")
        self._pids = _name(self._pids_fd, "pid")

    def know_mounts(self, mounts: int) -> None:
        """A descriptor of their mount namespace, whatever could be seen of the first process."""
        if self.mounts_fd >= 0:
            os.close(self.mounts_fd)
        self.mounts_fd = mounts
        self._mounts = _name(mounts, "mnt")

    def close(self) -> None:
        """Let go of the namespaces, with what is mounted there; from here on nobody is one of them."""
        for descriptor in (self.mounts_fd, self._pids_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.mounts_fd = self._pids_fd = -1
        self._mounts = self._pids = ""

    def pids(self) -> list[int]:
        """Their numbers here; empty when there are none (any more)."""
        numbers = (int(name) for name in os.listdir("/proc") if name.isdecimal())
        found: list[int] = []
        elsewhere: list[int] = []
        here = _space(os.getpid(), "pid")
        for pid in numbers:
            if self._is_here(pid):
                found.append(pid)
            elif self._pids and _space(pid, "pid") not in {here, ""}:
                elsewhere.append(pid)
        return found + [pid for pid in elsewhere if self._is_below(pid)]

    def has(self, pid: int) -> bool:
        """Whether a process is one of them."""
        return self._is_here(pid) or self._is_below(pid)

    def stop(self) -> list[int]:
        """Stop all of them where they are (SIGSTOP), and return when they have stopped.

        Returns:
            Those that ran until now.

        Raises:
            OSError: EBUSY when one does not within two seconds; all go on then.
        """
        stopped: list[int] = []
        end = time.monotonic() + _PATIENCE
        while busy := [pid for pid in self.pids() if _state(pid) not in _STOPPED | _GONE]:
            if time.monotonic() > end:
                self.go_on(stopped)
                raise OSError(errno.EBUSY, "a process does not stop", f"/proc/{busy[0]}")
            self.signal(busy, signal.SIGSTOP)
            stopped += (pid for pid in busy if pid not in stopped)
            time.sleep(_MOMENT)
        return stopped

    def go_on(self, stopped: Iterable[int] | None = None) -> None:
        """Let those that ``stop`` has stopped go on (SIGCONT); all when it is not known which these are."""
        self.signal(self.pids() if stopped is None else stopped, signal.SIGCONT)

    def kill(self) -> None:
        """Kill all of them (SIGKILL), and return when they have ended, or after two seconds."""
        end = time.monotonic() + _PATIENCE
        while (living := [pid for pid in self.pids() if _state(pid) not in _GONE]) and time.monotonic() < end:
            self.signal(living, signal.SIGKILL)
            time.sleep(_MOMENT)

    def signal(self, pids: Iterable[int], number: int) -> int:
        """Send a signal to those of these processes that are of the container; to how many."""
        sent = 0
        for pid in pids:
            try:
                held = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                # Looked at again: the descriptor may be that of another process, which got the number.
                if self.has(pid):
                    signal.pidfd_send_signal(held, number)
                    sent += 1
            except ProcessLookupError:
                continue  # it has ended
            finally:
                os.close(held)
        return sent

    def _is_here(self, pid: int) -> bool:
        return (bool(self._mounts) and _space(pid, "mnt") == self._mounts) or (
            bool(self._pids) and _space(pid, "pid") == self._pids
        )

    def _is_below(self, pid: int) -> bool:
        """Whether an ancestor is one of them: the first process of a pid namespace is the child of one above."""
        while self._pids and (pid := process.parent(pid)) > 1:
            if _space(pid, "pid") == self._pids:
                return True
        return False


def open_mount_namespace() -> int:
    """A descriptor of this process's mount namespace."""
    # By no number: this process may have another one in the namespace that /proc is of.
    return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def own_mount_namespace() -> int:
    """The inode number of this process's mount namespace."""
    return os.stat("/proc/self/ns/mnt").st_ino


def lives_anybody(mount_namespace: int, *, but: int) -> bool:
    """Whether a process other than ``but`` is in the mount namespace of this inode number."""
    return any(pid != but for pid in _inhabitants(mount_namespace))


def lives_any_titled(title: bytes) -> bool:
    """Whether there is another process in this one's mount namespace whose title (``process.set_title``) begins so."""
    for pid in _inhabitants(own_mount_namespace()):
        try:
            if pid != os.getpid() and process.read_file(f"/proc/{pid}/cmdline").startswith(title):
                return True
        except OSError:
            continue  # it has just ended
    return False


def _inhabitants(mount_namespace: int) -> Iterator[int]:
    name = _mount_space(mount_namespace)
    return (int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and _space(int(pid), "mnt") == name)


def _mount_space(inode: int) -> str:
    return f"mnt:[{inode}]"


def _open(pid: int, kind: str) -> int:
    """A descriptor of a namespace of a process; -1 when it has ended, or is none of ours."""
    try:
        return process.namespace_descriptor(pid, kind)
    except OSError:
        return -1


def _name(descriptor: int, kind: str) -> str:
    """The name of a namespace, as ``_space`` has it; empty for no descriptor."""
    return f"{kind}:[{os.fstat(descriptor).st_ino}]" if descriptor >= 0 else ""


def _space(pid: int, kind: str) -> str:
    """The name of a namespace of a process; empty when it has ended, or is none of ours."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def _state(pid: int) -> bytes:
    try:
        return process.read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0]
    except OSError:
        return b"X"
