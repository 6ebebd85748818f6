"""Restart policies, and ends by request and in time: done by the monitor, whoever else lives or dies."""

import contextlib
import io
import ipaddress
import itertools
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import needs
from harness import BUSYBOX, Cli, an_engine, import_busybox, kill_engine, until
from kist.engine import Engine
from kist.errors import Conflict, InvalidInput
from kist.kernel import process
from kist.runtime import launch
from kist.spec.container import Container, ContainerOptions, ExecOptions, RestartPolicy
from kist.spec.mount import Mount

pytestmark = pytest.mark.usefixtures("busybox")
MS = 1_000_000
ALWAYS = RestartPolicy("always")
# Ends at once each time, so that its rests are longer and longer.
FAILS = ("sh", "-c", "echo run; exit 7")


def make(engine: Engine, *command: str, start: bool = True, **options: object) -> Container:
    asked = ContainerOptions(image=BUSYBOX, command=command, **{"network": "none", **options})  # type: ignore[arg-type]
    container = engine.create(asked)
    if start:
        engine.start(container)
    return container


def status(engine: Engine, container: Container) -> str:
    return engine.container(container).state.status


def until_status(engine: Engine, container: Container, wanted: str) -> None:
    until(lambda: status(engine, container) == wanted)


def resting(engine: Engine) -> Container:
    """A container in a rest that is long enough for a test."""
    container = make(engine, *FAILS, restart=ALWAYS)

    def rests() -> bool:
        state = engine.container(container).state
        return state.status == "restarting" and state.restart_count > 4

    until(rests)
    return container


# policies


def test_on_failure_starts_exactly_so_often_with_growing_rests_and_one_log(engine: Engine) -> None:
    container = make(engine, *FAILS, restart=RestartPolicy("on-failure", 3))
    until_status(engine, container, "exited")
    state = engine.container(container).state
    assert (state.exit_code, state.restart_count, state.by_hand) == (7, 3, False)
    times = [record.time for record in engine.logs(container)]
    assert len(times) == 4
    rests = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(rest >= least * MS for rest, least in zip(rests, (100, 200, 400), strict=True)), rests


@pytest.mark.parametrize(
    ("policy", "code", "count"),
    [("no", 1, 0), ("on-failure", 0, 0), ("unless-stopped", 0, 2), ("always", 0, 2), ("on-failure", 1, 2)],
)
def test_a_policy_looks_at_the_exit_code(engine: Engine, policy: str, code: int, count: int) -> None:
    container = make(engine, "sh", "-c", f"exit {code}", restart=RestartPolicy(policy))
    if count:
        until(lambda: engine.container(container).state.restart_count >= count)
        engine.stop(container)
    until_status(engine, container, "exited")
    state = engine.container(container).state
    assert state.restart_count >= count if count else state.restart_count == 0
    assert state.by_hand is bool(count)


def test_a_start_by_hand_counts_from_zero_again(engine: Engine) -> None:
    container = make(engine, *FAILS, restart=RestartPolicy("on-failure", 1))
    for _ in range(2):
        until_status(engine, container, "exited")
        assert engine.container(container).state.restart_count == 1
        engine.start(container)
    until_status(engine, container, "exited")
    assert len(list(engine.logs(container))) == 6


def test_what_cannot_be_started_again_is_tried_again(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()

    container = make(
        engine, "sh", "-c", "echo run; exit 1", restart=ALWAYS, mounts=(Mount.bind(str(tmp_path / "gone"), "/data"),)
    )
    (tmp_path / "gone").rmdir()
    # Of one look, for the next may find it started once more.
    until(lambda: (state := engine.container(container).state).error != "" and state.exit_code == 128)
    printed = len(list(engine.logs(container)))
    (tmp_path / "gone").mkdir()
    until(lambda: len(list(engine.logs(container))) > printed)
    engine.stop(container)
    assert engine.container(container).state.error == ""


def test_the_network_is_there_again_with_its_address(engine: Engine) -> None:
    script = (
        "ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4; ip -o link show lo | grep -c UP; "
        "ping -c 1 -W 2 $(ip route | awk '/default/ {print $3}') > /dev/null && echo reached; exit 1"
    )
    container = make(engine, "sh", "-c", script, restart=RestartPolicy("on-failure", 2), network="bridge")
    until_status(engine, container, "exited")
    lines = [record.data.decode().strip() for record in engine.logs(container)]
    assert len(lines) == 9
    assert ipaddress.ip_interface(lines[0]).is_private
    assert lines[:3] == lines[3:6] == lines[6:]
    assert lines[1:3] == ["1", "reached"]


# ends by hand


@needs.IN_PROCESS
def test_a_container_that_rests_counts_as_running_and_can_be_stopped(engine: Engine) -> None:
    container = resting(engine)
    found = engine.container(container)
    assert found.state.running
    assert found.state.exit_code == 7
    assert found.id in {each.id for each in engine.containers()}
    engine.start(container)  # nothing to do
    with pytest.raises(Conflict, match="is restarting, wait until the container is running"):
        engine.exec(container, ExecOptions(("true",)))
    with pytest.raises(Conflict, match="is restarting, wait until the container is running"):
        engine.open_attach(container, stdin=False, stdout=True, stderr=True)
    with pytest.raises(Conflict, match="container is restarting: stop the container before removing or force remove"):
        engine.remove(container)
    engine.stop(container)
    state = engine.container(container).state
    assert (state.status, state.exit_code, state.by_hand) == ("exited", 7, True)
    engine.remove(container)


def test_a_container_that_rests_can_be_removed_by_force(engine: Engine) -> None:
    container = resting(engine)
    engine.remove(container, force=True)
    assert container.id not in {each.id for each in engine.containers(all=True)}


@pytest.mark.parametrize("number", ["KILL", "TERM"])
def test_a_kill_is_a_stop(engine: Engine, number: str) -> None:
    script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    container = make(engine, "sh", "-c", script, restart=ALWAYS)
    until(lambda: len(list(engine.logs(container))) == 1)
    engine.kill(container, number)
    until_status(engine, container, "exited")
    assert engine.container(container).state.restart_count == 0


def test_a_kill_ends_a_rest(engine: Engine) -> None:
    container = resting(engine)
    engine.kill(container)
    until_status(engine, container, "exited")


class Slow(io.RawIOBase):
    """Takes what is written to it when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.asked.set()
        assert self.go_on.wait(60)
        return len(data)  # type: ignore[arg-type]


@contextlib.contextmanager
def at_the_files(engine: Engine, container: Container) -> Iterator[None]:
    """While somebody is at the files of a container that rests."""
    slow = Slow()
    reader = threading.Thread(target=engine.export, args=(container, slow))
    reader.start()
    try:
        assert slow.asked.wait(20)
        yield
    finally:
        slow.go_on.set()
        reader.join()


@needs.IN_PROCESS
def test_a_rest_lasts_as_long_as_somebody_is_at_the_files(engine: Engine) -> None:
    container = resting(engine)
    with at_the_files(engine, container):
        before = engine.container(container).state
        time.sleep(2 * before.restart_count)  # longer than the rest was to be
        assert engine.container(container).state == before
    until(lambda: engine.container(container).state.restart_count > before.restart_count)
    engine.remove(container, force=True)


@needs.IN_PROCESS
def test_a_container_whose_files_somebody_is_at_can_be_stopped(engine: Engine) -> None:
    container = resting(engine)
    with at_the_files(engine, container):
        engine.stop(container)
        assert status(engine, container) == "exited"
    engine.remove(container)


def test_another_signal_is_none(engine: Engine) -> None:
    container = make(engine, "sh", "-c", "trap 'exit 3' HUP; echo ready; while :; do sleep 0.1; done", restart=ALWAYS)
    until(lambda: len(list(engine.logs(container))) == 1)
    engine.kill(container, "HUP")
    until(lambda: engine.container(container).state.restart_count == 1)
    engine.remove(container, force=True)


def test_restart_starts_it_anew(engine: Engine) -> None:
    container = make(engine, "sh", "-c", "trap 'exit 0' TERM; echo run; while :; do sleep 0.1; done")
    until(lambda: len(list(engine.logs(container))) == 1)
    engine.restart(container)
    until(lambda: len(list(engine.logs(container))) == 2)
    state = engine.container(container).state
    assert (state.status, state.restart_count, state.by_hand) == ("running", 0, False)
    engine.stop(container)
    engine.restart(container)
    assert status(engine, container) == "running"
    engine.remove(container, force=True)


def test_restart_does_not_remove_what_goes_at_its_end(engine: Engine) -> None:
    container = make(engine, "sleep", "1000", auto_remove=True)
    engine.restart(container, timeout=0)
    assert status(engine, container) == "running"
    engine.stop(container, timeout=0)
    until(lambda: container.id not in {each.id for each in engine.containers(all=True)})


def test_a_policy_excludes_removal(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="can't create 'AutoRemove' container with restart policy"):
        make(engine, "true", start=False, auto_remove=True, restart=ALWAYS)


# who waits and listens


@needs.IN_PROCESS
def test_who_waits_and_who_is_attached_sees_the_end_of_a_run(engine: Engine) -> None:
    container = make(engine, *FAILS, start=False, restart=ALWAYS)
    attached = engine.open_attach(container, stdin=False, stdout=True, stderr=True)
    with attached, engine.open_wait(container, "next-exit") as ended:
        engine.start(container)
        received = b""
        while part := attached.recv(4096):
            received += part
        assert received.count(b"run\n") == 1
        assert json.loads(ended.recv(4096))["StatusCode"] == 7
    assert engine.wait(container) == 7
    engine.remove(container, force=True)


def test_who_follows_the_log_hears_the_next_run_too(engine: Engine) -> None:
    container = make(engine, *FAILS, restart=RestartPolicy("on-failure", 2))
    assert [record.data for record in engine.logs(container, follow=True)] == [b"run\n"] * 3


def test_runs_are_in_the_event_log(engine: Engine) -> None:
    begun = time.time_ns()
    container = make(engine, *FAILS, restart=RestartPolicy("on-failure", 1))
    until_status(engine, container, "exited")

    def actions() -> list[str]:
        found = engine.events(since=begun, until=time.time_ns(), filters={"container": [container.id]})
        return [event.action for event in found if event.action in {"start", "die"}]

    until(lambda: len(actions()) == 4)
    assert actions() == ["start", "die", "start", "die"]


# in time


def test_what_takes_too_long_is_killed(engine: Engine) -> None:
    container = make(engine, "sh", "-c", "trap '' TERM; sleep 1000", timeout=1)
    assert engine.wait(container) == 137
    state = engine.container(container).state
    assert 1000 * MS <= state.finished_at - state.started_at < 20_000 * MS


def test_the_time_is_for_each_run(engine: Engine) -> None:
    container = make(engine, "sleep", "1000", timeout=1, restart=RestartPolicy("on-failure", 1))
    until_status(engine, container, "exited")
    assert engine.container(container).state.restart_count == 1


def test_a_stop_without_end_waits(engine: Engine) -> None:
    script = "trap 'echo asked; sleep 1; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    container = make(engine, "sh", "-c", script, stop_timeout=-1)
    until(lambda: len(list(engine.logs(container))) == 1)
    engine.stop(container)
    assert engine.container(container).state.exit_code == 5


def test_a_stop_signal_by_a_real_time_name(engine: Engine) -> None:
    number = int(signal.SIGRTMIN) + 3
    script = f"trap 'exit 9' {number}; echo ready; while :; do sleep 0.1; done"
    for asked, given in (("RTMIN+3", ""), ("", "SIGRTMIN+3")):
        container = make(engine, "sh", "-c", script, stop_signal=asked)
        until(lambda container=container: len(list(engine.logs(container))) == 1)
        engine.stop(container, signal=given)
        assert engine.container(container).state.exit_code == 9


def test_the_least_patience_counts(engine: Engine) -> None:
    container = make(engine, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    until(lambda: len(list(engine.logs(container))) == 1)
    patient = threading.Thread(target=lambda: engine.stop(container, timeout=-1))
    patient.start()
    until(lambda: engine.container(container).state.by_hand)
    engine.stop(container, timeout=0)
    patient.join()
    assert engine.container(container).state.exit_code == 137


# changes


def tell_policy(engine: Engine, container: Container, name: str) -> None:
    run_directory = str(Path(engine.run_root) / "containers" / container.id)
    policy = {"name": name, "maximum_retry_count": 0}
    launch.ask(run_directory, {"op": "update", "restart": policy})


def test_another_policy_ends_a_rest(engine: Engine) -> None:
    container = resting(engine)
    tell_policy(engine, container, "no")
    until_status(engine, container, "exited")
    assert engine.container(container).state.by_hand is False


def test_another_policy_holds_from_the_next_end_on_for_another_monitor_too(engine: Engine) -> None:
    script = "ip -4 -o addr show eth0 | wc -l; sleep 2; exit 1"
    container = make(engine, "sh", "-c", script, network="bridge")
    tell_policy(engine, container, "always")
    path = Path(engine.run_root) / "containers" / container.id / "state.json"
    before = json.loads(path.read_text(encoding="utf-8"))["monitor"]
    os.kill(before, signal.SIGKILL)
    until(lambda: engine.container(container).state.restart_count == 1)
    until(lambda: len(list(engine.logs(container))) == 2)
    assert [record.data for record in engine.logs(container)] == [b"1\n", b"1\n"]
    engine.remove(container, force=True)


# nothing is lost


def state_of(cli: Cli, identifier: str) -> dict[str, object]:
    """What the monitor wrote, without an engine."""
    path = cli.directory / "run" / "containers" / identifier / "state.json"
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def inspect(cli: Cli, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(cli.good("inspect", name))[0]
    return found


def test_restarts_go_on_without_an_engine(swept: Cli) -> None:
    # What a monitor has told an engine that dies of it is not told again: the first end comes after that.
    script = "ip -4 -o addr show eth0 | wc -l; sleep 1; exit 7"
    identifier = swept.good("run", "-d", "--name", "again", "--restart", "on-failure:4", BUSYBOX, "sh", "-c", script)
    kill_engine(swept)
    ended = swept.directory / "data" / "containers" / identifier / "state.json"
    until(ended.exists)
    assert json.loads(ended.read_text(encoding="utf-8"))["restart_count"] == 4
    found = inspect(swept, "again")
    assert found["RestartCount"] == 4
    assert swept.good("logs", "again") == "\n".join(["1"] * 5)
    events = swept.good("events", "--since", "1", "--until", str(time.time()), "--filter", f"container={identifier}")
    assert events.count(" die ") == 5, events
    assert events.count(" start ") == 5


def test_a_stop_is_finished_without_an_engine(swept: Cli) -> None:
    script = "trap 'echo asked' TERM; while :; do sleep 0.1; done"
    identifier = swept.good("run", "-d", "--name", "stubborn", "--restart", "always", BUSYBOX, "sh", "-c", script)
    stopping = threading.Thread(target=lambda: swept("stop", "-t", "2", "stubborn"))
    stopping.start()
    until(lambda: "kill_at" in state_of(swept, identifier))
    kill_engine(swept)
    stopping.join()
    ended = swept.directory / "data" / "containers" / identifier / "state.json"
    until(ended.exists)
    state = json.loads(ended.read_text(encoding="utf-8"))
    assert (state["status"], state["exit_code"], state["by_hand"]) == ("exited", 137, True)
    assert state["finished_at"] - state["started_at"] >= 2000 * MS


def kill_monitor(cli: Cli, identifier: str) -> None:
    before = state_of(cli, identifier)["monitor"]
    os.kill(int(str(before)), signal.SIGKILL)
    ended = cli.directory / "data" / "containers" / identifier / "state.json"
    until(lambda: ended.exists() or state_of(cli, identifier)["monitor"] != before)


def test_another_monitor_goes_on_with_the_rest_and_the_count(swept: Cli) -> None:
    script = "ip -4 -o addr show eth0 | wc -l; exit 7"
    identifier = swept.good("run", "-d", "--name", "again", "--restart", "on-failure:6", BUSYBOX, "sh", "-c", script)

    def rests() -> bool:
        state = state_of(swept, identifier)
        return state["status"] == "restarting" and state["restart_count"] == 4

    until(rests)
    kill_monitor(swept, identifier)
    ended = swept.directory / "data" / "containers" / identifier / "state.json"
    until(ended.exists)
    assert inspect(swept, "again")["RestartCount"] == 6
    assert swept.good("logs", "again") == "\n".join(["1"] * 7)


def test_another_monitor_starts_again_what_it_took_over(swept: Cli) -> None:
    script = "ip -4 -o addr show eth0 | wc -l; test -e /second && sleep 1000; touch /second; sleep 3; exit 7"
    identifier = swept.good("run", "-d", "--name", "again", "--restart", "always", BUSYBOX, "sh", "-c", script)
    until(lambda: swept.good("logs", "again") == "1")  # what a monitor has read and not written goes with it
    kill_monitor(swept, identifier)
    until(lambda: state_of(swept, identifier).get("restart_count") == 1 and swept.good("logs", "again") == "1\n1")
    assert inspect(swept, "again")["State"]["Running"] is True  # type: ignore[index]


# the machine


def the_machine_ends(run_root: Path) -> None:
    """What a restart of the machine is for us: no process is left, and no run root."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in run_root.glob("containers/*/state.json")]
    keepers = {state["keeper"][0] for state in found}
    for pid in [*keepers, *(state["monitor"] for state in found), *(state["pid"] for state in found if state["pid"])]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not process.lives(pid, _start_of(pid)))
    shutil.rmtree(run_root)


def _start_of(pid: int) -> int:
    try:
        return process.start_time(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0


@needs.IN_PROCESS
def test_after_a_restart_of_the_machine_policies_apply(tmp_path: Path) -> None:
    policies = ("no", "on-failure", "unless-stopped", "always")
    with Engine(str(tmp_path / "data"), str(tmp_path / "run")) as engine:
        import_busybox(engine)
        for policy in policies:
            asked = RestartPolicy(policy)
            make(engine, "sleep", "1000", name=f"ran-{policy}", restart=asked)
            engine.stop(make(engine, "sleep", "1000", name=f"stopped-{policy}", restart=asked), timeout=0)
            make(engine, "sleep", "1000", name=f"new-{policy}", restart=asked, start=False)
    the_machine_ends(tmp_path / "run")
    with an_engine(tmp_path) as engine:
        found = {each.name: each.state for each in engine.containers(all=True)}
        running = {name for name, state in found.items() if state.status == "running"}
        assert running == {"ran-on-failure", "ran-unless-stopped", "ran-always", "stopped-always"}
        assert (found["ran-no"].status, found["ran-no"].exit_code) == ("exited", 255)
        assert all(found[f"new-{policy}"].status == "created" for policy in policies)
        # That was once: the next engine leaves alone what has been stopped since.
        engine.stop("stopped-always", timeout=0)
        with Engine(str(tmp_path / "data"), str(tmp_path / "run")) as other:
            assert other.container("stopped-always").state.status == "exited"
