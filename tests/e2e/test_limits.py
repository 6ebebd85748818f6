"""Limits as a container meets them, on whatever cgroups the machine has (``script/test-cgroup2``: on version 2)."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kist
import needs
from harness import BUSYBOX, Cli
from kist.build import build
from kist.engine import Engine
from kist.errors import InvalidInput
from kist.kernel.cgroup import Cgroup, detect
from kist.kernel.cgroup_limits import io_weight
from kist.spec.build import BuildOptions, StepOptions
from kist.spec.container import Container, ContainerOptions, Namespaces
from kist.spec.docker.create import write_create
from kist.spec.progress import Event, StepOutput, StepRuns
from kist.spec.resources import DeviceRate, Resources

pytestmark = needs.CONTROL_GROUPS

MIB = 1 << 20
V1 = bool(detect().v1)
PLAIN = Resources()
Start = Callable[..., Container]


@pytest.fixture
def start(engine: Engine, busybox: str) -> Iterator[Start]:
    made: list[Container] = []

    def started(limits: Resources = PLAIN, **options: Any) -> Container:
        given = {"command": ("sleep", "1000"), "network": "none", **options}
        container = engine.create(ContainerOptions(image=busybox, resources=limits, **given))
        made.append(container)
        engine.start(container)
        return engine.container(container)

    yield started
    for container in made:
        engine.remove(container, force=True)


def setting(container: Container, v1: str, v2: str) -> str:
    """What a file of the container's cgroup holds; each version has a name for it."""
    return setting_of(f"{container.options.cgroup_parent.strip('/') or 'kist'}/{container.id}", v1, v2)


def setting_of(path: str, v1: str, v2: str) -> str:
    """The same of a cgroup below the hierarchies' roots."""
    directories = Cgroup(detect(), path).directories()
    name = v1 if V1 else v2
    if V1:
        controller = name.partition(".")[0]
        point = next(point for point, controllers in detect().v1 if controller in controllers)
        folder = f"{point}/{path}"
    else:
        folder = directories[""]
    return Path(folder, name).read_text(encoding="ascii").strip()


@pytest.fixture
def disk() -> Iterator[tuple[str, str]]:
    """A block device of the machine: its path and number."""
    for name in sorted(os.listdir("/sys/class/block")):
        if Path("/dev", name).is_block_device() and not Path("/sys/class/block", name, "partition").exists():
            yield f"/dev/{name}", Path("/sys/class/block", name, "dev").read_text(encoding="ascii").strip()
            return
    pytest.skip("needs a block device")


@pytest.mark.parametrize(
    ("limits", "v1", "v2"),
    [
        ({"memory": 64 * MIB}, {"memory.limit_in_bytes": str(64 * MIB), "memory.memsw.limit_in_bytes": str(128 * MIB)},
         {"memory.max": str(64 * MIB), "memory.swap.max": str(64 * MIB)}),
        ({"memory": 64 * MIB, "memory_swap": 64 * MIB}, {"memory.memsw.limit_in_bytes": str(64 * MIB)},
         {"memory.swap.max": "0"}),
        ({"memory_reservation": 32 * MIB}, {"memory.soft_limit_in_bytes": str(32 * MIB)},
         {"memory.low": str(32 * MIB)}),
        ({"cpu_shares": 512}, {"cpu.shares": "512"}, {"cpu.weight": "59"}),
        ({"nano_cpus": 500_000_000}, {"cpu.cfs_quota_us": "50000"}, {"cpu.max": "50000 100000"}),
        ({"cpu_quota": 20000, "cpu_period": 50000}, {"cpu.cfs_quota_us": "20000", "cpu.cfs_period_us": "50000"},
         {"cpu.max": "20000 50000"}),
        ({"cpuset_cpus": "0", "cpuset_mems": "0"}, {"cpuset.cpus": "0", "cpuset.mems": "0"},
         {"cpuset.cpus": "0", "cpuset.mems": "0"}),
        ({"pids": 77}, {"pids.max": "77"}, {"pids.max": "77"}),
    ],
)  # fmt: skip
def test_a_limit_is_in_the_cgroup(start: Start, limits: dict[str, Any], v1: dict[str, str], v2: dict[str, str]) -> None:
    container = start(Resources(**limits))
    for name, value in (v1 if V1 else v2).items():
        assert setting(container, name, name) == value


@pytest.mark.skipif(not V1, reason="version 1 alone has these")
def test_what_version_1_alone_has(start: Start) -> None:
    container = start(Resources(memory=64 * MIB, memory_swappiness=7, oom_kill_disable=True))
    assert setting(container, "memory.swappiness", "") == "7"
    assert "oom_kill_disable 1" in setting(container, "memory.oom_control", "")


@pytest.mark.skipif(V1, reason="version 1 has them")
def test_what_version_2_lacks_is_a_warning(engine: Engine, busybox: str) -> None:
    limits = Resources(memory=64 * MIB, memory_swappiness=7, oom_kill_disable=True)
    said = engine.warnings(ContainerOptions(image=busybox, resources=limits))
    assert ["swappiness" in said[0], "OomKillDisable" in said[1]] == [True, True]


def test_rates_of_a_block_device(start: Start, disk: tuple[str, str]) -> None:
    path, number = disk
    rate = (DeviceRate(path, 1 * MIB),)
    container = start(Resources(read_bps=rate, write_iops=(DeviceRate(path, 500),)))
    if V1:
        assert setting(container, "blkio.throttle.read_bps_device", "") == f"{number} {MIB}"
        assert setting(container, "blkio.throttle.write_iops_device", "") == f"{number} 500"
    else:
        assert setting(container, "", "io.max") == f"{number} rbps={MIB} wbps=max riops=max wiops=500"


def test_rates_of_a_block_device_are_taken_away(engine: Engine, start: Start, disk: tuple[str, str]) -> None:
    path, number = disk
    container = start(Resources(read_bps=(DeviceRate(path, MIB),), write_iops=(DeviceRate(path, 500),)))
    engine.update(container, Resources(), emptied={"read_bps", "write_bps"})
    kept = engine.container(container.id).options.resources
    assert (kept.read_bps, kept.write_iops) == ((), (DeviceRate(path, 500),))
    if V1:
        assert setting(container, "blkio.throttle.read_bps_device", "") == ""
        assert setting(container, "blkio.throttle.write_iops_device", "") == f"{number} 500"
    else:
        assert setting(container, "", "io.max") == f"{number} rbps=max wbps=max riops=max wiops=500"


def test_a_weight_of_block_devices_is_set_or_warned_of(engine: Engine, start: Start, busybox: str) -> None:
    limits = Resources(blkio_weight=300)
    if said := engine.warnings(ContainerOptions(image=busybox, resources=limits)):
        assert "Block I/O weight" in said[0]
    container = start(limits)
    if not said:
        try:
            weight = setting(container, "blkio.bfq.weight", "io.bfq.weight")
        except FileNotFoundError:
            weight = setting(container, "blkio.weight", "io.weight")
        assert weight in {"300", "default 300", f"default {io_weight(300)}"}


def test_the_container_sees_its_cpus_and_runs_on_no_other(start: Start, engine: Engine) -> None:
    container = start(
        Resources(cpuset_cpus="0"), command=("sh", "-c", "grep Cpus_allowed_list /proc/self/status; sleep 9")
    )
    for record in engine.logs(container, follow=True):
        assert record.data.split() == [b"Cpus_allowed_list:", b"0"]
        break


def test_a_parent_of_the_users_choice(start: Start) -> None:
    container = start(Resources(pids=9), cgroup_parent="/kist-elsewhere/below")
    assert setting(container, "pids.max", "pids.max") == "9"
    own = Path(f"/proc/{container.state.pid}/cgroup").read_text(encoding="ascii")
    assert f"/kist-elsewhere/below/{container.id}" in own
    for folder in Cgroup(detect(), "x/y").directories().values():
        parent = Path(folder).parent.parent / "kist-elsewhere"
        assert parent.is_dir()


def test_a_builds_command_has_a_containers_limits_and_parent(engine: Engine, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN head -c 4000000 /dev/zero\n")  # it waits for its reader
    limits = Resources(cpu_period=50_000, cpu_quota=25_000, memory=64 * MIB)
    steps = StepOptions("none", resources=limits, cgroup_parent="/kist-elsewhere/below")
    ids: list[str] = []
    found: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, StepRuns):
            ids.append(event.container)
        elif isinstance(event, StepOutput) and not found:
            own = f"kist-elsewhere/below/{ids[0]}"
            found.append(setting_of(own, "cpu.cfs_quota_us", "cpu.max"))
            found.append(setting_of(own, "memory.limit_in_bytes", "memory.max"))

    image = build(engine, str(tmp_path), BuildOptions(steps=steps, no_cache=True), look)
    engine.remove_image(image)
    assert found == ["25000" if V1 else "25000 50000", str(64 * MIB)]
    left = Cgroup(detect(), f"kist-elsewhere/below/{ids[0]}").directories().values()
    assert not any(map(os.path.isdir, left))


@pytest.fixture(autouse=True)
def no_parents_left(engine: Engine) -> Iterator[None]:
    del engine
    yield
    for folder in Cgroup(detect(), "x/y").directories().values():
        for name in ("kist-elsewhere/below", "kist-elsewhere"):
            path = Path(folder).parent.parent / name
            if path.is_dir():
                path.rmdir()


@pytest.mark.parametrize(("mode", "shows"), [("", False), ("private", False), ("host", True)])
def test_the_cgroup_namespace(start: Start, engine: Engine, mode: str, shows: bool) -> None:
    container = start(namespaces=Namespaces(cgroup=mode), command=("sh", "-c", "cat /proc/self/cgroup; sleep 9"))
    lines = []
    for record in engine.logs(container, follow=True):
        lines.append(record.data.decode())
        if record.data.startswith((b"1:", b"0:")):
            break
    assert (container.id in "".join(lines)) is shows


def test_a_warning_reaches_the_client(cli: Cli) -> None:
    """Which there is on every machine: version 2 does not have the limit, and version 1 finds it dangerous."""
    with kist.Engine(data_root=cli.environment["KIST_ROOT"], run_root=cli.environment["KIST_RUN"]) as client:
        limits = Resources(oom_kill_disable=True)
        body = write_create(ContainerOptions(image=BUSYBOX, resources=limits))
        made = client._wire.call("POST", "/containers/create", value=body)  # type: ignore[attr-defined]
        client.remove(made["Id"])
    assert [warning.startswith(("OOM killer is disabled", "Your kernel does not")) for warning in made["Warnings"]] == [
        True
    ]


def test_more_cpus_than_there_are(engine: Engine, busybox: str) -> None:
    with pytest.raises(InvalidInput, match="Range of CPUs is from"):
        engine.create(ContainerOptions(image=busybox, resources=Resources(nano_cpus=100_000 * 10**9)))
