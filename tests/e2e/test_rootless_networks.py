"""The networks of an ordinary user's containers, on a machine of the tests' own with another one behind it."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dns import NameServer
from faultroom import points
from harness import BUSYBOX, asking, until
from kist.kernel import faults, netns, process, rtnetlink
from kist.network import room
from machines import SECONDS, Namespace, fetch, join, server, transact
from ordinary import Ordinary
from rootless_user import User, made

pytestmark = pytest.mark.root("becomes ordinary users itself")

PROGRAMS = {"pasta": "/usr/bin/pasta", "slirp4netns": "/usr/bin/slirp4netns"}
HERE, BEHIND = "198.51.100.1", "198.51.100.2"


class Machine:
    """A machine, the one that it reaches the rest of the world by, and users of it."""

    def __init__(self, directory: Path) -> None:
        self.space, self.behind = Namespace(), Namespace()
        join(self.space, HERE, self.behind, BEHIND)
        self.space.run(lambda: transact(rtnetlink.set_up(1), rtnetlink.add_default_route(BEHIND)))
        self._directory = directory
        self._stack = contextlib.ExitStack()
        self._users: dict[tuple[str, str], User] = {}

    def user(self, kind: str, program: str) -> User:
        """A user of this kind (``range``, ``alone``) who has this one program for the way out; empty for none."""
        key = (kind, program)
        if key not in self._users:
            if program and shutil.which(program) is None:
                pytest.skip(f"needs {program}")
            directory = self._directory / f"{kind}-{program}"
            directory.mkdir()
            if program and kind == "range":  # this one's name server is on its loopback address
                (directory / "resolv.conf").write_text("nameserver 127.0.0.53\n")
            hidden = tuple(path for name, path in PROGRAMS.items() if name != program and os.path.exists(path))
            network = f"/proc/{os.getpid()}/fd/{self.space.descriptor}"
            who = Ordinary(directory, kind == "range", network=network, hidden=hidden, tun=True)
            self._users[key] = self._stack.enter_context(made(directory, range_=who.range_, who=who))
        return self._users[key]

    def close(self) -> None:
        self._stack.close()
        self.space.close()
        self.behind.close()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    found = Machine(tmp_path_factory.mktemp("machine"))
    yield found
    found.close()


def _users(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    names = [f"{kind}-{program or 'nothing'}" for kind, program in pairs]
    return pytest.mark.parametrize("user", pairs, indirect=True, ids=names)


ALL = _users(("range", "slirp4netns"), ("range", "pasta"), ("alone", "slirp4netns"), ("alone", "pasta"))
BOTH = _users(("range", "slirp4netns"), ("alone", "slirp4netns"))
ONE = _users(("range", "slirp4netns"))
NOTHING = _users(("range", ""), ("alone", ""))


@pytest.fixture
def user(request: pytest.FixtureRequest, machine: Machine) -> User:
    return machine.user(*request.param)


@pytest.fixture
def web(user: User) -> Iterator[tuple[str, int]]:
    """A container that answers on a published port of the machine: its name, and the port."""
    script = "while true; do echo hello | nc -l -p 80; done"
    name = user.good("run", "-d", "-p", "80", BUSYBOX, "sh", "-c", script)
    port = int(user.good("port", name, "80").splitlines()[0].rpartition(":")[2])
    yield name, port
    user("rm", "-f", name)


def hello(space: Namespace, address: str, port: int) -> bytes:
    """What is answered there; a server that has answered takes a moment to listen again."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if answer := fetch(space, address, port, timeout=1):
                return answer
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def ways_out(user: User) -> list[int]:
    """The programs that carry this user's packets."""
    marker = str(user.run_root / "netns").encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path("/proc", pid, "cmdline").read_bytes()
            if marker in words and b"python" not in words:
                found.append(int(pid))
    return found


# the way out


@ALL
def test_a_container_reaches_what_is_behind_the_machine(user: User, machine: Machine) -> None:
    with server(machine.behind, BEHIND) as (port, seen):
        assert user.good("run", "--rm", BUSYBOX, *asking(BEHIND, port)) == "hello"
    assert seen == [HERE]


@BOTH
def test_a_build_step_reaches_it_too(user: User, machine: Machine) -> None:
    context = user.who.home / "context"
    context.mkdir(exist_ok=True)
    with server(machine.behind, BEHIND) as (port, _):
        text = f"FROM {BUSYBOX}\nRUN mkfifo open && nc -w 5 {BEHIND} {port} 0<>open > /answer\n"
        (context / "Dockerfile").write_text(text)
        user.good("build", "--no-cache", "-t", "fetched", str(context))
    assert user.good("run", "--rm", "--network", "none", "fetched", "cat", "/answer") == "hello"
    user.good("rmi", "fetched")


@ALL
def test_what_listens_on_the_machines_loopback_is_not_for_containers(user: User, machine: Machine) -> None:
    with server(machine.space, "127.0.0.1") as (port, seen):
        for address in ("10.0.2.2", "127.0.0.1"):
            user("run", "--rm", BUSYBOX, "nc", "-w", "1", address, str(port))
    assert seen == []


def answer_names(space: Namespace, address: str, stop: threading.Event) -> threading.Thread:
    """A name server (RFC 1035) that gives every name the address of the machine behind."""
    listening = space.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    listening.bind((address, 53))
    listening.settimeout(0.1)

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                question, peer = listening.recvfrom(512)
                record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(BEHIND)
                end = question.index(b"\0", 12) + 5
                is_address = question[end - 4 : end - 2] == b"\0\1"
                head = question[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_address else b"\0\0") + b"\0\0\0\0"
                listening.sendto(head + question[12:end] + (record if is_address else b""), peer)
        listening.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("ports", [(), ("-p", "80")], ids=["", "published"])
@_users(("range", "slirp4netns"), ("range", "pasta"))
def test_names_are_resolved_by_a_server_on_the_machines_loopback(
    user: User, machine: Machine, ports: tuple[str, ...]
) -> None:
    """The monitor asks it where it is; one that has gone to the containers' network, for ports, has the program ask."""
    stop = threading.Event()
    thread = answer_names(machine.space, "127.0.0.53", stop)
    try:
        out = user.good("run", "--rm", *ports, BUSYBOX, "sh", "-c", "cat /etc/resolv.conf; nslookup anything.test")
    finally:
        stop.set()
        thread.join()
    assert "nameserver 127.0.0.11" in out
    assert BEHIND in out


@BOTH
def test_a_container_may_be_the_name_server_of_another(user: User) -> None:
    container = user.good("run", "-d", BUSYBOX, "sleep", "1000")
    address, pid = user.good(
        "inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}} {{.State.Pid}}", container
    ).split()
    descriptor = netns.of_process(int(pid), process.start_time(int(pid)))
    serving = netns.inside(descriptor, lambda: NameServer(address, "192.0.2.9"))
    os.close(descriptor)
    try:
        assert "192.0.2.9" in user.good("run", "--rm", "--dns", address, BUSYBOX, "nslookup", "-type=a", "a.test")
    finally:
        user.good("rm", "-f", container)
        serving.close()


@ALL
def test_the_machine_is_reached_by_its_name(user: User, machine: Machine) -> None:
    with server(machine.space, HERE) as (port, _):
        assert user.good("run", "--rm", BUSYBOX, *asking("host.docker.internal", port)) == "hello"


@BOTH
def test_containers_of_a_user_find_each_other_by_name(user: User) -> None:
    user.good("network", "create", "lab")
    try:
        container = user.good("run", "-d", "--name", "asked", "--network", "lab", BUSYBOX, "sleep", "1000")
        address = user.good("inspect", "-f", "{{.NetworkSettings.Networks.lab.IPAddress}}", "asked")
        for ports in ((), ("-p", "80")):
            found = user.good("run", "--rm", "--network", "lab", *ports, BUSYBOX, "nslookup", "-type=a", "asked.lab")
            assert address in found
        user.good("rm", "-f", container)
    finally:
        user.good("network", "rm", "lab")


@ALL
def test_a_way_out_that_was_killed_is_there_again_for_the_next_one(user: User, machine: Machine) -> None:
    user.good("run", "--rm", BUSYBOX, "true")
    (killed,) = ways_out(user)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in ways_out(user))
    with server(machine.behind, BEHIND) as (port, _):
        assert user.good("run", "--rm", BUSYBOX, *asking(BEHIND, port)) == "hello"


@ALL
def test_it_ends_with_the_engine_and_the_last_container(user: User) -> None:
    name = user.good("run", "-d", BUSYBOX, "sleep", "1000")
    before = ways_out(user)
    user.good("engine", "stop")
    assert ways_out(user) == before
    user.good("rm", "-f", name)
    user.good("engine", "stop")
    until(lambda: not ways_out(user))


@ONE
def test_one_that_serves_nobody_any_more_is_ended_by_the_next_engine(user: User) -> None:
    user.good("run", "--rm", BUSYBOX, "true")
    (left,) = ways_out(user)
    kill_keeper_and_engine(user)
    assert ways_out(user) == [left]
    user.good("ps")
    until(lambda: left not in ways_out(user))


@ONE
def test_one_whose_namespace_has_the_number_that_this_one_has_got_is_not_adopted(user: User, machine: Machine) -> None:
    user.good("engine", "stop")
    until(lambda: not ways_out(user))
    waits = "trap 'exit 0' TERM; sleep 1000 & wait"
    name = user.good("run", "-d", "--network", "none", BUSYBOX, "sh", "-c", waits)
    # A process that lives on, as one would that carried packets for an engine that was killed.
    pid = int(user.good("inspect", "-f", "{{.State.Pid}}", name))
    number = os.readlink(f"/proc/{user.engine_pid()}/ns/mnt").strip("mnt:[]")
    note = {"name": "slirp4netns", "pid": pid, "started": process.start_time(pid), "resolver": ""}
    (user.run_root / f"outward-{number}.json").write_text(json.dumps(note))
    with server(machine.behind, BEHIND) as (port, _):
        assert user.good("run", "--rm", BUSYBOX, *asking(BEHIND, port)) == "hello"
    until(lambda: user.good("inspect", "-f", "{{.State.Status}}", name) == "exited")
    user.good("rm", name)


@_users(("range", "slirp4netns"), ("range", "pasta"))
def test_one_that_a_killed_engine_has_left_ends_with_the_next_which_does_not_need_it(user: User) -> None:
    name = user.good("run", "-d", BUSYBOX, "sleep", "1000")
    kill_keeper_and_engine(user)
    assert len(ways_out(user)) == 1
    user.good("rm", "-f", name)
    user.good("engine", "stop")
    until(lambda: not ways_out(user))


@pytest.mark.parametrize("point", [point for point in points() if point.startswith("way out:")])
def test_an_engine_that_is_killed_while_it_starts_one_leaves_none_that_nobody_knows(
    point: str, machine: Machine
) -> None:
    user = machine.user("range", "pasta" if "pasta" in point else "slirp4netns")
    user.good("engine", "stop")
    until(lambda: not ways_out(user))
    trap = user.file("trap", point)
    assert user("run", "--rm", BUSYBOX, "true", environment={faults.VARIABLE: str(trap)}).returncode != 0
    assert not trap.exists()

    def next_engine_ends_it() -> bool:
        user.good("ps")
        user.good("engine", "stop")
        return not ways_out(user)

    # The keeper of the one that was killed may take a moment to end.
    until(next_engine_ends_it)
    with server(machine.behind, BEHIND) as (port, _):
        assert user.good("run", "--rm", BUSYBOX, *asking(BEHIND, port)) == "hello"


def kill_keeper_and_engine(user: User) -> None:
    """All at one moment: each of them ends the way out when it sees the other's end."""
    engine = user.engine_pid()
    doomed = {engine, *_children(engine), *_keepers(engine)} - set(ways_out(user))
    _signal(doomed, signal.SIGSTOP)
    until(lambda: all(_is_stopped(pid) for pid in doomed))  # a signal takes its time
    _signal(doomed, signal.SIGKILL)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_stopped(pid: int) -> bool:
    """Or has ended already: a fork that was kept ready, or a keeper that nobody needs any more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status[0] in "TZ"


def _keepers(engine: int) -> list[int]:
    """Those in an engine's mounts: the one that it speaks to may be no child of it, but of an engine before."""
    mounts = os.readlink(f"/proc/{engine}/ns/mnt")
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if os.readlink(place / "ns/mnt") == mounts and (place / "cmdline").read_bytes().startswith(b"kist-keeper"):
                found.append(int(place.name))
    return found


def _children(pid: int) -> list[int]:
    """Those of all its threads: whichever of them began one."""
    found = (task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(each) for each in itertools.chain.from_iterable(found)]


# the bridge


@BOTH
def test_containers_reach_each_other_at_addresses_of_their_own(user: User) -> None:
    name = user.good("run", "-d", BUSYBOX, "sh", "-c", "echo hello | nc -l -p 7000")
    address = user.good("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)
    assert user.good("run", "--rm", BUSYBOX, *asking(address, 7000)) == "hello"
    user.good("rm", "-f", name)


@BOTH
def test_links_and_fixed_addresses(user: User) -> None:
    name = user.good("run", "-d", "--name", "first", BUSYBOX, "sleep", "1000")
    address = user.good("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)
    wanted = address.rpartition(".")[0] + ".200"
    out = user.good("run", "--rm", "--link", "first:other", "--ip", wanted, BUSYBOX, "sh", "-c",
                    "ip addr show eth0; cat /etc/hosts; ping -c 1 -W 5 other")  # fmt: skip
    assert f"inet {wanted}/16" in out
    assert f"{address}\tother" in out.replace(" first", "")
    user.good("rm", "-f", name)


# ports


@BOTH
@pytest.mark.usefixtures("user")
def test_a_published_port_is_the_machines(web: tuple[str, int], machine: Machine) -> None:
    for space, address in ((machine.space, "127.0.0.1"), (machine.behind, HERE)):
        assert hello(space, address, web[1]) == b"hello\n"


@BOTH
def test_a_published_port_outlives_monitor_keeper_and_engine(
    user: User, web: tuple[str, int], machine: Machine
) -> None:
    name, port = web
    first = int(user.good("inspect", "-f", "{{.State.Pid}}", name))
    os.kill(_parent(first), signal.SIGKILL)
    assert hello(machine.space, "127.0.0.1", port) == b"hello\n"
    kill_keeper_and_engine(user)
    assert hello(machine.space, "127.0.0.1", port) == b"hello\n"
    # The next engine is in the same network.
    address = user.good("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)
    assert user.good("run", "--rm", BUSYBOX, *asking(address, 80)) == "hello"


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@BOTH
def test_a_port_stays_the_same_when_the_container_starts_again_by_itself(user: User, machine: Machine) -> None:
    words = ("run", "-d", "--restart", "always", "-p", "80", BUSYBOX, "sh", "-c", "echo hello | nc -l -p 80")
    name = user.good(*words)
    port = int(user.good("port", name, "80").splitlines()[0].rpartition(":")[2])
    assert [hello(machine.space, "127.0.0.1", port) for _ in range(2)] == [b"hello\n"] * 2
    user.good("rm", "-f", name)


@ONE
def test_a_low_port_is_refused_with_what_allows_it(user: User) -> None:
    told = user.refused("run", "--rm", "-p", "80:80", BUSYBOX, "true")
    assert "ports below 1024 are the administrator's" in told
    assert "sysctl -w net.ipv4.ip_unprivileged_port_start=80" in told


@ONE
def test_a_port_that_is_taken_is_told(user: User, web: tuple[str, int]) -> None:
    assert "port is already allocated" in user.refused("run", "--rm", "-p", f"{web[1]}:80", BUSYBOX, "true")


# without a way out


@NOTHING
def test_without_a_program_the_default_network_is_the_machines_with_a_word(user: User) -> None:
    done = user("run", "--rm", BUSYBOX, "ip", "addr")
    assert HERE.encode() in done.stdout, done
    assert b"the host's network" in done.stderr
    assert b"kist doctor pasta" in done.stderr


@NOTHING
def test_without_a_program_a_socket_with_a_role_gives_nothing_of_the_machines_network(user: User) -> None:
    place = user.who.home / "ci.sock"
    user.good("engine", "stop")
    user.good("engine", "--detach", "--socket", str(place), "--role", "operator", "--label", "team=ci")
    try:
        done = user("-H", f"unix://{place}", "run", "--rm", BUSYBOX, "ip", "addr")
        assert b" lo:" in done.stdout, done
        assert HERE.encode() not in done.stdout
        assert b"reaches nothing outside of its bridge" in done.stderr
        context = user.file("Dockerfile", f"FROM {BUSYBOX}\nRUN ip addr\n").parent
        done = user("-H", f"unix://{place}", "build", "--no-cache", str(context))
        assert done.returncode == 0, done
        assert HERE.encode() not in done.stdout + done.stderr
    finally:
        user.good("engine", "stop")


@NOTHING
def test_without_a_program_ports_are_published_all_the_same(user: User, web: tuple[str, int], machine: Machine) -> None:
    assert hello(machine.space, "127.0.0.1", web[1]) == b"hello\n"
    done = user("run", "--rm", "-p", "80", BUSYBOX, "nc", "-w", "1", BEHIND, "1")
    assert b"reaches nothing outside" in done.stderr


# order


@BOTH
def test_the_check_finds_what_is_in_the_users_own_network(user: User, web: tuple[str, int]) -> None:
    done = user("system", "check")
    assert done.returncode == 0, done
    assert b"interface" in done.stderr
    assert web[0][:12] not in done.stdout.decode()


@ONE
def test_one_that_has_died_is_there_again_for_those_that_run(user: User, machine: Machine) -> None:
    name = user.good("run", "-d", BUSYBOX, "sleep", "1000")
    (killed,) = ways_out(user)
    # One that dies as soon as it has started is not started again at once.
    time.sleep(room._LEAST_SECONDS)
    os.kill(killed, signal.SIGKILL)
    until(lambda: bool(set(ways_out(user)) - {killed}))
    with server(machine.behind, BEHIND) as (port, _):
        until(lambda: user("exec", name, *asking(BEHIND, port)).stdout == b"hello")
    user.good("rm", "-f", name)


@ONE
def test_the_check_finds_a_way_out_that_has_died(user: User) -> None:
    name = user.good("run", "-d", BUSYBOX, "sleep", "1000")
    (killed,) = ways_out(user)
    for pid in (user.engine_pid(), killed):
        os.kill(pid, signal.SIGKILL)
    user.good("rm", "-f", name)
    assert user.good("system", "check") == ""


@pytest.mark.parametrize("stale", [False, True], ids=["gone", "stale"])
@BOTH
def test_containers_whose_network_ended_with_all_that_had_it_are_connected_again(
    user: User, web: tuple[str, int], machine: Machine, stale: bool
) -> None:
    """Also where somebody has the old namespace, or the kernel has not come to it: their devices are there then."""
    name, port = web
    other = user.good("run", "-d", BUSYBOX, "sleep", "1000")
    held = -1
    try:
        engine = user.engine_pid()
        if stale:
            held = os.open(f"/proc/{engine}/root{user.run_root}/netns", os.O_RDONLY)
        ours = {pid for each in (engine, *_keepers(engine)) for pid in (each, *_below(each))} | set(ways_out(user))
        living = {json.loads(user.good("inspect", "-f", "{{.State.Pid}}", each)) for each in (name, other)}
        doomed = ours - living - {child for each in living for child in _below(each)}
        _signal(doomed, signal.SIGSTOP)  # all at one moment: a keeper puts another in the place of a monitor that dies
        until(lambda: all(_is_stopped(pid) for pid in doomed))
        _signal(doomed, signal.SIGKILL)
        if stale:
            assert all(_has_cable(pid) for pid in living)
            for step in ("removed what was stale", "made a device", "has addresses and routes"):
                kill_at(user, f"network connect: {step}")
        else:
            until(lambda: not any(_has_cable(pid) for pid in living))  # the kernel takes its time
        assert user.good("system", "check") == ""
        assert hello(machine.space, HERE, port) == b"hello\n"
        address = user.good("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)
        until(lambda: user("exec", other, *asking(address, 80)).stdout == b"hello\n")
    finally:
        if held >= 0:
            os.close(held)
        user("rm", "-f", other)  # while it runs, the way out stays


def kill_at(user: User, point: str) -> None:
    """Have an engine killed that comes by there as it begins."""
    trap = user.file("trap", point)
    user("ps", environment={faults.VARIABLE: str(trap)})
    assert not trap.exists(), f"nobody came by {point!r}"


def _has_cable(pid: int) -> bool:
    return "eth0:" in Path(f"/proc/{pid}/net/dev").read_text()


def _below(pid: int) -> set[int]:
    children = set(_children(pid))
    return children | {each for child in children for each in _below(child)}
