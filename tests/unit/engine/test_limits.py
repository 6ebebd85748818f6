"""Limits against each other and against the machine: what is refused, what is left out with a warning, what is set."""

from typing import Any

import pytest

from kist.engine.limits import WATCHED, Machine, cgroup_limits, is_limited, listed, merge, missing_limits, verify
from kist.errors import Conflict, InvalidInput
from kist.kernel.cgroup_features import _FEATURES
from kist.spec.resources import DeviceRate, Resources
from kist.spec.runtime import BlockDeviceLimit, LinuxResources

ALL = Machine(cpus=4, cpu_list="0-3", memory_nodes="0", keeps=frozenset(_FEATURES))
NONE = Machine(cpus=4, cpu_list="0-3", memory_nodes="0", keeps=frozenset())
MIB = 1 << 20
DISK = (DeviceRate("/dev/sda", 100),)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"memory": 6 * MIB - 1}, "Minimum memory limit allowed is 6MB"),
        ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"memory": 9 * MIB, "memory_swap": 8 * MIB}, "Minimum memoryswap limit should be larger than memory limit"),
        ({"memory_swap": 8 * MIB}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"memory_swap": -2}, "invalid value for memory swap: -2"),
        ({"memory_reservation": MIB}, "Minimum memory reservation allowed is 6MB"),
        ({"memory_reservation": -5}, "Minimum memory reservation allowed is 6MB"),
        ({"memory": 8 * MIB, "memory_reservation": 9 * MIB}, "can not be less than memory reservation limit"),
        ({"memory_swappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"memory_swappiness": -2}, "Invalid value: -2, valid memory swappiness range is 0-100"),
        ({"nano_cpus": 1, "cpu_period": 5000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
        ({"nano_cpus": 1, "cpu_quota": 5000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ({"nano_cpus": -1}, "Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"),
        ({"nano_cpus": 4_000_000_001}, "Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"),
        ({"cpu_period": 999}, "CPU cfs period can not be less than 1ms"),
        ({"cpu_period": 1_000_001}, "CPU cfs period can not be less than 1ms"),
        ({"cpu_quota": 999}, "CPU cfs quota can not be less than 1ms"),
        ({"cpu_shares": -1}, "invalid CPU shares -1"),
        ({"cpu_realtime_period": 10, "cpu_realtime_runtime": 11}, "runtime cannot be higher than cpu real-time period"),
        ({"cpuset_cpus": "0-4"}, "Requested CPUs are not available - requested 0-4, available: 0-3"),
        ({"cpuset_cpus": "x"}, "Invalid value x for cpuset cpus"),
        ({"cpuset_cpus": "2-1"}, "Invalid value 2-1 for cpuset cpus"),
        ({"cpuset_mems": "1"}, "Requested memory nodes are not available - requested 1, available: 0"),
        ({"cpuset_mems": "0,"}, "Invalid value 0, for cpuset mems"),
        ({"blkio_weight": 9}, "Range of blkio weight is from 10 to 1000"),
        ({"blkio_weight": 1001}, "Range of blkio weight is from 10 to 1000"),
        ({"blkio_weight_devices": (DeviceRate("/dev/x", 5),)}, "invalid weight for device: /dev/x:5"),
        ({"read_bps": (DeviceRate("/dev/x", -5),)}, "invalid rate for device: /dev/x:-5"),
    ],
)
def test_what_cannot_be_right_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        verify(Resources(**asked), ALL)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "kept", "said"),
    [
        ({"memory": 8 * MIB}, {}, "memory limit capabilities or the cgroup is not mounted. Limitation discarded."),
        ({"memory_reservation": 8 * MIB}, {}, "memory soft limit capabilities"),
        ({"memory_swappiness": 5}, {}, "memory swappiness capabilities"),
        ({"oom_kill_disable": True}, {}, "Your kernel does not support OomKillDisable. OomKillDisable discarded."),
        ({"pids": 5}, {}, "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded."),
        ({"cpu_shares": 5}, {}, "CPU shares or the cgroup is not mounted. Shares discarded."),
        ({"cpu_period": 5000, "cpu_quota": 5000}, {}, "CPU CFS scheduler. CPU period/quota discarded."),
        ({"cpuset_cpus": "0", "cpuset_mems": "0"}, {}, "cpuset or the cgroup is not mounted. Cpuset discarded."),
        ({"blkio_weight": 500}, {}, "Block I/O weight or the cgroup is not mounted. Weight discarded."),
        ({"blkio_weight_devices": DISK}, {}, "Block I/O weight_device or"),
        ({"read_bps": DISK}, {}, "BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit"),
        ({"write_bps": DISK}, {}, "BPS Block I/O write limit or"),
        ({"read_iops": DISK}, {}, "IOPS Block read limit or"),
        ({"write_iops": DISK}, {}, "IOPS Block write limit or"),
    ],
)  # fmt: skip
def test_what_the_machine_cannot_keep_is_left_out_with_a_warning(
    asked: dict[str, Any], kept: dict[str, Any], said: str
) -> None:
    found, [warning] = verify(Resources(**asked), NONE)
    assert found == Resources(**kept)
    assert said in warning
    assert verify(Resources(**asked), ALL)[0] != Resources(), "a machine that keeps everything keeps this"


def test_what_a_machine_without_them_refuses() -> None:
    for asked in ({"nano_cpus": 5}, {"cpu_realtime_period": 5}, {"cpu_realtime_runtime": 5}):
        with pytest.raises(InvalidInput, match="not support"):
            verify(Resources(**asked), NONE)


@pytest.mark.parametrize(
    ("asked", "swap", "warnings"),
    [
        (Resources(memory=8 * MIB), 16 * MIB, 0),
        (Resources(memory=8 * MIB, memory_swap=8 * MIB), 8 * MIB, 0),
        (Resources(memory=8 * MIB, memory_swap=-1), -1, 0),
        (Resources(memory_swap=-1), -1, 0),
    ],
)
def test_swap(asked: Resources, swap: int, warnings: int) -> None:
    found, said = verify(asked, ALL)
    assert (found.memory_swap, len(said)) == (swap, warnings)


def test_memory_on_a_machine_that_does_not_count_swap() -> None:
    machine = Machine(4, "0-3", "0", ALL.keeps - {"swap"})
    found, [warning] = verify(Resources(memory=8 * MIB), machine)
    assert (found.memory, found.memory_swap) == (8 * MIB, -1)
    assert warning.endswith("Memory limited without swap.")
    assert verify(Resources(memory=8 * MIB, memory_swap=-1), machine)[1] == ()


def test_where_memory_is_watched_swap_is_told_of_only_if_it_was_asked_for() -> None:
    machine = Machine(4, "0-3", "0", WATCHED)
    assert verify(Resources(memory=8 * MIB), machine) == (Resources(memory=8 * MIB, memory_swap=-1), ())
    _, [warning] = verify(Resources(memory=8 * MIB, memory_swap=16 * MIB), machine)
    assert warning.endswith("Memory limited without swap.")


def test_processes_that_wait_for_memory_without_a_limit_are_warned_of() -> None:
    assert "no memory limit is set" in verify(Resources(oom_kill_disable=True), ALL)[1][0]
    assert verify(Resources(oom_kill_disable=True, memory=8 * MIB), ALL)[1] == ()


def test_no_limit_of_processes_is_minus_one_and_stays_so_in_an_update() -> None:
    assert verify(Resources(pids=-1), ALL)[0].pids == 0
    assert verify(Resources(pids=-1), ALL, update=True)[0].pids == -1


def test_an_update_may_change_one_of_two_that_go_together() -> None:
    assert verify(Resources(memory_swap=9 * MIB), ALL, update=True)[0].memory_swap == 9 * MIB
    assert verify(Resources(memory=9 * MIB), ALL, update=True)[0].memory_swap == 0


def test_what_is_no_limit_needs_no_look_at_the_machine() -> None:
    assert not is_limited(Resources(shm_size=5, device_rules=("c 1:3 r",)))
    assert is_limited(Resources(memory_swappiness=0))


@pytest.mark.parametrize(
    ("kept", "changes", "after"),
    [
        (Resources(memory=8 * MIB, pids=5), Resources(pids=7), Resources(memory=8 * MIB, pids=7)),
        (Resources(memory=8 * MIB), Resources(), Resources(memory=8 * MIB)),
        (Resources(cpu_quota=5000), Resources(cpu_quota=-1), Resources(cpu_quota=-1)),
        (Resources(shm_size=99), Resources(cpu_shares=5), Resources(shm_size=99, cpu_shares=5)),
        (Resources(memory=8 * MIB, memory_swap=-1), Resources(memory=9 * MIB),
         Resources(memory=9 * MIB, memory_swap=-1)),
    ],
)  # fmt: skip
def test_changes_are_laid_over_what_is_kept(kept: Resources, changes: Resources, after: Resources) -> None:
    assert merge(kept, changes) == after


@pytest.mark.parametrize(
    ("kept", "changes", "said"),
    [
        (Resources(cpu_period=5000), Resources(nano_cpus=1), "Nano CPUs cannot be updated as CPU Period"),
        (Resources(cpu_quota=5000), Resources(nano_cpus=1), "Nano CPUs cannot be updated as CPU Quota"),
        (Resources(nano_cpus=1), Resources(cpu_quota=5000), "CPU Quota cannot be updated as NanoCPUs"),
        (Resources(nano_cpus=1), Resources(cpu_period=5000), "CPU Period cannot be updated as NanoCPUs"),
        (Resources(memory=8, memory_swap=16), Resources(memory=17), "smaller than already set memoryswap limit"),
        (Resources(memory=8, memory_swap=16), Resources(memory_swap=7), "Minimum memoryswap limit should be larger"),
    ],
)
def test_a_change_that_does_not_go_with_what_is_kept_is_refused(kept: Resources, changes: Resources, said: str) -> None:
    with pytest.raises(Conflict) as caught:
        merge(kept, changes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        (Resources(), LinuxResources()),
        (Resources(nano_cpus=1_500_000_000), LinuxResources(cpu_quota=150_000, cpu_period=100_000)),
        (Resources(nano_cpus=20_000), LinuxResources(cpu_quota=1000, cpu_period=100_000)),
        (Resources(cpu_quota=5000), LinuxResources(cpu_quota=5000)),
        (Resources(memory_swappiness=0), LinuxResources(memory_swappiness=0)),
        (Resources(read_bps=DISK), LinuxResources(read_bps=(BlockDeviceLimit("8:0", 100),))),
        (Resources(blkio_weight_devices=DISK), LinuxResources(blkio_weight_devices=(BlockDeviceLimit("8:0", 100),))),
        (
            Resources(memory=5, memory_swap=6, memory_reservation=4, oom_kill_disable=True, cpuset_cpus="0", pids=9),
            LinuxResources(memory=5, memory_swap=6, memory_reservation=4, disable_oom_killer=True, cpus="0", pids=9),
        ),
    ],
)
def test_what_is_written(asked: Resources, written: LinuxResources) -> None:
    assert cgroup_limits(asked, {"/dev/sda": "8:0"}.__getitem__) == written


@pytest.mark.parametrize(("path", "said"), [("/dev/null", "is no block device"), ("/dev/nothing", "no such device")])
def test_a_rate_of_what_is_no_disk_is_refused(path: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        cgroup_limits(Resources(read_bps=(DeviceRate(path, 5),)))


@pytest.mark.parametrize(
    ("text", "numbers"), [("", set()), ("3", {3}), ("0-2,4", {0, 1, 2, 4}), ("1,1-2", {1, 2}), ("7-7", {7})]
)
def test_a_list_of_cpus(text: str, numbers: set[int]) -> None:
    assert listed(text) == numbers


@pytest.mark.parametrize("text", ["a", "-1", "1-", "2-1", "1,,2", " ", "0-99999999", "\u0661"])
def test_what_is_no_list_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$|invalid literal"):
        listed(text)


def test_info_names_what_a_machine_cannot_keep() -> None:
    assert missing_limits(ALL) == ()
    assert missing_limits(Machine(4, "0-3", "0", ALL.keeps - {"swap"})) == ("No swap limit support",)
