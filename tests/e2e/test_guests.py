"""Callers of root's engine who are not root: what they get, and what no trick gives them."""

import stat
import sys
from collections.abc import Iterator

import pytest

from guests import Room, a_room
from harness import BUSYBOX

pytestmark = pytest.mark.root


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(tmp_path_factory.mktemp("guests")) as made:
        yield made


# who gets in


def test_the_groups_socket_is_the_groups_alone(room: Room) -> None:
    assert stat.S_IMODE(room.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(room.run_root.stat().st_mode) == 0o700
    assert "Version" in room.ada.good("version")
    assert "permission denied" in room.eve.refused("version")


def test_what_is_the_engines_users_alone_is_refused(room: Room) -> None:
    for words in (
        ("system", "df"),
        ("system", "check", "--repair"),
        ("image", "prune", "-f"),
        ("events", "--until", "1"),
    ):
        assert "engine's own user" in room.ada.refused(*words)


# the classic attack, and its kin

NOT_ROOTS = ("-v", "/etc:/mnt")


def test_a_guest_runs_a_container_that_is_nobody_on_the_host(room: Room) -> None:
    assert room.ada.good("run", "--rm", BUSYBOX, "id", "-u") == "0"
    assert room.ada.good("run", "--rm", BUSYBOX, "cat", "/proc/self/uid_map").split()[1] != "0"


def test_root_is_asked_nothing(room: Room) -> None:
    script = "test -w /mnt/passwd && cat /proc/self/uid_map"
    assert room.root.good("run", "--rm", *NOT_ROOTS, "--privileged", BUSYBOX, "sh", "-c", script).split()[1] == "0"


def test_what_a_guest_may_not_write_is_not_mounted_for_writing(room: Room) -> None:
    said = room.ada.refused("run", "--rm", *NOT_ROOTS, BUSYBOX, "sh", "-c", "echo x >> /mnt/passwd")
    assert "the bind of /etc is refused to ada" in said
    assert '[[allow]]\n  users = ["ada"]\n  paths = ["/etc"]' in said


def test_what_is_mounted_to_be_read_shows_no_more_than_the_guest_may_read(room: Room) -> None:
    script = "cat /mnt/hostname >/dev/null && ! cat /mnt/shadow && ! touch /mnt/x && ! chmod 777 /mnt && echo safe"
    assert room.ada.good("run", "--rm", "-v", "/etc:/mnt:ro", BUSYBOX, "sh", "-c", script) == "safe"


def test_files_on_a_bind_are_the_guests_both_ways(room: Room) -> None:
    room.ada.file("mine", "hello", 0o600)
    script = "cat /home/mine && echo new > /home/made && stat -c %u /home/mine"
    assert room.ada.good("run", "--rm", "-v", f"{room.ada.home}:/home", BUSYBOX, "sh", "-c", script) == "hello0"
    made = (room.ada.home / "made").stat()
    assert (made.st_uid, made.st_gid) == (room.ada.uid, room.ada.uid)
    assert "refused to bob" in room.bob.refused("run", "--rm", "-v", f"{room.ada.home}:/home:ro", BUSYBOX, "true")


REFUSED = [
    ("--privileged",),
    ("--pid", "host"),
    ("--ipc", "host"),
    ("--uts", "host"),
    ("--network", "host"),
    ("--cgroupns", "host"),
    ("--userns", "host"),
    ("--userns", "keep-id"),
    ("--cap-add", "SYS_ADMIN"),
    ("--cap-add", "ALL"),
    ("--device", "/dev/null"),
    ("--device-cgroup-rule", "a *:* rwm"),
    ("--gpus", "all"),
    ("--security-opt", "seccomp=unconfined"),
    ("--security-opt", "systempaths=unconfined"),
    ("--cgroup-parent", "/"),
    ("--runtime", "runc"),
    ("--rootfs", "/"),
    ("--oom-score-adj", "-900"),
    ("--log-driver", "syslog"),
    ("--ulimit", "rtprio=99"),
    ("-p", "80:80"),
    ("-v", "/etc:/mnt:ro,rshared"),
    ("-v", "/etc:/mnt:ro,U"),
    ("--mount", "type=bind,src=/etc,dst=/mnt,ro,bind-nonrecursive"),
    ("-v", "/dev:/mnt:ro"),
    ("-v", "/proc:/mnt:ro"),
    ("-v", "/dev/null:/mnt:ro"),
    ("-v", "/proc/self/root:/mnt:ro"),
    ("-v", "/root:/mnt:ro"),
    ("-v", "/etc/shadow:/mnt:ro"),
    ("-v", "/run/kist-not-there:/mnt:ro"),
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_would_be_more_than_the_guest_has_is_refused(room: Room, words: tuple[str, ...]) -> None:
    said = room.ada.refused("run", "--rm", *words, BUSYBOX, "true")
    assert "ada" in said or "does not exist" in said or "cannot show its files" in said, said


# others' containers


@pytest.fixture(scope="session")
def roots(room: Room) -> str:
    """A container of root's that runs, and has a volume."""
    words = ("-d", "--name", "roots", "-e", "SECRET=1", "-v", "rootsdata:/data", "--network", "none")
    return room.root.good("run", *words, BUSYBOX, "sh", "-c", "echo told; sleep 1000")


OTHERS = [
    ("exec", "roots", "id"),
    ("attach", "--no-stdin", "roots"),
    ("cp", "roots:/etc/passwd", "-"),
    ("commit", "roots", "stolen"),
    ("export", "roots"),
    ("kill", "roots"),
    ("stop", "roots"),
    ("restart", "roots"),
    ("start", "roots"),
    ("pause", "roots"),
    ("rm", "-f", "roots"),
    ("rename", "roots", "mine"),
    ("update", "--memory", "100m", "roots"),
    ("logs", "roots"),
    ("inspect", "--type", "container", "roots"),
    ("top", "roots"),
    ("stats", "--no-stream", "roots"),
    ("diff", "roots"),
    ("wait", "roots"),
    ("port", "roots"),
    ("run", "--rm", "--volumes-from", "roots", BUSYBOX, "true"),
    ("run", "--rm", "--network", "container:roots", BUSYBOX, "true"),
    ("run", "--rm", "--pid", "container:roots", BUSYBOX, "true"),
    ("run", "--rm", "--ipc", "container:roots", BUSYBOX, "true"),
    ("run", "--rm", "--userns", "container:roots", BUSYBOX, "true"),
    ("run", "--rm", "--link", "roots", BUSYBOX, "true"),
    ("run", "--rm", "-v", "rootsdata:/data", BUSYBOX, "true"),
]


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_others_containers_are_out_of_reach(room: Room, roots: str, words: tuple[str, ...]) -> None:
    said = room.ada.refused(*words)
    assert "refused to ada" in said or "belongs to the engine's user" in said, said
    assert room.root.good("ps", "-q", "--no-trunc", "--filter", "name=roots") == roots
    assert room.ada.good("ps", "-aq") == ""


def test_an_exec_of_roots_is_out_of_reach(room: Room, roots: str) -> None:
    program = """
import http.client, json, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX); self.sock.connect(sys.argv[1])
connection = Connection("x")
for method, path in (("POST", "start"), ("POST", "resize?h=1&w=1"), ("GET", "json")):
    body = "{}" if method == "POST" else None
    connection.request(method, f"/exec/{sys.argv[2]}/{path}", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    print(answer.status)
"""
    body = '{"Cmd": ["id"]}'
    made = room.root.does(
        sys.executable, "-c",
        "import http.client, json, socket, sys\n"
        "class C(http.client.HTTPConnection):\n"
        "    def connect(self):\n"
        "        self.sock = socket.socket(socket.AF_UNIX); self.sock.connect(sys.argv[1])\n"
        "c = C('x'); c.request('POST', f'/containers/{sys.argv[2]}/exec', sys.argv[3],"
        " {'Content-Type': 'application/json'}); print(json.load(c.getresponse())['Id'])",
        str(room.socket), roots, body,
    )  # fmt: skip
    done = room.ada.does(sys.executable, "-c", program, str(room.socket), made.stdout.strip())
    assert done.stdout.split() == ["403", "403", "403"], (made, done)


def test_a_guests_own_container_is_a_guests(room: Room) -> None:
    name = room.ada.good("run", "-d", "-v", "own:/data", BUSYBOX, "sh", "-c", "echo told; sleep 1000")
    try:
        assert room.ada.good("exec", name, "id", "-u") == "0"
        assert "privileged is refused" in room.ada.refused("exec", "--privileged", name, "id")
        assert room.ada.good("logs", name) == "told"
        assert "sleep" in room.ada.good("top", name)
        assert "refused" in room.ada.refused("top", name, "axe")
        source = room.ada.file("copied", "in")
        room.ada.good("cp", str(source), f"{name}:/data/copied")
        assert room.ada.good("exec", name, "cat", "/data/copied") == "in"
        assert "refused to bob" in room.bob.refused("exec", name, "true")
        assert "refused to bob" in room.bob.refused("rm", "-f", name)
        assert "belongs to the user" in room.bob.refused("run", "--rm", "-v", "own:/data", BUSYBOX, "true")
        assert "belongs to the user" in room.root.refused("run", "--rm", "-v", "own:/data", BUSYBOX, "true")
        room.ada.good("stop", "-t", "0", name)
        room.ada.good("start", name)
    finally:
        room.ada.good("rm", "-f", name)
