"""SIGKILL of every process at every stage: after each, the next command works and nothing is lost, doubled or left.

The places are those of the source (``kist.kernel.faults``). At each, whoever passes dies; and, in the long suite
(``script/test-faults``), the engine, the keeper or the command is killed at that moment instead. Counts are printed.
"""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from building import SSH_ADD, put_ssh_add
from faultroom import Room, a_room, kill, left_by_us, points
from harness import BUSYBOX, runs_of, until
from told import tell

LONG = bool(os.environ.get("KIST_LONG_TESTS"))
QUIET = ("--network", "none")
SLEEP = (BUSYBOX, "sleep", "600")
FRIENDS = ("its-friend", "its-other-friend")
SECRET = "a secret that is in no file of the engine's"
DOCKERFILE = f"""\
FROM {BUSYBOX} AS one
COPY file /file
RUN --mount=type=cache,id=its,target=/c --mount=type=secret,id=its \\
    test -s /run/secrets/its && cp /file /c/{{number}} && cat /c/{{number}} /file > /twice
FROM {BUSYBOX} AS two
RUN echo made by {{number}} > /other
FROM {BUSYBOX}
COPY --from=one /file /twice /
COPY --from=two /other /
ENV A=1
"""
FETCHING = f"""\
FROM {BUSYBOX}
COPY file /file
ADD {{url}} /fetched
ADD {{repository}}#main /repository/
"""
ASKING = f"""\
FROM {BUSYBOX}
COPY file /file
RUN --mount=target=/ctx --mount=type=ssh,required {SSH_ADD} -l > /keys
"""


def create(_: Room) -> list[str]:
    return ["create", "--name", "it", *SLEEP]


def start(room: Room) -> list[str]:
    room.good("create", "--name", "it", *SLEEP)
    return ["start", "it"]


def run(_: Room) -> list[str]:
    return ["run", "--rm", "--name", "it", *QUIET, BUSYBOX, "true"]


def live_on(_: Room) -> list[str]:
    return ["run", "-d", "--name", "it", *QUIET, *SLEEP]


def publish(_: Room) -> list[str]:
    return ["run", "--rm", "--name", "it", "-p", "80", BUSYBOX, "true"]


def execute(room: Room) -> list[str]:
    room.good("run", "-d", "--name", "it", *QUIET, *SLEEP)
    return ["exec", "it", "true"]


def stop(room: Room) -> list[str]:
    room.good("run", "-d", "--name", "it", *SLEEP)
    return ["stop", "-t", "0", "it"]


def kill_it(room: Room) -> list[str]:
    room.good("run", "-d", "--name", "it", *SLEEP)
    return ["kill", "it"]


def remove(room: Room) -> list[str]:
    room.good("create", "--name", "it", *SLEEP)
    return ["rm", "it"]


def rename(room: Room) -> list[str]:
    """On a network with names, which the next engine has to tell; two others are linked to it."""
    room.run(*create_network(room))
    room.good("run", "-d", "--name", "it", "--network", "its-network", *SLEEP)
    for friend in FRIENDS:
        room.good("create", "--name", friend, "--link", "it:alias", *SLEEP)
    return ["rename", "it", "its-new-name"]


def take_over(room: Room) -> list[str]:
    """Its monitor is killed by the room; what follows is the keeper's doing."""
    room.good("run", "-d", "--name", "it", *QUIET, *SLEEP)
    return ["kill-monitor"]


def rest(room: Room) -> list[str]:
    """As ``take_over``, between two runs of a container that is restarted."""
    room.good("run", "-d", "--name", "it", "--restart", "always", *QUIET, BUSYBOX, "false")
    until(lambda: int(str(room.state("it").get("restart_count", 0))) > 4 and room.state("it")["status"] == "restarting")
    return ["kill-monitor"]


def restart(_: Room) -> list[str]:
    return ["run", "-d", "--name", "it", "--restart", "always", *QUIET, BUSYBOX, "false"]


def create_volume(_: Room) -> list[str]:
    return ["volume", "create", "its-volume"]


def remove_volume(room: Room) -> list[str]:
    room.good("run", "--rm", *QUIET, "-v", "its-volume:/data", BUSYBOX, "touch", "/data/file")
    return ["volume", "rm", "its-volume"]


def fill_volume(_: Room) -> list[str]:
    return ["create", "--name", "it", *QUIET, "-v", "its-volume:/etc", BUSYBOX, "true"]


def create_network(room: Room) -> list[str]:
    room.good("network", "rm", "-f", "its-network")
    return ["network", "create", "its-network"]


def remove_network(room: Room) -> list[str]:
    room.run(*create_network(room))
    return ["network", "rm", "its-network"]


def connect_network(room: Room) -> list[str]:
    room.run(*create_network(room))
    room.good("run", "-d", "--name", "it", *SLEEP)
    return ["network", "connect", "its-network", "it"]


def disconnect_network(room: Room) -> list[str]:
    room.good(*connect_network(room))
    return ["network", "disconnect", "its-network", "it"]


def collect(room: Room) -> list[str]:
    """Another image than the bystander's, of layers and blobs of its own, and a container's files that are nobody's."""
    room.good("rmi", "-f", "its-image")
    room.good("create", "--name", "it", *QUIET, BUSYBOX, "true")
    room.good("cp", str(room.cli.directory / "busybox.tar"), "it:/file")
    room.good("commit", "it", "its-image")
    return ["rmi", "its-image"]


def build(room: Room) -> list[str]:
    """Steps that no cache knows, side by side, with a secret and a cache mount; the result is kept and sent."""
    context = room.cli.directory / "its-context"
    context.mkdir(exist_ok=True)
    number = str(time.time_ns())
    (context / "file").write_text(number)
    (context / "secret").write_text(SECRET)
    (context / "Dockerfile").write_text(DOCKERFILE.format(number=number))
    for name in ("its-cache", "its-output"):
        shutil.rmtree(room.cli.directory / name, ignore_errors=True)
        (room.cli.directory / name).mkdir()
    return building(room, "--cache-to", f"type=local,dest={room.cli.directory}/its-cache,mode=max")


def building(room: Room, *options: str) -> list[str]:
    where = room.cli.directory
    outputs = ("-o", "type=image", "-o", f"type=tar,dest={where}/its-output/tar")
    given = ("--secret", f"id=its,src={where}/its-context/secret", "--no-lock")
    return ["build", "--progress", "plain", "-t", "its-image", *outputs, *given, *options, f"{where}/its-context"]


def take_a_cache(room: Room) -> list[str]:
    """The same on an engine that knows nothing, with what another one has kept."""
    room.good(*build(room))
    room.good("rmi", "its-image")
    room.good("builder", "prune", "-af")
    return building(room, "--cache-from", f"type=local,src={room.cli.directory}/its-cache")


def keep_in_a_registry(room: Room) -> list[str]:
    """The same, with a cache that goes elsewhere."""
    build(room)
    return building(room, "--cache-to", f"{in_the_registry(room)},mode=max")


def in_the_registry(room: Room) -> str:
    return f"type=registry,ref={room.registry}/kist/cache"


def fetch(room: Room) -> list[str]:
    """A file of some pieces, which its server knows again, and a repository; neither is in a cache."""
    number = str(time.time_ns())
    url = room.site.put("/its-file", fetched(number), ETag=number)
    return build_of(room, number, FETCHING.format(url=url, repository=room.repository.url))


def fetched(number: str) -> bytes:
    return (number * (3 << 20))[: 3 << 20].encode()


def ask_an_agent(room: Room) -> list[str]:
    """One that the command line starts, for a key, and that has to end with it."""
    put_ssh_add(room.cli.directory / "its-context")
    return build_of(room, str(time.time_ns()), ASKING)


def build_of(room: Room, number: str, text: str) -> list[str]:
    context = room.cli.directory / "its-context"
    context.mkdir(exist_ok=True)
    (context / "file").write_text(number)
    (context / "Dockerfile").write_text(text)
    return building_so(room)


def building_so(room: Room) -> list[str]:
    given = ("--ssh", f"default={room.key}", "--no-lock")
    return ["build", "--progress", "plain", "-t", "its-image", *given, f"{room.cli.directory}/its-context"]


_SCENARIOS: dict[str, Callable[[Room], list[str]]] = {
    "create": create, "start": start, "engine": start, "spare": run, "exec": execute, "stop": stop, "kill": kill_it,
    "end": stop, "remove": remove, "rename": rename, "keeper": take_over, "successor": take_over,
    "network create": create_network, "network remove": remove_network,
    "network connect": connect_network, "network disconnect": disconnect_network,
    "build": build, "build part": build, "build cache": take_a_cache,
    "build registry": keep_in_a_registry, "build fetch": fetch, "build agent": ask_an_agent,
    "collect": collect, "volume create": create_volume, "volume rm": remove_volume, "volume fill": fill_volume,
}  # fmt: skip
# What a killed monitor had not begun is ended by its successor.
_WHILE_STARTING = "successor: killed what had not started"


def scenario_of(point: str) -> Callable[[Room], list[str]]:
    """What to do so that somebody comes by."""
    kind, _, step = point.partition(":")
    if step.endswith((" rests", " rest", " again")):
        return rest if kind == "successor" else restart
    if step.endswith(" ports"):
        return publish
    if step.endswith(" memory back"):
        return live_on
    if kind == "monitor":
        return execute if "exec" in point else run
    return _SCENARIOS[kind]


# Those of an ordinary user's network are in test_rootless_networks.py, those of a conversion in test_migrate.py.
OURS = [point for point in points() if not point.startswith(("way out:", "migrate:"))]
CASES = [(point, "self") for point in OURS if point != _WHILE_STARTING]
LONG_CASES = [(point, victim) for point, _ in CASES for victim in ("engine", "keeper", "command")]
_LONG_ONLY = ("build part:", "build cache:", "build registry:", "build fetch:", "build agent:")
SHORT_CASES = [(point, victim) for point, victim in CASES if not point.startswith(_LONG_ONLY)]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def count(room: Room, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    tell(request.config, f"faults: {room.kills} kills, after each of which everything was found in order")


@pytest.fixture(autouse=True)
def tidy(room: Room) -> None:
    """One test's failure is not the next one's."""
    room.trap.unlink(missing_ok=True)
    if not room.tidy:
        room.run("rm", "-f", "it", "its-new-name", *FRIENDS)
        room.run("volume", "rm", "-f", "its-volume")
    room.tidy = False


def do(room: Room, point: str, victim: str) -> None:
    """Have somebody killed at this place, while a command is under way that passes it."""
    words = scenario_of(point)(room)
    if words == ["kill-monitor"]:
        room.arm(point, room.pid_of(victim) if victim in ("engine", "keeper") else 0)
        kill(room.pid_of("monitor", "it"))
        until(lambda: not room.trap.exists())
        return
    known = room.pid_of(victim) if victim in ("engine", "keeper") else 0
    # It waits until the trap is there: a command may have passed the place sooner than this process gets to set it.
    with subprocess.Popen(
        ["sh", "-c", 'read -r _; exec "$@" < /dev/null', "sh", *room.cli.command, *words], env=room.environment,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as command:  # fmt: skip
        room.arm(point, command.pid if victim == "command" else known)
        assert command.stdin is not None
        command.stdin.write(b"\n")
        command.stdin.close()
        command.wait(60)


@pytest.mark.parametrize(("point", "victim"), CASES + LONG_CASES if LONG else SHORT_CASES)
def test_a_kill_at_this_place_loses_nothing(room: Room, point: str, victim: str) -> None:
    do(room, point, victim)
    # What comes after the answer to the command comes a moment later.
    until(lambda: not room.trap.exists())
    assert room.sprung(), f"nobody came by {point!r}"
    if point.startswith("rename") and victim != "command":
        verify_names(room)
    if point.startswith("network connect") and victim != "command":
        verify_connected(room)
    if point.startswith(("end:", "remove:")):
        room.good("ps")  # another engine
        assert left_by_us(room.cli) == [], "an engine that starts does what the one before has not got to"
    room.verify()
    if point.startswith("volume"):
        verify_volume(room)
    if point.startswith("collect"):
        verify_collection(room)
    if point.startswith("build fetch"):
        verify_fetched(room)
    elif point.startswith("build agent"):
        verify_agents(room)
    elif point.startswith("build registry"):
        verify_registry(room)
    elif point.startswith("build"):
        verify_build(room, resumes=point in {"build: kept a step", "build part: sends an output"})
    room.tidy = not point.startswith("volume")


def verify_build(room: Room, *, resumes: bool = False) -> None:
    """The next build makes the whole image, from the steps that were finished, and nothing is left of the other."""
    where = room.cli.directory
    number = (where / "its-context/file").read_text()
    verify_sent(where, number)
    done = room.run(*building(room))
    assert done.returncode == 0, done.stderr
    assert not resumes or re.search(r"^#\d+ CACHED$", done.stderr.partition("RUN")[2], re.MULTILINE), done.stderr
    told = room.good("run", "--rm", *QUIET, "its-image", "cat", "/file", "/twice", "/other")
    assert told == 3 * number + f"made by {number}"
    assert verify_sent(where, number), "what was sent this time is there"
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in (where / "data/blobs/sha256").iterdir())
    room.good("builder", "prune", "-af")
    assert os.listdir(where / "data/cache-mounts") == []
    verify_collection(room)


def verify_registry(room: Room) -> None:
    """What was sent is sent no more than it has to be; the next build's cache is whole there, and one takes it."""
    done = room.run(*building(room, "--cache-to", f"{in_the_registry(room)},mode=max"))
    assert done.returncode == 0, done.stderr
    room.good("rmi", "its-image")
    room.good("builder", "prune", "-af")
    done = room.run(*building(room, "--cache-from", in_the_registry(room)))
    assert done.returncode == 0, done.stderr
    assert "no steps are taken" not in done.stderr
    assert re.search(r"^#\d+ CACHED$", done.stderr.partition("RUN")[2], re.MULTILINE), done.stderr
    verify_build(room)


def verify_fetched(room: Room) -> None:
    """Nobody goes on fetching, the next build has all of what it fetches, and its first step was kept."""
    until(lambda: runs_of(room.repository.url) == [])
    number = (room.cli.directory / "its-context/file").read_text()
    build_again(room)
    told = room.good("run", "--rm", *QUIET, "its-image", "sh", "-c", "sha256sum /fetched; cat /repository/file")
    assert told == f"{hashlib.sha256(fetched(number)).hexdigest()}  /fetched\none"
    room.good("builder", "prune", "-af")
    verify_collection(room)


def verify_agents(room: Room) -> None:
    """The command line's agent has ended with it, and the next build asks one."""
    until(lambda: runs_of(str(room.key)) == [] and os.listdir(room.temporary) == [])
    build_again(room)
    assert room.good("run", "--rm", *QUIET, "its-image", "cat", "/keys").endswith(" of-the-test (ED25519)")
    until(lambda: runs_of(str(room.key)) == [] and os.listdir(room.temporary) == [])
    room.good("builder", "prune", "-af")
    verify_collection(room)


def build_again(room: Room) -> None:
    """The step that was finished is there still."""
    done = room.run(*building_so(room))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^#(\d+) \[[^]]+\] COPY file.*^#\1 CACHED$", done.stderr, re.MULTILINE | re.DOTALL), done.stderr


def verify_sent(where: Path, number: str) -> bool:
    """What was sent is there whole, or not at all, but for the part of a command that was killed; whether it is."""
    there = set(os.listdir(where / "its-output"))
    assert {name.partition(".part-")[0] for name in there} <= {"tar"}
    if "tar" in there:
        with tarfile.open(where / "its-output/tar") as archive:
            twice = archive.extractfile("twice")
            assert twice is not None
            assert twice.read().decode() == 2 * number
    cache = where / "its-cache"
    if (cache / "index.json").exists():
        (manifest,) = json.loads((cache / "index.json").read_bytes())["manifests"]
        assert (cache / "blobs" / manifest["digest"].replace(":", "/")).exists()
        for blob in (cache / "blobs/sha256").iterdir():
            assert ".part" in blob.name or hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    return "tar" in there


def verify_names(room: Room) -> None:
    """The container is found by the name that it has, and by no other; those that are linked to it are so still."""
    told = room.good("inspect", "-f", "{{json .HostConfig.Links}}", *FRIENDS).splitlines()
    assert told == ['["its-new-name:alias"]' for _ in FRIENDS]
    assert room.good("ps", "--filter", "network=its-network", "--format", "{{.Names}}") == "its-new-name"
    asked = ("run", "--rm", "--network", "its-network", BUSYBOX, "sh", "-c", "nslookup its-new-name; nslookup it")
    told = room.run(*asked).stdout
    assert "Name:\tits-new-name" in told
    assert "can't find it" in told


def verify_connected(room: Room) -> None:
    """The container is on both networks, by one whole device each, and reaches what is there."""
    told = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}}\n{{end}}"
    ends = [line.split() for line in room.good("inspect", "-f", told, "it").splitlines()]
    seen = room.good("exec", "it", "ip", "-4", "-o", "addr")
    assert sorted(re.findall(r" (eth\d+) +inet ([0-9.]+)/", seen)) == [
        (f"eth{number}", address) for number, (address, _) in enumerate(ends)
    ]
    assert room.good("exec", "it", "ls", "/sys/class/net").split() == ["eth0", "eth1", "lo"]
    for _, gateway in ends:
        room.good("exec", "it", "ping", "-c", "1", "-W", "10", gateway)


def verify_collection(room: Room) -> None:
    """The bystander's image is whole, and the next collection takes what this one has left."""
    room.good("rmi", "-f", "its-image")
    room.good("image", "prune", "-f")
    kinds = {name: os.listdir(room.cli.directory / "data" / name) for name in ("snapshots", "tmp", "blobs/sha256")}
    assert kinds["tmp"] == []
    assert len(kinds["blobs/sha256"]) == 3, "a config, a manifest and a layer"
    numbers = {name.partition("-")[0] for name in kinds["snapshots"]}
    assert len(numbers) == 2, "the image's layer, and the bystander's own"
    assert room.good("run", "--rm", *QUIET, BUSYBOX, "echo", "whole") == "whole"


def verify_volume(room: Room) -> None:
    """A volume is there whole, or not at all; and what the kill interrupted can be done again."""
    if "its-volume" in room.good("volume", "ls", "-q"):
        listed = room.good("run", "--rm", *QUIET, "-v", "its-volume:/data", BUSYBOX, "ls", "/data").split()
        assert listed in ([], ["file"], ["group", "passwd"])
    left = os.listdir(room.cli.directory / "data" / "volumes")
    assert set(left) <= {"its-volume"}, left
    room.good("run", "--rm", *QUIET, "-v", "its-volume:/etc", BUSYBOX, "ls", "/etc/")
    room.good("volume", "rm", "its-volume")
    assert os.listdir(room.cli.directory / "data" / "volumes") == []


def kill_at_any_moment(room: Room, choose: random.Random, words: list[str], victims: list[str], within: float) -> None:
    """Kill one of these at some moment of a command's first so many seconds."""
    victim = choose.choice(victims)
    known = 0 if victim == "command" else room.pid_of(victim)
    with subprocess.Popen(
        [*room.cli.command, *words], env=room.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as command:  # fmt: skip
        time.sleep(choose.uniform(0, within))  # the moment is what is varied
        room.kills += kill(known or command.pid)
        command.wait(60)
    room.verify()


@pytest.mark.skipif(not LONG, reason="long: script/test-faults")
@pytest.mark.parametrize("seed", range(10))
def test_kills_at_any_moment_lose_nothing(room: Room, seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(20):
        words = choose.choice([create, start, run, execute, stop, remove])(room)
        kill_at_any_moment(room, choose, words, ["engine", "keeper", "monitor", "command"], 0.25)


@pytest.mark.skipif(not LONG, reason="long: script/test-faults")
@pytest.mark.parametrize("seed", range(10))
def test_kills_at_any_moment_of_a_build_lose_nothing(room: Room, seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(10):
        words = choose.choice([build, build, take_a_cache])(room)
        kill_at_any_moment(room, choose, words, ["engine", "keeper", "command"], 0.8)
        verify_build(room)


def test_the_places_are_told_by_the_source() -> None:
    assert len(points()) == len(set(points())) > 40
    for point in OURS:
        assert scenario_of(point)
