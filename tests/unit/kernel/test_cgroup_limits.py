"""Limits as they are written: the conversions between the cgroup versions, and which file gets what."""

from pathlib import Path
from typing import Any

import pytest

from kist.kernel import cgroup_limits


@pytest.mark.parametrize(
    ("shares", "weight"), [(0, 1), (2, 1), (1024, 100), (262144, 10000), (1 << 30, 10000), (512, 59), (2048, 174)]
)
def test_shares_become_a_weight(shares: int, weight: int) -> None:
    assert cgroup_limits.weight_of_shares(shares) == weight


def test_more_shares_never_weigh_less() -> None:
    weights = [cgroup_limits.weight_of_shares(shares) for shares in range(2, 262145, 37)]
    assert weights == sorted(weights)


@pytest.mark.parametrize(("weight", "io"), [(10, 1), (1000, 10000), (500, 4950)])
def test_a_weight_of_block_devices(weight: int, io: int) -> None:
    assert cgroup_limits.io_weight(weight) == io


RATE = ({"device": "8:0", "rate": 100},)
NO_RATE = ({"device": "8:0", "rate": 0},)


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        ({}, {}),
        ({"memory": 5, "memorySwap": 8}, {"memory.max": "5", "memory.swap.max": "3"}),
        ({"memory": 5, "memorySwap": 5}, {"memory.max": "5", "memory.swap.max": "0"}),
        ({"memory": 5, "memorySwap": -1}, {"memory.max": "5", "memory.swap.max": "max"}),
        ({"memory": -1}, {"memory.max": "max"}),
        ({"memoryReservation": 7}, {"memory.low": "7"}),
        ({"memorySwappiness": 7, "disableOomKiller": True}, {}),
        ({"cpuQuota": 5000}, {"cpu.max": "5000 100000"}),
        ({"cpuQuota": -1, "cpuPeriod": 2000}, {"cpu.max": "max 2000"}),
        ({"cpuShares": 1024}, {"cpu.weight": "100"}),
        ({"cpus": "0-1", "mems": "0"}, {"cpuset.cpus": "0-1", "cpuset.mems": "0"}),
        ({"pids": 4}, {"pids.max": "4"}),
        ({"pids": -1}, {"pids.max": "max"}),
        ({"blkioWeight": 500}, {"io.weight": "default 4950"}),
        ({"readBps": RATE, "writeBps": RATE}, {"io.max": "8:0 wbps=100"}),
        ({"writeIops": NO_RATE}, {"io.max": "8:0 wiops=max"}),
        ({"blkioWeightDevices": NO_RATE}, {"io.weight": "8:0 default"}),
    ],
)
def test_version_2(tmp_path: Path, limits: dict[str, Any], files: dict[str, str]) -> None:
    """On plain files, whose last write is seen; a file that nothing is written to does not come to be changed."""
    names = ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight", "cpuset.cpus", "cpuset.mems",
             "pids.max", "io.weight", "io.max")  # fmt: skip
    for name in names:
        (tmp_path / name).write_text("")
    controllers = frozenset({"memory", "cpu", "cpuset", "pids", "io"})
    assert cgroup_limits.write_v2(str(tmp_path), controllers, limits) == []
    written = {name: (tmp_path / name).read_text() for name in names}
    # A plain file is written over from its start, so of two writes of one length the last remains.
    assert {name: text for name, text in written.items() if text} == files


def test_the_bfq_scheduler_has_version_1s_weights(tmp_path: Path) -> None:
    (tmp_path / "io.bfq.weight").write_text("")
    cgroup_limits.write_v2(str(tmp_path), frozenset({"io"}), {"blkioWeight": 500})
    assert (tmp_path / "io.bfq.weight").read_text() == "default 500"


@pytest.mark.parametrize(
    ("limits", "files"),
    [
        ({"memory": 5, "memorySwap": 8}, {"memory.limit_in_bytes": "5", "memory.memsw.limit_in_bytes": "8"}),
        ({"memoryReservation": 5, "memorySwappiness": 0},
         {"memory.soft_limit_in_bytes": "5", "memory.swappiness": "0"}),
        ({"disableOomKiller": True}, {"memory.oom_control": "1"}),
        ({"cpuShares": 7, "cpuQuota": 5000, "cpuPeriod": 9000},
         {"cpu.shares": "7", "cpu.cfs_quota_us": "5000", "cpu.cfs_period_us": "9000"}),
        ({"cpuRealtimeRuntime": 5, "cpuRealtimePeriod": 9}, {"cpu.rt_runtime_us": "5", "cpu.rt_period_us": "9"}),
        ({"cpus": "1"}, {"cpuset.cpus": "1"}),
        ({"blkioWeight": 300, "blkioWeightDevices": RATE},
         {"blkio.bfq.weight": "300", "blkio.bfq.weight_device": "8:0 100"}),
        ({"blkioWeightDevices": NO_RATE}, {"blkio.bfq.weight_device": "8:0 default"}),
        ({"readBps": RATE, "writeIops": RATE},
         {"blkio.throttle.read_bps_device": "8:0 100", "blkio.throttle.write_iops_device": "8:0 100"}),
    ],
)  # fmt: skip
def test_version_1(tmp_path: Path, limits: dict[str, Any], files: dict[str, str]) -> None:
    for name in files:
        (tmp_path / name).write_text("0" if name.startswith("memory.memsw") else "")
    controllers = ("memory", "cpu", "cpuset", "pids", "blkio")
    assert cgroup_limits.write_v1(dict.fromkeys(controllers, str(tmp_path)), limits) == []
    assert {name: (tmp_path / name).read_text() for name in files} == files


def test_a_file_that_the_kernel_lacks_is_a_warning_that_names_it(tmp_path: Path) -> None:
    [warning] = cgroup_limits.write_v1({"blkio": str(tmp_path)}, {"blkioWeight": 300})
    assert warning == "the limit blkioWeight has no effect: this kernel has no blkio.weight"
