"""What a cgroup's controllers counted, in detail, for ``stats``; ``Cgroup.stats`` is the short form, for monitors."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from kist.kernel import cgroup_files as files
from kist.kernel.cgroup import Cgroup

_CLOCK_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_MICROSECOND = 1000
# The kernel's "no limit" of version 1 is the largest number of pages that fits.
_NO_LIMIT = 1 << 62


def read(group: Cgroup) -> dict[str, Any]:
    """CPU, memory, block devices and processes of a cgroup; what is not counted is absent, all of it when it is gone.

    Keys: ``cpu`` (``total``, ``user``, ``system`` in ns; ``each``: ns for each CPU, version 1 only; ``periods``,
    ``throttled_periods``, ``throttled_time`` in ns), ``memory`` (``usage``, ``limit`` in bytes, 0 for none; ``peak``,
    ``failures``; ``stats``: the kernel's own table), ``blocks`` (``bytes`` and ``operations``: device, ``Read`` or
    ``Write``, number), ``pids`` (``current``, ``limit``, 0 for none), ``version``.
    """
    directories = group.directories()
    if "" in directories and "memory" in directories and directories["memory"] == directories[""]:
        return {"version": 2, **_version_2(directories[""])}
    return {"version": 1, **_version_1(directories)}


def _version_1(directories: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if accounting := directories.get("cpuacct"):
        found["cpu"] = _cpu_1(accounting, directories.get("cpu", ""))
    if memory := directories.get("memory"):
        limit = files.read_number(memory + "/memory.limit_in_bytes") or 0
        found["memory"] = _present(
            usage=files.read_number(memory + "/memory.usage_in_bytes"),
            peak=files.read_number(memory + "/memory.max_usage_in_bytes"),
            failures=files.read_number(memory + "/memory.failcnt"),
            limit=limit if limit < _NO_LIMIT else 0,
            stats=_table(memory + "/memory.stat"),
        )
    if blocks := directories.get("blkio"):
        found["blocks"] = {
            "bytes": list(_blocks_1(blocks + "/blkio.throttle.io_service_bytes_recursive")),
            "operations": list(_blocks_1(blocks + "/blkio.throttle.io_serviced_recursive")),
        }
    if pids := directories.get("pids"):
        found["pids"] = _pids(pids)
    return found


def _cpu_1(accounting: str, cpu: str) -> dict[str, Any]:
    split, throttled = _table(accounting + "/cpuacct.stat"), _table(cpu + "/cpu.stat") if cpu else {}
    return _present(
        total=files.read_number(accounting + "/cpuacct.usage"),
        user=split.get("user", 0) * _CLOCK_TICK,
        system=split.get("system", 0) * _CLOCK_TICK,
        each=[int(word) for word in _text(accounting + "/cpuacct.usage_percpu").split()],
        periods=throttled.get("nr_periods", 0),
        throttled_periods=throttled.get("nr_throttled", 0),
        throttled_time=throttled.get("throttled_time", 0),
    )


def _blocks_1(path: str) -> Iterator[tuple[str, str, int]]:
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in {"Read", "Write"}:
            yield words[0], words[1], int(words[2])


def _version_2(directory: str) -> dict[str, Any]:
    cpu, blocks = _table(directory + "/cpu.stat"), _text(directory + "/io.stat")
    found: dict[str, Any] = {"pids": _pids(directory)}
    if cpu:
        found["cpu"] = {
            "total": cpu.get("usage_usec", 0) * _MICROSECOND,
            "user": cpu.get("user_usec", 0) * _MICROSECOND,
            "system": cpu.get("system_usec", 0) * _MICROSECOND,
            "periods": cpu.get("nr_periods", 0),
            "throttled_periods": cpu.get("nr_throttled", 0),
            "throttled_time": cpu.get("throttled_usec", 0) * _MICROSECOND,
        }
    usage = files.read_number(directory + "/memory.current")
    if usage is not None:
        found["memory"] = _present(
            usage=usage,
            peak=files.read_number(directory + "/memory.peak"),
            limit=_limit(directory + "/memory.max"),
            stats=_table(directory + "/memory.stat"),
        )
    found["blocks"] = {
        "bytes": list(_blocks_2(blocks, ("rbytes", "wbytes"))),
        "operations": list(_blocks_2(blocks, ("rios", "wios"))),
    }
    return found


def _blocks_2(text: str, keys: tuple[str, str]) -> Iterator[tuple[str, str, int]]:
    for line in text.splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        for key, operation in zip(keys, ("Read", "Write"), strict=True):
            if key in values:
                yield device, operation, int(values[key])


def _pids(directory: str) -> dict[str, Any]:
    return _present(current=files.read_number(directory + "/pids.current"), limit=_limit(directory + "/pids.max"))


def _limit(path: str) -> int:
    text = _text(path).strip()
    return int(text) if text.isdigit() else 0


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _table(path: str) -> dict[str, int]:
    """A file of ``name number`` lines."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(path: str) -> str:
    try:
        return files.read(path)
    except OSError as error:
        if files.gone(error):
            return ""
        raise


def system_cpu() -> int:
    """The CPU time of the machine since its boot, in ns, idle time and all; as Docker adds it up (proc_stat(5))."""
    return sum(map(int, files.read("/proc/stat").split("\n", 1)[0].split()[1:8])) * _CLOCK_TICK


def network(pid: int) -> dict[str, dict[str, int]]:
    """The counters of the interfaces in a process's network namespace, without the loopback; empty when it is gone."""
    with suppress(OSError):
        return parse_network(files.read(f"/proc/{pid}/net/dev"))
    return {}


# proc_pid_net(5), "dev": eight counters of what came in, eight of what went out.
COUNTERS = {"rx_bytes": 0, "rx_packets": 1, "rx_errors": 2, "rx_dropped": 3,
            "tx_bytes": 8, "tx_packets": 9, "tx_errors": 10, "tx_dropped": 11}  # fmt: skip


def parse_network(text: str) -> dict[str, dict[str, int]]:
    """The table of /proc/PID/net/dev."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = rest.split()
        if name.strip() != "lo":
            found[name.strip()] = {key: int(numbers[column]) for key, column in COUNTERS.items()}
    return found
