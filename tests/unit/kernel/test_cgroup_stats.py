"""What the kernel counted, from the texts that it has for it."""

from pathlib import Path

from kist.kernel import cgroup_stats
from kist.kernel.cgroup_files import sum_of


def write(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (directory / name).write_text(text, encoding="ascii")
    return str(directory)


def test_version_2(tmp_path: Path) -> None:
    files = {
        "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"
        "nr_periods 3\nnr_throttled 1\nthrottled_usec 7\n",
        "memory.current": "4096\n",
        "memory.peak": "8192\n",
        "memory.max": "max\n",
        "memory.stat": "anon 100\ninactive_file 50\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2\n253:0\n8:16 rbytes=5 wbytes=0 rios=1 wios=0\n",
        "pids.current": "3\n",
        "pids.max": "7\n",
    }
    found = cgroup_stats._version_2(write(tmp_path, files))
    assert found["cpu"] == {
        "total": 1_500_000, "user": 1_000_000, "system": 500_000, "periods": 3, "throttled_periods": 1,
        "throttled_time": 7000,
    }  # fmt: skip
    assert found["memory"] == {"usage": 4096, "peak": 8192, "limit": 0, "stats": {"anon": 100, "inactive_file": 50}}
    assert found["blocks"]["bytes"] == [
        ("8:0", "Read", 10),
        ("8:0", "Write", 20),
        ("8:16", "Read", 5),
        ("8:16", "Write", 0),
    ]
    assert found["blocks"]["operations"][1] == ("8:0", "Write", 2)
    assert found["pids"] == {"current": 3, "limit": 7}
    assert (sum_of(f"{tmp_path}/io.stat", " rbytes="), sum_of(f"{tmp_path}/io.stat", " wbytes=")) == (15, 20)


def test_version_1(tmp_path: Path) -> None:
    files = {
        "cpuacct.usage": "900\n",
        "cpuacct.stat": "user 2\nsystem 1\n",
        "cpuacct.usage_percpu": "400 500 \n",
        "cpu.stat": "nr_periods 4\nnr_throttled 2\nthrottled_time 99\n",
        "memory.usage_in_bytes": "10\n",
        "memory.max_usage_in_bytes": "20\n",
        "memory.failcnt": "1\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.stat": "total_inactive_file 5\n",
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\nTotal 30\n",
        "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n",
        "pids.current": "1\n",
        "pids.max": "max\n",
    }
    directory = write(tmp_path, files)
    found = cgroup_stats._version_1(dict.fromkeys(("cpuacct", "cpu", "memory", "blkio", "pids"), directory))
    assert (found["cpu"]["total"], found["cpu"]["each"], found["cpu"]["throttled_time"]) == (900, [400, 500], 99)
    assert found["cpu"]["user"] == 2 * found["cpu"]["system"] > 0
    assert found["memory"] == {
        "usage": 10, "peak": 20, "failures": 1, "limit": 0, "stats": {"total_inactive_file": 5}
    }  # fmt: skip
    assert found["blocks"] == {"bytes": [("8:0", "Read", 10), ("8:0", "Write", 20)], "operations": [("8:0", "Read", 1)]}
    assert found["pids"] == {"current": 1, "limit": 0}
    blocks = f"{directory}/blkio.throttle.io_service_bytes_recursive"
    assert (sum_of(blocks, " Read "), sum_of(blocks, " Write "), sum_of(blocks + "x", " Read ")) == (10, 20, 0)


def test_a_cgroup_that_is_gone_counted_nothing(tmp_path: Path) -> None:
    assert cgroup_stats._version_2(str(tmp_path / "gone")) == {
        "pids": {"limit": 0}, "blocks": {"bytes": [], "operations": []}
    }  # fmt: skip


def test_networks() -> None:
    text = (
        "Inter-|   Receive\n face |bytes\n"
        "    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0:1296 16 1 2 0 0 0 0 816 10 3 4 0 0 0 0\n"
    )
    assert cgroup_stats.parse_network(text) == {
        "eth0": {"rx_bytes": 1296, "rx_packets": 16, "rx_errors": 1, "rx_dropped": 2,
                 "tx_bytes": 816, "tx_packets": 10, "tx_errors": 3, "tx_dropped": 4},
    }  # fmt: skip
