"""Callers of root's engine who are not root: what they get, and what no trick gives them."""

import contextlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator

import pytest

from building import SSH_ADD, a_key, an_agent, needs_agent, put_ssh_add
from guests import GROUP, GROUP_ID, Room, a_room
from harness import BUSYBOX, busybox_tar, until
from ordinary import KIST

pytestmark = pytest.mark.root("gives root's engine to others")


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


def test_on_dockers_own_socket_root_is_the_owner_and_the_groups_members_are_guests(room: Room) -> None:
    status = room.docker_socket.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o660, 0, GROUP_ID)
    host = ("-H", f"unix://{room.docker_socket}")
    assert "TOTAL" in room.root.good(*host, "system", "df")
    assert "is for the engine's own user" in room.ada.refused(*host, "system", "df")
    assert "permission denied" in room.eve.refused(*host, "version")
    assert room.ada.good(*host, "run", "--rm", "--network", "none", BUSYBOX, "echo", "mine") == "mine"


def test_what_is_the_engines_users_alone_is_refused(room: Room) -> None:
    for words in (
        ("system", "df"),
        ("system", "check", "--repair"),
        ("image", "prune", "-f"),
        ("volume", "prune", "-f"),
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


# Of the options one of each kind: tests/unit/engine/test_policy.py has them all.
REFUSED = [
    ("--privileged",),
    ("--pid", "host"),
    ("--network", "host"),
    ("--userns", "host"),
    ("--cap-add", "SYS_ADMIN"),
    ("--device", "/dev/null"),
    ("--security-opt", "seccomp=unconfined"),
    ("--security-opt", "systempaths=unconfined"),
    ("--cgroup-parent", "/"),
    ("--runtime", "runc"),
    ("--rootfs", "/"),
    ("-p", "80:80"),
    ("-v", "/etc:/mnt:ro,rshared"),
    ("-v", "/etc:/mnt:ro,U"),
    ("--mount", "type=bind,src=/etc,dst=/mnt,ro,bind-nonrecursive"),
    ("-v", "/dev:/mnt:ro"),
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


def test_a_guest_mounts_images_that_it_could_run(room: Room) -> None:
    words = ("--mount", f"type=image,source={BUSYBOX},target=/i,image-subpath=etc")
    assert room.ada.good("run", "--rm", *words, BUSYBOX, "sh", "-c", "ls /i/passwd; ! touch /i/x") == "/i/passwd"
    room.bob.good("tag", BUSYBOX, "bobs:1")
    try:
        said = room.ada.refused("run", "--rm", "--mount", "type=image,source=bobs:1,target=/i", BUSYBOX, "true")
    finally:
        room.bob.good("rmi", "bobs:1")
    assert "was given by another user" in said


# volumes


def test_a_guest_has_volumes_of_its_own(room: Room, roots: str) -> None:
    assert roots
    assert room.ada.good("volume", "create", "--label", "a", "adas") == "adas"
    try:
        assert room.ada.good("run", "--rm", "-v", "adas:/data", BUSYBOX, "touch", "/data/file") == ""
        assert "adas" in room.ada.good("volume", "ls", "-q").split()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, kind in (("plain", tarfile.REGTYPE), ("disk", tarfile.BLKTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type, entry.devmajor, entry.devminor = kind, 8, 0
                tar.addfile(entry)
        said = room.ada.refused("volume", "import", "adas", "-", stdin=archive.getvalue())
        assert "a device node is not allowed here" in said
        assert room.ada.good("run", "--rm", "-v", "adas:/data", BUSYBOX, "ls", "/data") == "file\nplain"
        assert "is somebody else's" in room.bob.refused("volume", "export", "adas")
        assert not {"adas", "rootsdata"} & set(room.bob.good("volume", "ls", "-q").split())
        assert "is somebody else's" in room.bob.refused("volume", "rm", "adas")
        assert "belongs to the user" in room.root.refused("run", "--rm", "-v", "adas:/data", BUSYBOX, "true")
        assert {"adas", "rootsdata"} <= set(room.root.good("volume", "ls", "-q").split())
    finally:
        assert room.ada.good("volume", "rm", "adas") == "adas"
    assert "adas" not in room.ada.good("volume", "ls", "-q").split()


def test_a_guest_has_networks_of_its_own(room: Room) -> None:
    made = room.ada.good("network", "create", "adas")
    try:
        assert room.ada.good("network", "ls", "--format", "{{.Name}}").split() == ["adas", "bridge", "host", "none"]
        assert room.bob.good("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]
        room.ada.good("run", "-d", "--name", "on-adas", "--network", "adas", BUSYBOX, "sleep", "1000")
        told = room.ada.good("network", "inspect", "--format", "{{range .Containers}}{{.Name}}{{end}}", "adas")
        assert told == "on-adas"
        for words in (
            ("network", "inspect", "adas"), ("network", "rm", made),
            ("run", "--rm", "--network", "adas", BUSYBOX, "true"),
            ("network", "connect", "bridge", "on-adas"), ("network", "disconnect", "adas", "on-adas"),
        ):  # fmt: skip
            room.bob.refused(*words)
        room.ada.good("network", "connect", "bridge", "on-adas")
        room.ada.good("network", "disconnect", "bridge", "on-adas")
        for words in (
            ("--subnet", "10.231.20.0/24"), ("-d", "macvlan"), ("-o", "com.docker.network.bridge.name=eth0"),
            ("-o", "parent=eth0"),
        ):  # fmt: skip
            room.ada.refused("network", "create", *words, "another")
        room.ada.refused("network", "prune", "-f")
    finally:
        room.root.good("rm", "-f", "on-adas")
        assert room.ada.good("network", "rm", "adas") == "adas"


def test_a_guest_does_not_take_the_place_of_a_network_that_root_has_removed(room: Room) -> None:
    room.root.good("network", "create", "changing")
    room.root.good("create", "--name", "expecting", "--network", "changing", BUSYBOX, "sleep", "1000")
    room.root.good("network", "rm", "changing")
    room.ada.good("network", "create", "changing")
    try:
        assert "belongs to the user" in room.root.refused("start", "expecting")
        assert "belongs to the user" in room.root.refused("create", "--network", "changing", BUSYBOX, "true")
        assert "belongs to the user" in room.root.refused("network", "connect", "changing", "expecting")
        room.root.good("network", "disconnect", "changing", "expecting")
        room.root.good("network", "connect", "bridge", "expecting")
        room.root.good("start", "expecting")
    finally:
        room.root.good("rm", "-f", "expecting")
        room.ada.good("network", "rm", "changing")


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
    ("volume", "inspect", "rootsdata"),
    ("volume", "create", "rootsdata"),
    ("volume", "rm", "rootsdata"),
    ("volume", "export", "rootsdata"),
    ("volume", "import", "rootsdata", "-"),
    ("volume", "rm", "-f", "rootsdata"),
    ("volume", "rm", "--dry-run", "rootsdata"),
    ("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/etc", "gift"),
    ("volume", "create", "-o", "type=tmpfs", "gift"),
]


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_others_containers_are_out_of_reach(room: Room, roots: str, words: tuple[str, ...]) -> None:
    said = room.ada.refused(*words)
    assert "refused to ada" in said or "belongs to the engine's user" in said, said
    assert room.root.good("ps", "-q", "--no-trunc", "--filter", "name=roots") == roots


def test_others_containers_are_not_measured_or_listed(room: Room, roots: str) -> None:
    assert roots[:12] not in room.ada.good("stats", "--no-stream", "--all")
    assert roots[:12] not in room.ada.good("ps", "-aq")


def test_a_name_is_not_the_id_of_anothers(room: Room, roots: str) -> None:
    assert "beginning of an id" in room.ada.refused("create", "--name", roots[:12], BUSYBOX)
    name = room.ada.good("create", BUSYBOX)
    assert "beginning of an id" in room.ada.refused("rename", name, roots[:6])
    room.ada.good("rm", name)


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
        until(lambda: room.ada.good("logs", name) == "told")
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


# images, and what is built


def context(dockerfile: str, links: dict[str, str] | None = None) -> bytes:
    """A build context as a tar: a Dockerfile, and symbolic links."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile.encode()))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return made.getvalue()


def test_a_guest_names_images_and_takes_no_name_over(room: Room) -> None:
    room.root.good("tag", BUSYBOX, "roots:1")
    identity = room.root.good("image", "inspect", "-f", "{{.Id}}", BUSYBOX)
    room.ada.good("import", "-", "adas:1", stdin=busybox_tar())
    other = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=other, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("planted"))
    evil = room.bob.good("import", "-", "bobs:1", stdin=other.getvalue())
    assert "was given by another user" in room.root.refused("tag", "bobs:1", "passing:1")
    room.root.good("tag", evil, "passing:1")
    room.root.good("save", "-o", str(room.directory / "evil.tar"), "passing:1")
    (room.directory / "evil.tar").chmod(0o644)
    room.root.good("rmi", "passing:1")
    room.root.good("tag", BUSYBOX, "passing:1")
    for name in ("roots:1", "adas:1"):
        assert "belongs to somebody else" in room.bob.refused("tag", "bobs:1", name)
        assert "another gave it" in room.bob.refused("rmi", "-f", name)
    assert "belongs to somebody else" in room.bob.refused("import", "-", BUSYBOX, stdin=other.getvalue())
    assert "belongs to somebody else" in room.bob.refused("load", "-i", str(room.directory / "evil.tar"))
    for name in ("roots:1", "passing:1", BUSYBOX):
        assert room.root.good("image", "inspect", "-f", "{{.Id}}", name) == identity
    assert "beginning of an id" in room.bob.refused("tag", evil, identity[7:19])
    room.bob.good("tag", BUSYBOX, "bobs:2")
    for name in (evil, evil[7:19]):
        assert "refused to ada" in room.ada.refused("rmi", "-f", name)
    room.bob.good("rmi", "bobs:2", "bobs:1")
    room.root.good("rmi", "roots:1", "passing:1", "adas:1")
    assert room.root.good("images", "-q", BUSYBOX)


def test_who_runs_a_name_trusts_who_gave_it(room: Room) -> None:
    room.ada.good("import", "-c", 'CMD ["sh"]', "-", "planted:1", stdin=busybox_tar())
    identity = room.ada.good("image", "inspect", "-f", "{{.Id}}", "planted:1")
    try:
        room.ada.good("run", "--rm", "planted:1", "true")
        for person in (room.root, room.bob):
            assert "was given by another user" in person.refused("run", "--rm", "planted:1", "true")
            assert "was given by another user" in person.refused("build", "-", stdin=context("FROM planted:1\n"))
            person.good("run", "--rm", identity, "true")
    finally:
        room.ada.good("rmi", "planted:1")


def test_a_build_of_a_guest_is_nobody_on_the_host(room: Room) -> None:
    room.root.good("tag", BUSYBOX, "kept:1")
    plain = context(f"FROM {BUSYBOX}\nRUN cat /proc/self/uid_map > /map && id -u > /who && chown 5:5 /who\n")
    room.ada.good("build", "--no-cache", "-t", "built:1", "-", stdin=plain)
    inside = room.ada.good("run", "--rm", "built:1", "sh", "-c", "cat /map /who; stat -c %u /who").split()
    assert (inside[0], inside[2:]) == ("0", ["65536", "0", "5"])
    assert inside[1] != "0"
    room.ada.good("rmi", "built:1")
    for target in ("/etc/shadow", "../../../../../../../../etc/shadow"):
        linked = context(f"FROM {BUSYBOX}\nCOPY link /copied\n", {"link": target})
        assert "outside of" in room.ada.refused("build", "-", stdin=linked)
    words = ("build", "--no-cache", "--progress", "plain", "-t", "adas-own:1", "-t", "kept:1", "-")
    said = room.ada.refused(*words, stdin=context(f"FROM {BUSYBOX}\nRUN echo it; echo has run; exit 9\n"))
    assert "the name docker.io/library/kept:1 belongs to somebody else" in said
    assert "FROM" not in said, "refused before a step is done for nothing"
    assert "could be meant as the beginning of an id" in room.ada.refused("build", "-t", "abc", "-", stdin=plain)
    room.root.good("rmi", "kept:1")


def test_mounts_of_a_guests_build_are_the_guests(room: Room) -> None:
    """Files of stages and of the context, secrets and caches have the ids of the command's own user namespace."""
    (room.ada.home / "token").write_text("hush")
    os.chown(room.ada.home / "token", room.ada.uid, -1)
    mounts = (
        "type=secret,id=t,uid=5,mode=0440", "type=secret,id=t,env=T", "from=made,source=/out,target=/o", "target=/c",
        "type=cache,id=guests,target=/k", "type=tmpfs,target=/t",
    )  # fmt: skip
    text = (
        f"FROM {BUSYBOX} AS made\nRUN mkdir /out && echo of-the-stage > /out/it && chown 7:8 /out/it\n"
        f"FROM {BUSYBOX}\nRUN {' '.join(f'--mount={each}' for each in mounts)} ls -ln /run/secrets/t /o /c /k; "
        "echo $T $(cat /run/secrets/t /o/it); touch /k/of-$(ls /k | wc -l) /t/x\n"
    )
    options = ("--no-cache", "--progress", "plain", "--secret", f"id=t,src={room.ada.home}/token")
    done = room.ada.kist("build", *options, "-", stdin=context(text))
    assert done.returncode == 0, done.stderr
    assert re.search(r"-r--r----- +1 5 +0 ", done.stderr)
    assert re.search(r"-rw-r--r-- +1 7 +8 .* it", done.stderr)
    assert re.search(r"-rw-r--r-- +1 0 +0 .* Dockerfile", done.stderr)
    assert "hush hushof-the-stage\n" in done.stderr
    assert "of-0" in room.ada.kist("build", *options, "-", stdin=context(text)).stderr
    mine = f"FROM {BUSYBOX}\nRUN --mount=type=cache,id=guests,target=/k echo there are $(ls /k | wc -l)\n"
    others = room.bob.kist("build", "--no-cache", "--progress", "plain", "-", stdin=context(mine))
    assert "there are 0\n" in others.stderr


def test_a_guests_build_takes_the_guests_files_and_sends_to_the_guest(room: Room) -> None:
    home = room.ada.home
    for name in ("context", "named"):
        (home / name).mkdir()
    (home / "named/file").write_text("of ada\n")
    (home / "named/roots").write_text("of root\n")
    (home / "named/roots").chmod(0o600)
    (home / "context/Dockerfile").write_text(
        f"FROM {BUSYBOX} AS made\nRUN --mount=from=named,target=/n cp /n/file /made && chown 5:6 /made\n"
        "FROM scratch\nCOPY --from=named file /\nCOPY --from=made --chown=7:8 /made /\n"
    )
    (home / "named/.dockerignore").write_text("roots\n")
    for path in (home / "context", home / "named", *home.glob("*/*"), home / "named/.dockerignore"):
        if path.name != "roots":
            os.chown(path, room.ada.uid, -1)
    words = ("build", "-q", "--no-cache", "--build-context", f"named={home}/named")
    room.ada.good(*words, "-o", f"{home}/out", "-o", f"type=oci,dest={home}/oci.tar", f"{home}/context")
    found = {path.name: (path.read_text(), path.stat().st_uid) for path in (home / "out").iterdir()}
    assert found == {"file": ("of ada\n", room.ada.uid), "made": ("of ada\n", room.ada.uid)}
    assert (home / "oci.tar").stat().st_uid == room.ada.uid
    (home / "named/.dockerignore").unlink()
    said = room.ada.refused(*words, f"{home}/context")
    assert "the build context named: unable to read" in said, "what the guest may not read is not read"
    assert "Permission denied: " in said
    assert "roots" in said
    os.chown(home / "named/roots", room.ada.uid, -1)
    denied = (*words, "-o", "type=tar,dest=/etc/kist-of-ada", f"{home}/context")
    assert "the output '/etc/kist-of-ada' cannot be written: permission denied" in room.ada.refused(*denied)
    for context in ("named=http://127.0.0.1:1/x", "named=http://127.0.0.1:1/x.git"):
        said = room.ada.refused("build", "--build-context", context, f"{home}/context")
        assert "only the engine's own user may have it fetch a build context" in said
    layout = ("--build-context", f"named=oci-layout://{home}/nothing")
    assert "there is no OCI layout" in room.ada.refused("build", *layout, f"{home}/context")


@needs_agent
def test_a_guests_build_asks_the_guests_agent_and_no_other(
    room: Room, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = room.ada.home
    put_ssh_add(home / "asking")
    mounts = "--mount=target=/ctx --mount=type=ssh,id=its,required"
    (home / "asking/Dockerfile").write_text(
        f"FROM {BUSYBOX}\n"
        f"RUN {mounts} stat -c 'has %a of %u' $SSH_AUTH_SOCK; {SSH_ADD} -D || echo refused; {SSH_ADD} -l\n"
        f"USER 7\nRUN {mounts},uid=7,target=/agent stat -c 'has %a of %u' /agent; {SSH_ADD} -l\n"
        f"USER 8\nRUN {mounts},uid=7,target=/agent {SSH_ADD} -l || echo denied\n"
    )
    key = a_key(home)
    for path in (key, home / "asking", *(home / "asking").iterdir()):
        os.chown(path, room.ada.uid, room.ada.uid)
    words = ("build", "--no-cache", "--progress", "plain", f"{home}/asking")
    with room.ada.popen("ssh-agent", "-D", "-a", f"{home}/s", stdout=subprocess.PIPE) as agent:
        try:
            assert agent.stdout is not None
            agent.stdout.readline()
            added = room.ada.does("env", f"SSH_AUTH_SOCK={home}/s", "ssh-add", "-q", str(key))
            assert added.returncode == 0, added.stderr
            done = room.ada.kist(*words, "--ssh", f"its={home}/s")
            assert done.returncode == 0, done.stderr
            assert done.stderr.count(" of-the-test (ED25519)\n") == 2
            assert " has 600 of 0\n" in done.stderr
            assert " has 600 of 7\n" in done.stderr
            assert " refused\n" in done.stderr
            assert " denied\n" in done.stderr
            assert "not given" in room.bob.refused(
                *words[:-1], "-", stdin=context(f"FROM {BUSYBOX}\nRUN {mounts} true\n")
            )
        finally:
            agent.terminate()
    roots = tmp_path_factory.mktemp("r")
    roots.chmod(0o755)
    with an_agent(roots, a_key(roots)) as path:
        said = room.ada.refused(*words, "--ssh", f"its={path}")
        assert "ermission denied" in said, said


def test_commands_of_a_guests_build_have_no_more_than_a_guests_container(room: Room) -> None:
    plain = context(f"FROM {BUSYBOX}\nRUN true\n")
    room.root.good("run", "-d", "--name", "roots-own", "--network", "none", BUSYBOX, "sleep", "1000")
    try:
        for options, words in (
            (("--network", "host"), "--network host"),
            (("--network", "container:roots-own"), "--network container:roots-own"),
            (("--cgroup-parent", "/system.slice"), "--cgroup-parent /system.slice"),
            (("--security-opt", "seccomp=unconfined"), "--security-opt"),
            (("--ulimit", "rtprio=9"), "--ulimit rtprio"),
        ):
            said = room.ada.refused("build", *options, "-", stdin=plain)
            assert words in said, said
        assert "only the engine's own user may have it fetch" in room.ada.refused("build", "http://127.0.0.1:1/x")
    finally:
        room.root.good("rm", "-f", "roots-own")
    looks = context(f"FROM {BUSYBOX}\nRUN cat /proc/net/dev; ulimit -n\n")
    options = ("--no-cache", "--progress", "plain", "--ulimit", "nofile=123", "--network", "none")
    done = room.ada.kist("build", *options, "-", stdin=looks)
    assert done.returncode == 0, done.stderr
    assert "123" in done.stderr
    assert "eth0" not in done.stderr


def test_a_guest_attaches_nothing_to_what_others_made(room: Room) -> None:
    """Whoever reads what is attached to root's image reads what root has said of it."""
    told = room.ada.kist("sbom", "--format", "spdx", BUSYBOX)
    assert json.loads(told.stdout)["spdxVersion"] == "SPDX-2.3"
    assert "not attached" in told.stderr
    assert len(room.root.good("image", "referrers", BUSYBOX).splitlines()) == 1
    room.root.good("sbom", "--format", "spdx", BUSYBOX)
    digest = room.ada.good("image", "referrers", "-q", BUSYBOX)
    assert "somebody else made it" in room.ada.refused("image", "referrers", "--rm", BUSYBOX, digest)
    archive = room.root.good("image", "referrers", BUSYBOX, digest)
    assert json.loads(archive)["name"].startswith(BUSYBOX)
    room.root.good("image", "referrers", "--rm", BUSYBOX, digest)
    room.ada.good("build", "-q", "-t", "adas:1", "-", stdin=context(f"FROM {BUSYBOX}\nRUN echo 1 > /x\n"))
    room.ada.good("sbom", "--format", "spdx", "adas:1")
    assert len(room.ada.good("image", "referrers", "-q", "adas:1").splitlines()) == 1
    assert "adas:1" in room.ada.good("tree")
    room.ada.good("rmi", "adas:1")


def test_a_guests_steps_are_not_found_by_others(room: Room) -> None:
    dockerfile = context(f"FROM {BUSYBOX}\nRUN echo $http_proxy > /made\n")
    room.ada.good("build", "--build-arg", "http_proxy=http://planted", "-t", "adas-proxy:1", "-", stdin=dockerfile)
    room.root.good("build", "-t", "roots-proxy:1", "-", stdin=dockerfile)
    assert room.ada.good("run", "--rm", "adas-proxy:1", "cat", "/made") == "http://planted"
    assert room.root.good("run", "--rm", "roots-proxy:1", "cat", "/made") == ""
    room.root.good("rmi", "adas-proxy:1", "roots-proxy:1")


def test_a_commit_is_a_guests_too(room: Room) -> None:
    name = room.ada.good("run", "-d", BUSYBOX, "sleep", "1000")
    try:
        assert "belongs to somebody else" in room.ada.refused("commit", "-c", "ENV A=B", name, BUSYBOX)
        room.ada.good("commit", name, "committed:1")
        assert room.ada.good("run", "--rm", "committed:1", "cat", "/proc/self/uid_map").split()[1] != "0"
        room.ada.good("rmi", "-f", "committed:1")
    finally:
        room.ada.good("rm", "-f", name)


def test_root_fetches_nothing_for_a_guest(room: Room) -> None:
    assert "--mirror is refused" in room.ada.refused("bootstrap", "--mirror", "http://127.0.0.1:1", "debian:12")
    assert "fetch" in room.ada.refused("import", "http://127.0.0.1:1/x.tar", "fetched:1")


# tricks with time and with places


def test_a_link_that_changes_while_containers_start_leads_nowhere(room: Room) -> None:
    room.ada.file("swap", "mine")
    program = """
import os, sys
os.chdir(sys.argv[1])
while True:
    for target in ("swap", "/etc/shadow"):
        os.symlink(target, "aside")
        os.rename("aside", "turning")
"""
    os.symlink(room.ada.home / "swap", room.ada.home / "turning")
    swapper = room.ada.popen(sys.executable, "-c", program, str(room.ada.home))
    seen = set()
    try:
        # Both ways the link has led, some times each; one start in two meets either.
        number = 0
        while number < 6 or seen != {"", "mine"}:
            number += 1
            access = ":ro" if number % 2 else ""
            words = ("--network", "none", "-v", f"{room.ada.home}/turning:/mnt{access}")
            done = room.ada.kist("run", "--rm", *words, BUSYBOX, "cat", "/mnt")
            seen.add(done.stdout)
            assert done.stdout in {"", "mine"}, done
            assert done.returncode == 0 or "refused to ada" in done.stderr, done
    finally:
        swapper.kill()
        swapper.wait()


def test_a_restart_looks_at_the_source_anew(room: Room) -> None:
    place = room.ada.home / "restarted"
    place.mkdir()
    os.chown(place, room.ada.uid, room.ada.uid)
    (place / "shadow").write_text("mine\n")
    words = ("-d", "--restart", "on-failure:3", "-v", f"{place}:/mnt:ro", "--network", "none")
    script = "cat /mnt/shadow; until test -e /mnt/go; do sleep 0.05; done; exit 1"
    name = room.ada.good("run", *words, BUSYBOX, "sh", "-c", script)
    try:
        until(lambda: "mine" in room.ada.good("logs", name))
        moved = place.rename(room.ada.home / "moved")
        os.symlink("/root", place)
        (moved / "go").write_text("")
        until(lambda: room.ada.good("inspect", "-f", "{{.State.Status}}", name) == "exited")
        assert set(room.ada.good("logs", name).split()) == {"mine"}
    finally:
        room.ada.good("rm", "-f", name)


def devices() -> bytes:
    """An archive with a device that everybody may read."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("device")
        entry.type, entry.mode, entry.devmajor, entry.devminor = tarfile.CHRTYPE, 0o666, 1, 3
        archive.addfile(entry)
    return made.getvalue()


def test_a_device_does_not_get_onto_a_guests_bind(room: Room) -> None:
    """Root would make it, and it would be the guest's, on the host too."""
    name = room.ada.good("run", "-d", "-v", f"{room.ada.home}:/mnt", "-v", "devices:/data", BUSYBOX, "sleep", "1000")
    try:
        for person in (room.ada, room.root):
            for place in ("/mnt", "/dev", "/data", "/"):
                said = person.refused("cp", "-", f"{name}:{place}", stdin=devices())
                assert "a device node is not allowed here" in said
        assert not (room.ada.home / "device").exists()
        image = room.ada.good("import", "-", stdin=devices())
        assert "nodev" in room.ada.good("exec", name, "grep", " /data ", "/proc/self/mounts")
        assert "nodev" in room.ada.good("exec", name, "grep", " / ", "/proc/self/mounts")
        room.ada.good("rmi", image)
    finally:
        room.ada.good("rm", "-f", name)


def test_files_of_a_container_that_does_not_run_are_its_own(room: Room) -> None:
    name = room.ada.good("create", "-v", "/etc:/mnt:ro", "-v", "/root:/roots", BUSYBOX, "true")
    try:
        for path in ("/mnt/shadow", "/mnt/passwd", "/roots/."):
            for person in (room.ada, room.root):
                done = person.kist("cp", f"{name}:{path}", "-")
                assert "root:" not in done.stdout, (path, done)
        planted = room.ada.file("planted", "x")
        room.ada.kist("cp", str(planted), f"{name}:/roots/kist-planted")
        room.root.kist("cp", str(planted), f"{name}:/roots/kist-planted")
        assert not os.path.exists("/root/kist-planted")
    finally:
        room.ada.good("rm", "-f", name)


def test_files_of_a_running_container_are_the_guests_on_binds_too(room: Room) -> None:
    name = room.ada.good("run", "-d", "-v", "/etc:/mnt:ro", "-v", f"{room.ada.home}:/home", BUSYBOX, "sleep", "1000")
    try:
        assert "root:" not in room.ada.kist("cp", f"{name}:/mnt/shadow", "-").stdout
        assert "root:" not in room.ada.kist("cp", f"{name}:/proc/1/root/mnt/shadow", "-").stdout
        room.ada.good("exec", name, "ln", "-s", "/mnt/shadow", "/home/leads")
        assert "root:" not in room.ada.kist("cp", "-L", f"{name}:/home/leads", "-").stdout
        planted = room.ada.file("planted", "x")
        room.ada.kist("cp", str(planted), f"{name}:/mnt/kist-planted")
        assert not os.path.exists("/etc/kist-planted")
    finally:
        room.ada.good("rm", "-f", name)


# the administrator's policy


@contextlib.contextmanager
def policy(room: Room, text: str, mode: int = 0o644) -> Iterator[None]:
    """This policy, for a while: the engine reads it at the next call."""
    room.policy.write_text(text)
    room.policy.chmod(mode)
    try:
        yield
    finally:
        room.policy.unlink()


def test_a_refusal_says_the_lines_that_grant_it(room: Room) -> None:
    said = room.ada.refused("run", "--rm", "--cap-add", "NET_ADMIN", BUSYBOX, "true")
    lines = said[said.index("[[allow]]") :]
    with policy(room, lines):
        room.ada.good("run", "--rm", "--cap-add", "NET_ADMIN", BUSYBOX, "true")
        room.bob.refused("run", "--rm", "--cap-add", "NET_ADMIN", BUSYBOX, "true")
    room.ada.refused("run", "--rm", "--cap-add", "NET_ADMIN", BUSYBOX, "true")


def test_somebody_trusted_is_as_root(room: Room) -> None:
    lines = room.ada.refused("run", "--rm", "--privileged", BUSYBOX, "true")
    with policy(room, lines[lines.index("[[allow]]") :]):
        script = "cat /proc/self/uid_map; cat /mnt/shadow >/dev/null && echo read"
        said = room.ada.good("run", "--rm", "--privileged", "-v", "/etc:/mnt", BUSYBOX, "sh", "-c", script).split()
        assert (said[1], said[-1]) == ("0", "read")


def test_directories_are_opened_and_closed(room: Room) -> None:
    hidden = room.directory / "root" / "open"
    hidden.mkdir()
    hidden.chmod(0o755)
    (hidden / "file").write_text("shown")
    os.symlink("/root", hidden / "out")
    words = ("run", "--rm", "-v", f"{hidden}:/mnt:ro", BUSYBOX, "cat", "/mnt/file")
    assert "refused to ada" in room.ada.refused(*words)
    with policy(room, f'[[allow]]\ngroups = ["{GROUP}"]\npaths = ["{hidden}:ro"]\n'):
        assert room.ada.good(*words) == "shown"
        assert "refused to ada" in room.ada.refused("run", "--rm", "-v", f"{hidden}:/mnt", BUSYBOX, "true")
        assert "refused to ada" in room.ada.refused("run", "--rm", "-v", f"{hidden}/out:/mnt:ro", BUSYBOX, "true")
    closed = room.ada.home / "closed"
    closed.mkdir()
    os.chown(closed, room.ada.uid, room.ada.uid)
    os.symlink(closed, room.ada.home / "way")
    with policy(room, f'[[deny]]\nusers = ["ada"]\npaths = ["{closed}"]\n'):
        for source in (closed, room.ada.home, room.ada.home / "way"):
            said = room.ada.refused("run", "--rm", "-v", f"{source}:/mnt:ro", BUSYBOX, "true")
            assert "the policy closes" in said
        room.bob.good("run", "--rm", "-v", f"{room.bob.home}:/mnt:ro", BUSYBOX, "true")
    with policy(room, '[[deny]]\nusers = ["ada"]\noptions = ["bind", "build"]\n'):
        assert "denies 'bind'" in room.ada.refused("run", "--rm", "-v", f"{room.ada.home}:/mnt", BUSYBOX, "true")
        assert "denies 'build'" in room.ada.refused("build", "-", stdin=context(f"FROM {BUSYBOX}\n"))
    with policy(room, '[[deny]]\nusers = ["ada"]\noptions = ["everything"]\n'):
        assert "denies 'everything'" in room.ada.refused("run", "--rm", BUSYBOX, "true")
        assert "denies 'everything'" in room.ada.refused("bootstrap", "debian:12")


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("[[allow]]\n", 0o666, "could be written by others than root"),
        ('[[allow]]\nusers = ["ada"]\noption = ["trusted"]\n', 0o644, "policy.toml:3: there is no key 'option'"),
    ],
)
def test_a_policy_that_cannot_be_believed_allows_nothing(room: Room, text: str, mode: int, said: str) -> None:
    with policy(room, text, mode):
        assert said in room.ada.refused("run", "--rm", BUSYBOX, "true")
        room.root.good("run", "--rm", BUSYBOX, "true")


def test_who_is_nobody_here_is_refused(room: Room) -> None:
    """Ids that are no user's, of a user namespace say, may have kept the group."""
    assert "nobody knows who calls" in room.nobody.refused("ps")


def test_as_me_is_the_guest(room: Room) -> None:
    room.ada.file("as-me", "mine", 0o600)
    script = "id -u; cat /mnt/as-me; echo > /mnt/as-me-made"
    said = room.ada.good("run", "--rm", "--as-me", "-v", f"{room.ada.home}:/mnt", BUSYBOX, "sh", "-c", script)
    assert said.split() == [str(room.ada.uid), "mine"]
    assert (room.ada.home / "as-me-made").stat().st_uid == room.ada.uid


def test_a_group_has_to_be_one_and_the_engine_roots(room: Room) -> None:
    words = (*KIST, "engine", "--group", "kist-no-such-group")
    aside = ("env", f"KIST_ROOT={room.directory}/aside", f"KIST_RUN={room.directory}/aside-run")
    assert "groupadd --system kist-no-such-group" in room.root.does(*aside, *words).stderr
    assert "serves that user alone" in room.ada.does(*words).stderr
