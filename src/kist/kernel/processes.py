"""Processes as ps(1) tells of them, from /proc (proc(5))."""

import os
import time

from kist.kernel import cgroup_files as files

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """What /proc told of one process at one moment.

    Attributes:
        pid, ppid, pgid, sid, nice, priority, threads: as the kernel numbers them.
        uid, gid: the effective ones, of this process's user namespace.
        state: the letters of STAT: ``S``, ``Ss``, ``R+``, ….
        name: of the executable, 15 characters; ``command``: the whole line, or the name in brackets.
        terminal: device number; 0 for none.
        cpu: seconds that it used; ``started``: seconds since the epoch; ``age``: seconds.
        virtual, resident: bytes.
    """

    __slots__ = (
        "age", "command", "cpu", "gid", "name", "nice", "pgid", "pid", "ppid", "priority", "resident", "sid",
        "started", "state", "terminal", "threads", "uid", "virtual",
    )  # fmt: skip

    def __init__(self, pid: int) -> None:
        head, _, tail = files.read(f"/proc/{pid}/stat").rpartition(")")
        fields = tail.split()
        status = dict(
            line.partition(":")[::2] for line in files.read(f"/proc/{pid}/status").splitlines() if line[:3] in _IDS
        )
        self.pid = pid
        self.name = head.partition("(")[2]
        self.ppid, self.pgid, self.sid, self.terminal = (int(fields[i]) for i in (1, 2, 3, 4))
        self.cpu = (int(fields[11]) + int(fields[12])) / _TICKS
        self.priority, self.nice, self.threads = (int(fields[i]) for i in (15, 16, 17))
        self.age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS
        self.started = time.time() - self.age
        self.virtual, self.resident = int(fields[20]), int(fields[21]) * _PAGE
        self.uid, self.gid = (int(status[key].split()[1]) for key in ("Uid", "Gid"))
        self.state = self._letters(fields[0], foreground=int(fields[5]) == self.pgid)
        words = files.read(f"/proc/{pid}/cmdline").rstrip("\0").replace("\0", " ")
        self.command = words or f"[{self.name}]{' <defunct>' if fields[0] == 'Z' else ''}"

    def _letters(self, state: str, *, foreground: bool) -> str:
        marks = (("<", self.nice < 0), ("N", self.nice > 0), ("s", self.sid == self.pid), ("l", self.threads > 1))
        shown = "".join(letter for letter, holds in marks if holds)
        return f"{state}{shown}{'+' if foreground else ''}"

    @property
    def terminal_name(self) -> str:
        """``pts/0``, ``tty1``; ``?`` for none."""
        major, minor = os.major(self.terminal), os.minor(self.terminal)
        if 136 <= major <= 143:
            return f"pts/{minor + 256 * (major - 136)}"
        return f"tty{minor}" if major == 4 else "?"


_IDS = frozenset({"Uid", "Gid"})


def look(pid: int) -> Process | None:
    """The process; None when it has ended."""
    try:
        return Process(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None


def total_memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE
