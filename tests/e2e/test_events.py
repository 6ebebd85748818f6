"""Events: each deed told, replayed and followed without a seam; ends told by the next engine, once, with their time."""

import concurrent.futures
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import kist
import needs
from harness import BUSYBOX, Cli, kill_engine, until
from kist.engine import Engine
from kist.errors import InvalidInput
from kist.spec.container import ContainerOptions, ExecOptions
from kist.spec.event import SystemEvent

PAST = ("--since", "1m", "--until", "0s", "--filter", "event=die")


def told(engine: Engine, since: int, container: str) -> list[SystemEvent]:
    return list(engine.events(since=since, until=time.time_ns(), filters={"container": [container]}))


def actions(events: list[SystemEvent]) -> list[str]:
    return [event.action for event in events]


def test_a_containers_life_is_told_in_order(engine: Engine, busybox: str) -> None:
    since = time.time_ns()
    made = engine.create(ContainerOptions(image=busybox, command=("sleep", "60"), network="none", labels={"a": "b"}))
    engine.start(made)
    assert engine.exec(made, ExecOptions(command=("sh", "-c", "exit 3"))).exit_code == 3
    until(lambda: "exec_die" in actions(told(engine, since, made.id)))
    engine.stop(made, timeout=0)
    engine.remove(made)
    found = told(engine, since, made.id)
    command = "sh -c exit 3"
    assert actions(found) == [
        "create", "start", f"exec_create: {command}", f"exec_start: {command}", "exec_die",
        "kill", "kill", "die", "stop", "destroy",
    ]  # fmt: skip
    assert all(event.attributes.items() >= {"a": "b", "image": busybox, "name": made.name}.items() for event in found)
    by_action = {event.action: event.attributes for event in found}
    assert by_action["exec_die"]["exitCode"] == "3"
    assert by_action["exec_die"]["execID"] == by_action[f"exec_start: {command}"]["execID"]
    assert [event.attributes["signal"] for event in found if event.action == "kill"] == ["15", "9"]
    assert (by_action["die"]["exitCode"], by_action["die"]["execDuration"]) == ("137", "0")
    assert [event.time for event in found] == sorted(event.time for event in found)


@needs.IN_PROCESS
def test_an_end_is_told_before_the_removal_of_who_was_faster(engine: Engine, busybox: str) -> None:
    """Whoever waits finds the end on disk, and may have the container removed before the engine has told of the end."""
    since, pool, go_on = time.time_ns(), engine._containers._waiting.watcher._pool, threading.Event()
    for _ in range(pool._max_workers):  # they hear of ends
        pool.submit(go_on.wait)
    try:
        made = engine.create(ContainerOptions(image=busybox, command=("true",), network="none"))
        engine.start(made)
        until(lambda: not engine.container(made.id).state.running)
        assert engine.wait(made) == 0
        engine.remove(made)
        assert actions(told(engine, since, made.id)) == ["create", "start", "die", "destroy"]
    finally:
        go_on.set()
    until(pool._work_queue.empty)
    assert actions(told(engine, since, made.id)) == ["create", "start", "die", "destroy"]


def test_images_are_told_of(engine: Engine, busybox: str) -> None:
    since = time.time_ns()
    engine.tag(busybox, "told:1")
    engine.remove_image("told:1")
    found = list(engine.events(since=since, until=time.time_ns(), filters={"image": ["told"]}))
    assert actions(found) == ["tag", "untag"]
    assert found[0].actor == str(engine.image(busybox).id)


def test_a_wrong_filter_is_told_before_the_wait(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="invalid filter 'colour'"):
        engine.events(filters={"colour": ["red"]})


def test_replay_and_what_happens_meet_without_a_seam(small: Cli) -> None:
    """Readers that begin in the middle of a storm see every event of it once."""
    names = [f"c{number}" for number in range(24)]
    with kist.Engine(data_root=small.environment["KIST_ROOT"], run_root=small.environment["KIST_RUN"]) as client:
        since = time.time_ns()

        def read() -> list[str]:
            filters = {"event": ["create"], "type": ["container"]}
            seen = []
            for event in client.events(since=since, filters=filters):
                seen.append(event.attributes["name"])
                if len(seen) == len(names):
                    break
            return seen

        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            readers = []
            for number, name in enumerate(names):
                client.create(kist.ContainerOptions(image=BUSYBOX, name=name))
                if number % 6 == 3:
                    readers.append(pool.submit(read))
            assert [reader.result(timeout=30) for reader in readers] == [names] * 4


def test_a_reader_that_does_not_read_holds_nothing_up(small: Cli) -> None:
    with kist.Engine(data_root=small.environment["KIST_ROOT"], run_root=small.environment["KIST_RUN"]) as client:
        since = time.time_ns()
        slow = client.events(since=since, filters={"event": ["tag"]})
        label = "x" * 60
        for number in range(300):
            client.tag(BUSYBOX, f"{label}:{number}")
        seen = [event.attributes["name"] for _, event in zip(range(300), slow, strict=False)]
        assert seen == [f"{label}:{number}" for number in range(300)]


@pytest.fixture
def listening(small: Cli) -> Iterator[Callable[[], list[str]]]:
    """``kist events`` in the background; what it has printed so far, line by line."""
    command = [*small.command, "events", "--filter", "type=container"]
    out = small.directory / "events.txt"
    with out.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, env=small.environment)
    try:
        yield lambda: out.read_text(encoding="utf-8").splitlines()
    finally:
        process.terminate()
        process.wait()


def test_the_command_line_prints_dockers_lines(small: Cli, listening: Callable[[], list[str]]) -> None:
    number = iter(range(1000))
    until(lambda: bool(listening()) or not small.good("create", "--name", f"n{next(number)}", BUSYBOX))
    small.good("run", "--rm", "--network", "none", "--name", "web", BUSYBOX, "true")
    until(lambda: "destroy" in listening()[-1])
    lines = [line for line in listening() if "name=web" in line]
    assert [line.split()[2] for line in lines] == ["create", "attach", "start", "die", "destroy"]
    stamp, kind, action, identity, *rest = lines[3].split(" ", 4)
    assert (kind, action, len(identity)) == ("container", "die", 64)
    assert rest == [f"(execDuration=0, exitCode=0, image={BUSYBOX}, name=web)"]
    assert len(stamp.partition(".")[2].rstrip("Z").partition("+")[0]) == 9
    replayed = small.good("events", "--since", "10m", "--until", "0s", "--filter", "container=web")
    assert replayed.splitlines() == lines


def test_ends_without_an_engine_are_told_by_the_next_once_with_their_time(small: Cli) -> None:
    """Two containers and an exec'd process end while no engine runs, and another monitor's container is forgotten."""
    ids = {}
    for name, seconds in (("late", "1.2"), ("early", "0.6")):
        ids[name] = small.good("run", "-d", "--network", "none", "--name", name, BUSYBOX, "sleep", seconds)
    gone = small.good("run", "-d", "--rm", "--network", "none", "--name", "gone", BUSYBOX, "sleep", "0.9")
    host = small.good("run", "-d", "--network", "none", "--name", "host", BUSYBOX, "sleep", "60")
    small.good("exec", "-d", "host", "sh", "-c", "sleep 0.3; exit 5")
    kill_engine(small)
    data = small.directory / "data" / "containers"
    until(lambda: all((data / identity / "state.json").exists() for identity in ids.values()))
    run = small.directory / "run" / "containers"
    until(lambda: not (run / gone / "monitor.sock").exists())
    until(lambda: any('"running":false' in path.read_text() for path in (run / host).glob("exec-*.json")))
    found = small.good(
        "events", "--since", "1m", "--until", "0s", "--filter", "event=die", "--filter", "event=exec_die"
    )
    ended = [line for line in found.splitlines() if "name=host" not in line]
    by_name = {line.rpartition("name=")[2].rstrip(")"): line for line in ended}
    assert by_name.keys() == {"early", "gone", "late"}
    assert ended == sorted(ended), "told in the order in which they ended, however long each took to start"
    assert "exitCode=5" in next(line for line in found.splitlines() if "exec_die" in line)
    times = small.good("inspect", "early", "late").split("FinishedAt")
    for line, text in ((by_name["early"], times[1]), (by_name["late"], times[2])):
        assert line[17:29].rstrip("0") == text[4:].partition("Z")[0][17:29].rstrip("0"), "the second of the end"
    small.good("engine", "stop")
    again = small.good(
        "events", "--since", "1m", "--until", "0s", "--filter", "event=die", "--filter", "event=exec_die"
    )
    assert again == found


def test_a_container_comes_to_its_network_and_leaves_it(small: Cli) -> None:
    small.good("run", "--name", "net", BUSYBOX, "true")
    identity = small.good("ps", "-aq", "--no-trunc")
    found = small.good("events", "--since", "1m", "--until", "0s", "--filter", "network=bridge").splitlines()
    network = small.good("network", "inspect", "--format", "{{.Id}}", "bridge")
    assert [line.split(" ")[1:4] for line in found] == [
        ["network", verb, network] for verb in ("connect", "disconnect")
    ]
    assert all(f"container={identity}" in line for line in found)
