"""What a process may do and how it is seen: prctl(2), capset(2), descriptors, /proc/PID."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct

from kist.kernel import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CLOSE_RANGE_CLOEXEC = 4
# include/linux/sched.h; proc_pid_stat(5) shows the flags in field 9.
_PF_EXITING = 4
_CORE_DUMPED = 0x80
_CAPABILITY_VERSION_3 = 0x20080522

# capabilities(7), in the order of their numbers.
CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)


_boot_id = ""
_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}


def set_dumpable(*, dumpable: bool) -> None:
    """Whether others of the same user may look into this process: its memory, /proc/PID/exe, /proc/PID/fd."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def set_name(name: str) -> None:
    """The name in /proc/PID/comm (15 bytes)."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def set_title(title: str) -> None:
    """Let ``ps`` show ``title`` for this process, cut to the room that its command line takes now.

    The command line is memory of the process itself (proc_pid_cmdline(5)); its place is in proc_pid_stat(5).
    """
    start, end = _command_line()
    if end > start > 0:
        text = title.encode()[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
    set_name(title)


_command_line_place: list[tuple[int, int]] = []


def _command_line() -> tuple[int, int]:
    # A fork has it at the same place, so the spawner looks it up for all its monitors.
    if not _command_line_place:
        _command_line_place.append(_find_command_line())
    return _command_line_place[0]


def _find_command_line() -> tuple[int, int]:
    fields = read_file("/proc/self/stat").rpartition(b")")[2].split()
    return int(fields[45]), int(fields[46])


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents die (PR_SET_CHILD_SUBREAPER), also of those made before."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_parent_death_signal(number: int) -> None:
    """The signal that this process gets when its parent dies, 0 for none.

    A change of user or capabilities takes it away (commit_creds in the kernel), a plain execve does not.
    """
    _prctl(_PR_SET_PDEATHSIG, number)


def set_no_new_privileges() -> None:
    """No execve from here on gives more privileges."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_keep_capabilities(keep: bool) -> None:
    """Whether a change away from uid 0 leaves the permitted capabilities."""
    _prctl(_PR_SET_KEEPCAPS, int(keep))


def drop_bounding(keep: int) -> None:
    """Drop every capability from the bounding set whose bit is not in ``keep`` and that the kernel knows."""
    for number in range(_LAST_CAPABILITY + 1):
        if not keep >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for this process; each argument is a bit mask."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack(
        "=IIIIII",
        *(mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, inheritable)),
    )
    libc.call("capset", header, sets)


def permitted_capabilities() -> int:
    """The bit mask of this process's permitted set."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    sets = ctypes.create_string_buffer(24)
    libc.call("capget", header, sets)
    low, high = struct.unpack_from("=I", sets.raw, 4)[0], struct.unpack_from("=I", sets.raw, 16)[0]
    return int(low | high << 32)


def _last_capability() -> int:
    try:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            return int(file.read())
    except FileNotFoundError:
        return len(CAPABILITIES) - 1


def capability_mask(names: Iterable[str]) -> int:
    """The bit mask of capabilities given by their names."""
    mask = 0
    for name in names:
        mask |= 1 << _NUMBERS[name]
    return mask


def widen_descriptors() -> tuple[int, int]:
    """Have this process open as many descriptors as it may at all; the limits that it had, soft and hard."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before


def close_all_but(*kept: int) -> None:
    """Close every descriptor but the standard ones and these."""
    for call, arguments in closing_all_but(*kept):
        call(*arguments)


def closing_all_but(*kept: int) -> list[tuple[Callable[..., object], tuple[int, int]]]:
    """The calls of ``close_all_but``."""
    made: list[tuple[Callable[..., object], tuple[int, int]]] = []
    first = 3
    for descriptor in sorted(kept):
        if descriptor > first:
            made.append((os.closerange, (first, descriptor)))
        first = max(first, descriptor + 1)
    return [*made, (os.closerange, (first, 0x7FFFFFFF))]


def exit_code(status: int) -> int:
    """The exit code that a wait status stands for, from 0 to 255: 128 + n where signal n was the end."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from ``first`` up to be closed by execve."""
    libc.syscall(libc.SYS_CLOSE_RANGE, first, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)


def children() -> list[int]:
    """The children of this process, with those that have ended and nobody has waited for yet."""
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and parent(int(name)) == own]


def parent(pid: int) -> int:
    """The process id of a process's parent; 0 when it has ended and been waited for."""
    try:
        return int(read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def start_time(pid: int) -> int:
    """When the process began, in clock ticks since boot: with the pid and the boot id it names a process for good.

    Raises ``FileNotFoundError`` or ``ProcessLookupError`` when there is none.
    """
    return int(read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])


def lives(pid: int, started: int) -> bool:
    """Whether the process that began at ``started`` (see ``start_time``) is there and not on its way out.

    A process closes its sockets before it is gone from /proc: who hears the end there must not find it alive here.
    """
    try:
        fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(fields[19]) == started and not int(fields[6]) & _PF_EXITING


def peek_status(pidfd: int) -> int:
    """The wait status of a child that has ended, which stays to be waited for."""
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    assert found is not None  # without WNOHANG it waits
    if found.si_code == os.CLD_EXITED:
        return found.si_status << 8
    return found.si_status | (_CORE_DUMPED if found.si_code == os.CLD_DUMPED else 0)


def name_of(pid: int, pidfd: int) -> str:
    """What a process calls itself (15 characters at most); empty where it has ended, or is to be seen by nobody here.

    Args:
        pid: its number.
        pidfd: of the same process: while it lives, the number is no other's.
    """
    try:
        name = read_file(f"/proc/{pid}/comm").rstrip(b"\n").decode(errors="replace")
    except OSError:
        return ""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return name  # it lives, and is somebody else's
    return name


def exists(pid: int) -> bool:
    """Whether there is a process of this number, a dead one that nobody waited for included."""
    return os.path.exists(f"/proc/{pid}")


def set_oom_score_adjustment(adjustment: int) -> None:
    """How readily the kernel chooses this process when memory runs out: -1000 never, 1000 first."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(adjustment))


def may_set_groups() -> bool:
    """Whether this process's user namespace allows setgroups(2) at all."""
    return read_file("/proc/self/setgroups").strip() == b"allow"


def in_initial_user_namespace() -> bool:
    """Whether ids mean here what they mean to the machine: otherwise root is root of a user namespace only."""
    return read_file("/proc/self/uid_map").split() == [b"0", b"0", b"4294967295"]


def boot_id() -> str:
    """A random word that is new at each boot."""
    global _boot_id  # noqa: PLW0603 - no process outlives a boot
    _boot_id = _boot_id or read_file("/proc/sys/kernel/random/boot_id").strip().decode()
    return _boot_id


def kernel_release() -> tuple[int, int]:
    """The first two numbers of the kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)))


def read_file(path: str) -> bytes:
    """The whole content of a small file, without the layers of ``open``: they touch a hundred pages of memory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, 1 << 16)
        # No more at once: for a file of /proc/sys the kernel clears as much memory as is asked for.
        while part := os.read(descriptor, 1 << 16):
            content += part
    finally:
        os.close(descriptor)
    return content


def open_network_counters(pid: int) -> int:
    """A descriptor for ``network_bytes``; while it is open, the process's network namespace stays."""
    return os.open(f"/proc/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)


def network_bytes(counters: int) -> tuple[int, int]:
    """Bytes received and sent by the interfaces of a network namespace, without the loopback (proc_pid_net(5))."""
    received = sent = 0
    for line in os.pread(counters, 1 << 16, 0).splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        if name.strip() != b"lo":
            columns = numbers.split()
            received += int(columns[0])
            sent += int(columns[8])
    return received, sent


def share_memory() -> None:
    """Have all threads take memory from one place: what one has let go of, another takes, and all can be given back.

    glibc gives each thread a place of its own, whose end ``trim_memory`` does not reach. Who allocates mostly has the
    interpreter's lock, so none waits for another.
    """
    libc.one_arena()


def trim_memory() -> None:
    """Have the allocator give free pages back to the kernel, where the C library has a way to ask for it (glibc)."""
    libc.trim()


def namespace_descriptor(pid: int, name: str) -> int:
    """A descriptor of the process's namespace ``name`` (``net``, ``mnt``, …)."""
    return os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)


def has_our_namespace(pid: int, name: str) -> bool:
    """Whether a process has the namespace ``name`` (``net``, ``ipc``, …) that this process has."""
    return os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")


def _prctl(option: int, argument: object) -> None:
    value = ctypes.c_ulong(argument) if isinstance(argument, int) else argument
    zero = ctypes.c_ulong(0)
    libc.call("prctl", option, value, zero, zero, zero)


# The highest capability number that this kernel knows; read once, before anything is pivoted away.
_LAST_CAPABILITY = _last_capability()
