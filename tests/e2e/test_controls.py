"""Pause, update, top and stats of containers that run, and what is kept of those that ended."""

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kist
import needs
from harness import BUSYBOX, Cli, kill_engine, until
from kist.engine import Engine
from kist.engine.starter import Places
from kist.engine.state import living_monitor
from kist.errors import Conflict, InvalidInput
from kist.kernel import cgroup_stats
from kist.kernel.cgroup import Cgroup, detect
from kist.spec.container import Container, ContainerOptions, ExecOptions, RestartPolicy
from kist.spec.resources import Resources

MIB = 1 << 20
V1 = bool(detect().v1)
Start = Callable[..., Container]


@pytest.fixture
def start(engine: Engine, busybox: str) -> Iterator[Start]:
    made: list[Container] = []

    def started(*command: str, **options: Any) -> Container:
        given = {"command": command or ("sleep", "1000"), "network": "none", **options}
        container = engine.create(ContainerOptions(image=busybox, **given))
        made.append(container)
        engine.start(container)
        return engine.container(container)

    yield started
    for container in made:
        if container.id in {each.id for each in engine.containers(all=True)}:
            engine.remove(container, force=True)


def cpu_time(container: Container) -> int:
    return int(cgroup_stats.read(Cgroup(detect(), f"kist/{container.id}"))["cpu"]["total"])


# the end of what somebody listens to


@needs.IN_PROCESS
def test_who_follows_a_log_as_the_container_ends_hears_the_end(
    engine: Engine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = start()
    guardians = engine._containers.guardians
    connect = guardians.connect

    def connect_late(places: Places) -> socket.socket:
        connection = connect(places)
        monkeypatch.undo()
        [(monitor, _)] = living_monitor(places.run)
        gone = os.pidfd_open(monitor)
        os.kill(container.state.pid, signal.SIGKILL)
        assert select.select([gone], [], [], 60)[0]
        os.close(gone)
        return connection

    monkeypatch.setattr(guardians, "connect", connect_late)
    with engine.open_follow(container) as follow:
        assert follow.recv(1) == b""


# pause


@needs.CONTROL_GROUPS
def test_a_paused_container_uses_no_time_and_goes_on(engine: Engine, start: Start) -> None:
    container = start("sh", "-c", "while true; do :; done")
    until(lambda: cpu_time(container) > 20_000_000)
    engine.pause(container)
    found = engine.container(container).state
    assert (found.status, found.running, found.pid) == ("paused", True, container.state.pid)
    before = cpu_time(container)
    assert engine.top(container)[1], "its processes are there"
    assert cpu_time(container) == before
    with pytest.raises(Conflict, match="is already paused"):
        engine.pause(container)
    with pytest.raises(Conflict, match="is paused, unpause the container before exec"):
        engine.exec(container, ExecOptions(command=("true",)))
    with pytest.raises(Conflict, match="unpause the container before attach"):
        engine.open_attach(container, stdin=False, stdout=True, stderr=True)
    with pytest.raises(Conflict, match="cannot start a paused container, try unpause instead"):
        engine.start(container)
    with pytest.raises(Conflict, match="container is paused and must be unpaused first"):
        engine.remove(container)
    engine.unpause(container)
    assert engine.container(container).state.status == "running"
    until(lambda: cpu_time(container) > before)
    with pytest.raises(Conflict, match="is not paused"):
        engine.unpause(container)


def test_a_container_that_does_not_run_cannot_be_paused(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox))
    with pytest.raises(Conflict, match="is not running"):
        engine.pause(container)
    engine.remove(container)


@pytest.mark.parametrize("way", ["stop", "kill", "remove"])
def test_a_paused_container_can_be_ended(engine: Engine, start: Start, way: str) -> None:
    since = time.time_ns()
    container = start("sh", "-c", "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done", stop_timeout=20)
    next(engine.logs(container, follow=True))
    engine.pause(container)
    if way == "remove":
        engine.remove(container, force=True)
    else:
        getattr(engine, way)(container)
        assert engine.wait(container) == (7 if way == "stop" else 137)

    def told() -> list[str]:
        found = engine.events(since=since, until=time.time_ns(), filters={"container": [container.id]})
        return [event.action for event in found]

    until(lambda: "die" in told())
    actions = told()
    assert actions[: actions.index("die") + 1][2:] == ["pause", "kill", "unpause", "die"]


def test_a_signal_that_is_no_end_waits_for_a_paused_container(engine: Engine, start: Start) -> None:
    script = "trap 'echo told' USR1; echo ready; while true; do sleep 0.05; done"
    container = start("sh", "-c", script, stop_signal="TERM")
    log = engine.logs(container, follow=True)
    next(log)
    engine.pause(container)
    engine.kill(container, "USR1")
    assert engine.container(container).state.status == "paused"
    engine.unpause(container)
    assert next(log).data == b"told\n"


def test_a_paused_container_outlives_its_engine(swept: Cli) -> None:
    swept.good("run", "-d", "--network", "none", "--name", "still", BUSYBOX, "sleep", "1000")
    assert swept.good("pause", "still") == "still"
    assert "(Paused)" in swept.good("ps")
    kill_engine(swept)
    assert "(Paused)" in swept.good("ps")
    assert json.loads(swept.good("inspect", "still"))[0]["State"]["Paused"] is True
    assert swept.good("ps", "-q", "--filter", "status=running") == ""
    assert swept.good("unpause", "still") == "still"
    failed = swept("unpause", "still")
    assert (failed.returncode, "is not paused" in failed.stderr) == (1, True)


# update


def limit(container: Container, v1: str, v2: str) -> str:
    directories = Cgroup(detect(), f"kist/{container.id}").directories()
    folder = directories[v1.partition(".")[0]] if V1 else directories[""]
    return Path(folder, v1 if V1 else v2).read_text(encoding="ascii").strip()


@needs.CONTROL_GROUPS
def test_limits_of_a_running_container_change_at_once(engine: Engine, start: Start) -> None:
    container = start(resources=Resources(memory=64 * MIB, pids=50))
    assert engine.update(container, Resources(memory=32 * MIB, cpu_shares=512, pids=20)) == ()
    assert limit(container, "memory.limit_in_bytes", "memory.max") == str(32 * MIB)
    assert limit(container, "cpu.shares", "cpu.weight") == ("512" if V1 else "59")
    assert limit(container, "pids.max", "pids.max") == "20"
    engine.update(container, Resources(memory=256 * MIB, memory_swap=512 * MIB))
    assert limit(container, "memory.limit_in_bytes", "memory.max") == str(256 * MIB)
    engine.update(container, Resources(pids=-1))
    assert limit(container, "pids.max", "pids.max") == "max"
    kept = engine.container(container).options.resources
    assert (kept.memory, kept.memory_swap, kept.cpu_shares) == (256 * MIB, 512 * MIB, 512)


@needs.CONTROL_GROUPS
def test_cpus_can_be_taken_from_a_running_container(engine: Engine, start: Start) -> None:
    container = start()
    engine.update(container, Resources(cpuset_cpus="0"))
    status = Path(f"/proc/{container.state.pid}/status").read_text(encoding="ascii")
    assert "Cpus_allowed_list:\t0\n" in status
    shown = engine.exec(container, ExecOptions(command=("grep", "Cpus_allowed_list", "/proc/self/status"))).stdout
    assert shown.split() == ["Cpus_allowed_list:", "0"]


@needs.CONTROL_GROUPS
def test_new_limits_stay_for_the_next_start(engine: Engine, start: Start) -> None:
    container = start()
    engine.stop(container, timeout=0)
    engine.update(container, Resources(pids=33))
    engine.start(container)
    assert limit(container, "pids.max", "pids.max") == "33"


@needs.CONTROL_GROUPS
def test_an_update_that_cannot_be_right_changes_nothing(engine: Engine, start: Start) -> None:
    container = start(resources=Resources(memory=64 * MIB, memory_swap=64 * MIB))
    for changes, error, said in (
        (Resources(memory=5), InvalidInput, "Minimum memory limit allowed is 6MB"),
        (Resources(memory=128 * MIB), Conflict, "smaller than already set memoryswap limit"),
        (Resources(cpuset_cpus="999"), InvalidInput, "Requested CPUs are not available"),
    ):
        with pytest.raises(error, match=said):
            engine.update(container, changes)
    assert engine.container(container).options.resources.memory == 64 * MIB
    assert limit(container, "memory.limit_in_bytes", "memory.max") == str(64 * MIB)


def test_a_restart_policy_is_kept(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox))
    engine.update(container, Resources(), RestartPolicy("on-failure", 3))
    assert engine.container(container).options.restart == RestartPolicy("on-failure", 3)
    engine.remove(container)


@needs.CONTROL_GROUPS
def test_update_on_the_command_line(swept: Cli) -> None:
    swept.good("create", "--name", "one", BUSYBOX)
    assert swept.good("update", "-m", "64m", "--cpus", "0.5", "one") == "one"
    host = json.loads(swept.good("inspect", "one"))[0]["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (64 * MIB, 500_000_000)
    none = swept("update", "one")
    assert none.returncode != 0
    assert "you must provide one or more flags" in none.stderr


# top


def test_top_shows_the_processes_as_the_host_sees_them(swept: Cli) -> None:
    swept.good("run", "-d", "--network", "none", "--name", "two", BUSYBOX, "sh", "-c", "sleep 999 & sleep 998; true")
    until(lambda: "sleep 998" in swept.good("top", "two"))
    lines = swept.good("top", "two").splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(line.split(None, 7)[7] for line in lines[1:])[1:] == ["sleep 998", "sleep 999"]
    pid = json.loads(swept.good("inspect", "two"))[0]["State"]["Pid"]
    shown = swept.good("top", "two", "-o", "pid,comm").splitlines()
    assert (shown[0].split(), [str(pid), "sh"] in [line.split() for line in shown]) == (["PID", "COMMAND"], True)
    assert swept.good("top", "two", "aux").split("\n")[0].split()[:4] == ["USER", "PID", "%CPU", "%MEM"]
    without = swept("top", "two", "-o", "comm")
    assert (without.returncode, "Couldn't find PID field" in without.stderr) == (1, True)


def test_top_of_what_does_not_run(engine: Engine, busybox: str) -> None:
    container = engine.create(ContainerOptions(image=busybox))
    with pytest.raises(Conflict, match="is not running"):
        engine.top(container)
    engine.remove(container)


# stats


@needs.CONTROL_GROUPS
def test_stats_measure_what_happens(swept: Cli) -> None:
    loop = "while true; do :; done"
    swept.good("run", "-d", "--name", "busy", "-m", "64m", "--pids-limit", "9", BUSYBOX, "sh", "-c", loop)
    with kist.Engine(data_root=swept.environment["KIST_ROOT"], run_root=swept.environment["KIST_RUN"]) as client:
        samples = client.stats("busy", follow=True)
        first, second = next(samples), next(samples)
        assert (first.before, second.before) == (0, first.time)
        used, passed = (second.cpu["total"] - first.cpu["total"], second.time - first.time)
        assert 0.05 < used / passed < 1.2, "one busy process uses some of a CPU, and no more than one"
        assert second.memory["limit"] == 64 * MIB
        assert 0 < second.memory["usage"] < 64 * MIB
        assert second.processes == {"current": 1, "limit": 9}
        assert list(second.networks) == ["eth0"]
        [single] = client.stats("busy")
        assert single.before == 0
    shown = swept.good("stats", "--no-stream").splitlines()
    titles = "CONTAINER ID NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS"
    assert " ".join(shown[0].split()) == titles
    fields = shown[1].split()
    assert (fields[1], float(fields[2].rstrip("%")) > 1, fields[5]) == ("busy", True, "64MiB")
    assert swept.good("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}") == "busy 1"
    wrong = swept("stats", "--no-stream", "nobody")
    assert (wrong.returncode, "No such container: nobody" in wrong.stderr) == (1, True)


@needs.CONTROL_GROUPS
def test_docker_sees_its_own_shape(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "cc", "--network", "none", BUSYBOX, "sleep", "99")
    with kist.Engine(data_root=swept.environment["KIST_ROOT"], run_root=swept.environment["KIST_RUN"]) as client:
        call = client._wire.call  # type: ignore[attr-defined]
        once = call("GET", "/containers/cc/stats", [("stream", 0), ("one-shot", 1)])
        pair = call("GET", "/containers/cc/stats", [("stream", 0)])
    assert once["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert once["preread"] == "0001-01-01T00:00:00Z"
    assert 0 < pair["precpu_stats"]["cpu_usage"]["total_usage"] <= pair["cpu_stats"]["cpu_usage"]["total_usage"]
    assert pair["cpu_stats"]["online_cpus"] == os.cpu_count()
    assert pair["cpu_stats"]["system_cpu_usage"] > pair["precpu_stats"]["system_cpu_usage"]
    assert ("percpu_usage" in pair["cpu_stats"]["cpu_usage"]) is V1
    assert (pair["name"], pair["pids_stats"]["current"]) == ("/cc", 1)


# what is kept


@needs.CONTROL_GROUPS
def test_what_a_run_used_is_kept(swept: Cli) -> None:
    write = "dd if=/dev/zero of=/x bs=1M count=8 conv=fsync 2>/dev/null"
    count = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    ping = "ping -c 1 $(ip route | awk '/default/{print $3}')"
    swept.good("run", "--name", "done", BUSYBOX, "sh", "-c", f"{write}; {count}; {ping}")
    state = json.loads(swept.good("inspect", "done"))[0]["State"]
    used = state["Usage"]
    assert used["CPUTime"] > 10_000_000
    assert used["MemoryPeak"] > 2 * MIB or not V1  # memory.peak is there from Linux 5.19 on
    assert used["NetworkSent"] > 64
    assert used["NetworkReceived"] > 64
    assert state["OOMKilled"] is False
    form = "{{.CPUTime}}|{{.MemPeak}}|{{.NetIO}}|{{.BlockIO}}|{{.OOMKilled}}"
    cpu, _peak, network, _blocks, oom = swept.good("ps", "-a", "--format", form).split("|")
    assert (cpu, oom) == (f"{used['CPUTime'] / 1e9:.3f}s", "false")
    assert " / " in network
    shown = swept.good("stats", "--all", "--no-stream", "--format", "{{.Name}}|{{.CPUTime}}|{{.CPUPerc}}")
    assert shown == f"done|{cpu}|--"


@needs.CONTROL_GROUPS
def test_running_out_of_memory_is_told(engine: Engine, start: Start) -> None:
    """A child is killed, and the first process goes on: an event, and the state says so while it still runs."""
    since = time.time_ns()
    eat = "tail /dev/zero; echo survived; sleep 1000"
    container = start("sh", "-c", eat, resources=Resources(memory=16 * MIB, memory_swap=16 * MIB))
    for record in engine.logs(container, follow=True):
        if record.data == b"survived\n":
            break
    until(lambda: engine.container(container).state.oom_killed)
    assert engine.container(container).state.running

    def told() -> list[str]:
        events = engine.events(since=since, until=time.time_ns(), filters={"event": ["oom"]})
        return [event.actor for event in events]

    # The monitor writes the state, then tells the engine, which notes the event.
    until(lambda: told() != [])
    assert told()[0] == container.id
    engine.stop(container, timeout=0)
    ended = engine.container(container).state
    assert ended.oom_killed
    assert ended.usage is not None
    assert ended.usage.oom_kills >= 1


@needs.CONTROL_GROUPS
def test_a_first_process_that_is_killed_for_memory(engine: Engine, start: Start) -> None:
    container = start("tail", "/dev/zero", resources=Resources(memory=16 * MIB, memory_swap=16 * MIB))
    assert engine.wait(container) == 137
    assert engine.container(container).state.oom_killed


def test_info_counts_the_paused_and_tells_the_limits(engine: Engine, start: Start) -> None:
    container = start()
    before = engine.info()
    engine.pause(container)
    after = engine.info()
    assert (after.running, after.paused) == (before.running - 1, before.paused + 1)
    if os.geteuid() == 0:
        assert {"memory", "pids", "cpu_shares", "cpuset"} <= set(after.limits)
        assert ("oom_kill_disable" in after.limits) is V1
