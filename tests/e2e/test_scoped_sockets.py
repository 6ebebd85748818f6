"""Sockets with a role: what each gives, and that no way leads further. The number of attempts is printed at the end."""

import contextlib
import http.client
import json
import shutil
import socket
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import ordinary
from building import SSH_ADD, a_key, an_agent, needs_agent, put_ssh_add
from harness import BUSYBOX, Cli, a_cli, give_busybox
from kist.api.access import Access
from kist.api.needs import NEEDS, Need
from kist.api.routes import ROUTES
from told import tell

SOCKETS = {
    "see": '\nrole = "read-only"\nlabels = ["ci=1"]',
    "all": '\nrole = "read-only"',
    "life": '\nrole = "operator"',
    "op": '\nrole = "operator"\nlabels = ["ci=1"]\nmode = "0666"',
    "next": '\nrole = "operator"\nlabels = ["ci=1", "job=2"]',
    "admin": '\nrole = "admin"',
}
SECRET = "s3cret-of-somebody"
HIDDEN = "hidden-name"
SOMEBODY = 51_377
"""A user who is in no database."""
PAST = "/events?since=1&until=0s"


class WithSockets(Cli):
    """The command line on an engine whose settings have a socket of each kind."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"KIST_CONFIG": str(self.directory / "engine.toml")}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"]) if self.body else ""


@dataclass(frozen=True)
class Door:
    """One of the engine's sockets."""

    path: Path
    cli: Cli

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("x", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with contextlib.closing(connection):
            connection.request(method, path, data, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())

    def kist(self, *arguments: str) -> str:
        return self.cli.good("-H", f"unix://{self.path}", *arguments)

    def refused(self, *arguments: str) -> str:
        done = self.cli("-H", f"unix://{self.path}", *arguments)
        assert done.returncode, (arguments, done.stdout)
        assert "internal error" not in done.stderr
        return done.stderr


@dataclass(frozen=True)
class House:
    """An engine, what is on it of its own user's, and its doors."""

    cli: Cli
    hidden: str

    def __getattr__(self, name: str) -> Door:
        if name in SOCKETS:
            return Door(self.cli.directory / f"{name}.sock", self.cli)
        raise AttributeError(name)

    @property
    def own(self) -> Door:
        return Door(self.cli.directory / "run" / "engine.sock", self.cli)


class Tally:
    """How many attempts were made."""

    tried = 0


def settle(directory: Path) -> None:
    text = "".join(f'[[socket]]\npath = "{directory}/{name}.sock"{rest}\n' for name, rest in SOCKETS.items())
    (directory / "engine.toml").write_text(text)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("scopes")
    settle(directory)
    with a_cli(directory, WithSockets) as cli:
        give_busybox(cli)
        cli.good("network", "create", "hidden-net")
        cli.good("volume", "create", "hidden-vol")
        cli.good("volume", "create", "hidden-spare")
        words = ("-e", f"TOKEN={SECRET}", "-v", "hidden-vol:/data", "--network", "hidden-net", "--label", "other=1")
        hidden = cli.good("run", "-d", "--name", HIDDEN, *words, BUSYBOX, "sh", "-c", "echo $TOKEN; sleep 1000")
        cli.good("create", "--name", "hidden-ended", "--network", "none", BUSYBOX, "true")
        cli.good("tag", BUSYBOX, "hidden-image:1")
        yield House(cli, hidden)
        cli.good("rm", "-f", HIDDEN, "hidden-ended")
        cli.good("network", "rm", "hidden-net")
    tell(request.config, f"scoped sockets: {Tally.tried} attempts made")


@pytest.fixture
def job(house: House) -> Iterator[str]:
    """A container that runs, made by an operator."""
    house.op.kist("run", "-d", "--name", "job", "-e", f"TOKEN={SECRET}", "--network", "none", BUSYBOX, "sleep", "1000")
    yield "job"
    house.own("DELETE", "/containers/job?force=1")


def state(house: House) -> object:
    """All that there is of the engine's own user's, as far as somebody could change it."""
    own = house.own
    containers = [own("GET", f"/containers/{name}/json").json for name in (HIDDEN, "hidden-ended")]
    return (
        [(each["Id"], each["Name"], each["State"], each["Config"], each["HostConfig"]) for each in containers],
        own("GET", "/networks/hidden-net").json,
        own("GET", "/volumes").json["Volumes"],
        [(each["Id"], each["RepoTags"]) for each in own("GET", "/images/json").json],
        own("GET", f"/containers/{HIDDEN}/changes").json,
    )


# what each role gives


def test_the_file_says_who_may_connect(house: House) -> None:
    assert [stat.S_IMODE((house.cli.directory / f"{name}.sock").stat().st_mode) for name in ("see", "op")] == [
        0o600, 0o666
    ]  # fmt: skip


@pytest.mark.root("calls as somebody else")
def test_whoever_can_connect_gets_the_role_and_is_on_record(house: House) -> None:
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None:
        pytest.skip("needs a Python that everybody may run")
    ordinary.open_above(house.cli.directory)
    ask = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        "s.sendall(b'GET /containers/json HTTP/1.0\\r\\n\\r\\n'); print(s.recv(12).decode())"
    )
    said = {}
    for name in ("op", "see"):
        line = [python, "-I", "-c", ask, str(house.cli.directory / f"{name}.sock")]
        said[name] = subprocess.run(line, user=SOMEBODY, group=SOMEBODY, capture_output=True, text=True, check=False)
    assert said["op"].stdout.strip() == "HTTP/1.0 200"
    assert "PermissionError" in said["see"].stderr
    kept = house.cli.good("system", "audit", "--filter", f"uid={SOMEBODY}", "--format", "{{.GID}} {{.Role}} {{.Path}}")
    assert kept == f"{SOMEBODY} operator of ci=1 /containers/json"


def test_an_operator_makes_and_manages_what_is_its_own(house: House, job: str) -> None:
    op = house.op
    assert op.kist("ps", "-a", "--format", "{{.Names}}") == job
    assert op("GET", f"/containers/{job}/json").json["Config"]["Labels"] == {"ci": "1"}
    assert op.kist("exec", job, "echo", "inside") == "inside"
    op.kist("volume", "create", "mine")
    assert op("GET", "/volumes/mine").json["Labels"] == {"ci": "1"}
    op.kist("network", "create", "ours")
    assert op.kist("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none", "ours"]
    words = ("run", "--rm", "-v", "mine:/data", "-v", "/anonymous", "--network", "ours", BUSYBOX)
    assert op.kist(*words, "sh", "-c", "echo kept > /data/file && cat /data/file") == "kept"
    assert op("POST", f"/containers/{job}/rename?name=renamed").status == 204
    assert op("POST", "/containers/renamed/update", {"Memory": 64 << 20}).status in {200, 400, 403, 409, 501}
    assert op("POST", "/containers/renamed/stop?t=0").status == 204
    pruned = op("POST", "/containers/prune").json["ContainersDeleted"]
    assert len(pruned) == 1
    assert op.kist("volume", "prune", "-a", "-f").split()[2] == "mine"
    assert "ours" in op.kist("network", "prune", "-f")
    assert house.own("GET", f"/containers/{HIDDEN}/json").json["State"]["Running"]


@needs_agent
def test_an_operators_builds_ask_the_callers_agent(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("a")
    put_ssh_add(directory / "context")
    text = f"FROM {BUSYBOX}\nRUN --mount=target=/ctx --mount=type=ssh,required {SSH_ADD} -l > /keys\n"
    (directory / "context/Dockerfile").write_text(text)
    words = ("build", "-q", "--no-lock", "-t", "asked:1", str(directory / "context"))
    try:
        with an_agent(directory, a_key(directory)) as path:
            house.op.kist(*words, "--ssh", f"default={path}")
            assert "role" in house.see.refused(*words, "--ssh", f"default={path}")
        assert "of-the-test" in house.op.kist("run", "--rm", "--network", "none", "asked:1", "cat", "/keys")
        assert "the ssh agent default is required and was not given" in house.op.refused(*words)
    finally:
        house.op("DELETE", "/images/asked:1")


def test_an_operator_builds_and_names_images_that_nobody_else_has_named(house: House, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo built > /made\n")
    op = house.op
    op.kist("build", "-q", "-t", "built:1", str(tmp_path))
    try:
        assert op.kist("run", "--rm", "--network", "none", "built:1", "cat", "/made") == "built"
        assert "belongs to somebody else" in op.refused("build", "-q", "-t", BUSYBOX, str(tmp_path))
        op.kist("build", "-q", "-o", f"type=tar,dest={tmp_path}/out.tar", str(tmp_path))
        with tarfile.open(tmp_path / "out.tar") as archive:
            assert "made" in archive.getnames()
        assert "belongs to somebody else" in op.refused("tag", "built:1", "hidden-image:1")
        assert "another gave it" in op.refused("rmi", "hidden-image:1")
        # What it has named is nobody else's to run by that name.
        assert "by a socket with a role" in house.cli("run", "--rm", "built:1", "true").stderr
        assert op("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D").status == 200
        assert "No such image" in op.refused("image", "inspect", "built:1")
        assert "No such image" in op.refused("run", "--rm", "built:1", "true")
    finally:
        house.own("DELETE", "/images/built:1?force=1")
    assert house.own("GET", "/images/hidden-image:1/json").status == 200


def test_who_only_sees_is_shown_no_secrets(house: House, job: str) -> None:
    see = house.see
    assert see.kist("ps", "--format", "{{.Names}}") == job
    shown = see("GET", f"/containers/{job}/json")
    assert f"TOKEN={SECRET}".encode() not in shown.body
    assert "TOKEN=***" in shown.json["Config"]["Env"]
    values = see("GET", f"/containers/{job}/json", Accept="application/vnd.kist+json")
    assert SECRET.encode() not in values.body
    assert SECRET.encode() not in see("GET", "/containers/json", Accept="application/vnd.kist+json").body
    assert SECRET.encode() not in see("GET", "/system/df", Accept="application/vnd.kist+json").body
    assert see.kist("logs", job) == ""
    assert see("GET", f"/containers/{job}/top").status == 200
    assert [each["Names"] for each in see("GET", "/system/df").json["Containers"]] == [[f"/{job}"]]
    assert see("GET", "/info").json["Containers"] == 1
    assert house.all("GET", "/info").json["Containers"] == 3
    assert [each["RepoTags"] for each in see("GET", "/images/json").json] == [["busybox:test", "hidden-image:1"]]


def test_an_operator_without_labels_starts_and_stops_and_no_more(house: House, job: str) -> None:
    life = house.life
    assert set(life.kist("ps", "-a", "--format", "{{.Names}}").split()) == {job, HIDDEN, "hidden-ended"}
    assert SECRET.encode() not in life("GET", f"/containers/{HIDDEN}/json").body
    for verb in ("stop?t=0", "start", "pause", "unpause", "restart?t=0", "kill"):
        assert life("POST", f"/containers/{job}/{verb}").status == 204, verb
    for (method, pattern), need in NEEDS.items():
        if need in {Need.MAKE, Need.INSIDE, Need.ALL}:
            refused(life(method, filled(pattern, job), {}), {403})


def test_an_admin_is_the_engines_user(house: House) -> None:
    assert house.admin.kist("exec", HIDDEN, "sh", "-c", "echo $TOKEN") == SECRET
    assert house.all("GET", "/_ping").status == 200
    assert house.admin.kist("system", "audit", "--filter", "role=read-only", "--tail", "1").count("\n") == 1


def test_what_the_engines_user_has_made_with_the_label_is_managed_and_not_entered(house: House) -> None:
    made = ("run", "-d", "--name", "given", "--label", "ci=1", "--network", "none")
    op = house.op
    try:
        house.cli.good(*made, "-v", "/etc:/host:ro", BUSYBOX, "sleep", "1000")
        assert op.kist("ps", "--format", "{{.Names}}") == "given"
        for words in (("exec", "given", "true"), ("cp", "given:/host/passwd", "-"), ("commit", "given", "x:1"),
                      ("export", "given"), ("attach", "--no-stdin", "given"), ("diff", "given"),
                      ("run", "--rm", "--volumes-from", "given", BUSYBOX, "true")):  # fmt: skip
            Tally.tried += 1
            assert "refused by this socket" in op.refused(*words), words
        op.kist("stop", "-t", "0", "given")
        op.kist("start", "given")
        house.cli.good("rm", "-f", "given")
        house.cli.good(*made, "-v", "given-vol:/data", BUSYBOX, "sleep", "1000")
        assert "no such volume" in op.refused("exec", "given", "true")
        house.cli.good("rm", "-f", "given")
        house.cli.good(*made, BUSYBOX, "sleep", "1000")
        op.kist("exec", "given", "true")
        noted = house.own("POST", "/containers/given/exec", {"Cmd": ["true"], "Privileged": True}).json["Id"]
        refused(op("POST", f"/exec/{noted}/start", {"Detach": True}), {403})
    finally:
        house.own("DELETE", "/containers/given?force=1")
        house.own("DELETE", "/volumes/given-vol?force=1")


def test_the_labels_of_an_image_bound_nothing_in(house: House) -> None:
    made = house.cli.good("import", "-c", 'LABEL ci="1"', str(house.cli.directory / "busybox.tar"))
    try:
        house.cli.good("run", "--name", "looks-like-it", "--network", "none", made, "true")
        assert house.op.kist("ps", "-aq") == ""
        assert b"looks-like-it" not in house.see("GET", PAST).body
        assert "No such container" in house.op.refused("rm", "looks-like-it")
    finally:
        house.own("DELETE", "/containers/looks-like-it?force=1")
        house.own("DELETE", f"/images/{made}?force=1")


# what no way leads to


def refused(answer: Answer, statuses: set[int] = frozenset({400, 403, 404, 409, 501, 503})) -> None:  # type: ignore[assignment]
    Tally.tried += 1
    assert answer.status in statuses, answer
    assert SECRET.encode() not in answer.body


def filled(pattern: str, name: str) -> str:
    for field in ("{id}", "{name}", "{name:*}"):
        pattern = pattern.replace(field, name)
    return pattern


def about(route_kind: str) -> list[tuple[str, str]]:
    return [
        (each.method, each.pattern) for each in ROUTES if each.pattern.startswith(route_kind) and "{" in each.pattern
    ]


BODIES = {
    "/containers/{id}/exec": {"Cmd": ["id"]},
    "/kist/containers/{id}/exec": {"Cmd": ["id"]},
    "/containers/{id}/update": {"Memory": 64 << 20},
    "/networks/{id}/connect": {"Container": "job"},
    "/networks/{id}/disconnect": {"Container": "job"},
}


@pytest.mark.parametrize("who", ["see", "op"])
def test_somebody_elses_container_is_not_there_by_whatever_name(house: House, who: str) -> None:
    door, before = getattr(house, who), state(house)
    process = house.own("POST", f"/containers/{HIDDEN}/exec", {"Cmd": ["true"]}).json["Id"]
    names = [HIDDEN, f"%2F{HIDDEN}", HIDDEN.replace("-", "%2D"), house.hidden, house.hidden[:12]]
    for method, pattern in [*about("/containers/"), *about("/kist/containers/")]:
        for name in names:
            answer = door(method, filled(pattern, name), BODIES.get(pattern, {}))
            refused(answer, {403, 404})
            if name == HIDDEN and method != "HEAD" and answer.status == 404:
                missing = door(method, filled(pattern, "nobodys"), BODIES.get(pattern, {}))
                assert answer.message.replace(HIDDEN, "nobodys") == missing.message
    for method, pattern in [*about("/exec/"), *about("/kist/exec/")]:
        refused(door(method, filled(pattern, process), {}), {403, 404})
    assert state(house) == before


@pytest.mark.parametrize("who", ["see", "op"])
@pytest.mark.parametrize(
    ("path", "name"),
    [("/containers/{}/json", HIDDEN), ("/networks/{}", "hidden-net"), ("/volumes/{}", "hidden-vol")],
)
def test_a_name_that_is_almost_somebody_elses_brings_no_hint(house: House, who: str, path: str, name: str) -> None:
    answer = getattr(house, who)("GET", path.format(name[:-1]))
    assert answer.status == 404
    assert name.encode() not in answer.body


@pytest.mark.parametrize("who", ["see", "op"])
def test_somebody_elses_network_and_volume_are_not_there(house: House, job: str, who: str) -> None:
    door, before = getattr(house, who), state(house)
    network = house.own("GET", "/networks/hidden-net").json["Id"]
    for kind, names in (("/networks/", ["hidden-net", network, network[:8]]), ("/volumes/", ["hidden-vol"]),
                        ("/kist/volumes/", ["hidden-vol", "hidden-spare"])):  # fmt: skip
        for method, pattern in about(kind):
            for name in names if pattern != "/volumes/{name}" or method != "PUT" else ():
                refused(door(method, filled(pattern, name), BODIES.get(pattern, {})), {403, 404})
    assert house.own("GET", f"/containers/{job}/json").status == 200
    assert state(house) == before


def test_who_has_a_name_that_is_taken_is_not_told(house: House) -> None:
    answer = house.op("POST", "/volumes/create", {"Name": "hidden-vol"})
    assert (answer.status, answer.message) == (403, "the volume hidden-vol belongs to somebody else")
    mounted = {"Image": BUSYBOX, "Cmd": ["true"], "HostConfig": {"Binds": ["hidden-vol:/x"]}}
    assert "belongs to somebody else" in house.op("POST", "/containers/create", mounted).message


OUT = {
    "a bind": {"HostConfig": {"Binds": ["/etc:/x:ro"]}},
    "a bind by Mounts": {"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}},
    "a volume that is a bind": {"HostConfig": {"Mounts": [{"Type": "volume", "Source": "sly", "Target": "/x",
        "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/etc"}}}}]}},
    "somebody's volume": {"HostConfig": {"Binds": ["hidden-vol:/x"]}},
    "somebody's unused volume": {"HostConfig": {"Mounts": [{"Type": "volume", "Source": "hidden-spare",
                                                            "Target": "/x"}]}},
    "another driver": {"HostConfig": {"VolumeDriver": "other", "Binds": ["v:/x"]}},
    "privileged": {"HostConfig": {"Privileged": True}},
    "the host's pids": {"HostConfig": {"PidMode": "host"}},
    "the host's ipc": {"HostConfig": {"IpcMode": "host"}},
    "the host's uts": {"HostConfig": {"UTSMode": "host"}},
    "the host's cgroups": {"HostConfig": {"CgroupnsMode": "host"}},
    "the host's ids": {"HostConfig": {"UsernsMode": "host"}},
    "ids of choice": {"HostConfig": {"UsernsMode": "auto:uidmapping=0:0:1"}},
    "the host's network": {"HostConfig": {"NetworkMode": "host"}},
    "somebody's network": {"HostConfig": {"NetworkMode": "hidden-net"}},
    "somebody's network beside": {"NetworkingConfig": {"EndpointsConfig": {"hidden-net": {}}}},
    "somebody's network namespace": {"HostConfig": {"NetworkMode": f"container:{HIDDEN}"}},
    "somebody's pids": {"HostConfig": {"PidMode": f"container:{HIDDEN}"}},
    "somebody's ipc": {"HostConfig": {"IpcMode": f"container:{HIDDEN}"}},
    "somebody's volumes": {"HostConfig": {"VolumesFrom": [HIDDEN]}},
    "a link": {"HostConfig": {"Links": [f"{HIDDEN}:x"]}},
    "a device": {"HostConfig": {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/x",
                                             "CgroupPermissions": "rwm"}]}},
    "device rules": {"HostConfig": {"DeviceCgroupRules": ["a *:* rwm"]}},
    "gpus": {"HostConfig": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}},
    "capabilities": {"HostConfig": {"CapAdd": ["SYS_ADMIN"]}},
    "all capabilities": {"HostConfig": {"CapAdd": ["ALL"]}},
    "no seccomp": {"HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}},
    "no apparmor": {"HostConfig": {"SecurityOpt": ["apparmor=unconfined"]}},
    "open paths": {"HostConfig": {"MaskedPaths": []}},
    "paths to write": {"HostConfig": {"ReadonlyPaths": []}},
    "a cgroup": {"HostConfig": {"CgroupParent": "/"}},
    "an outside runtime": {"HostConfig": {"Runtime": "runc"}},
    "low ports": {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}},
    "a log that leaves": {"HostConfig": {"LogConfig": {"Type": "syslog", "Config": {}}}},
    "no oom": {"HostConfig": {"OomScoreAdj": -1000}},
    "realtime": {"HostConfig": {"Ulimits": [{"Name": "rtprio", "Soft": 1, "Hard": 1}]}},
    "as somebody": {"KistCaller": {"uid": 0, "gid": 0, "groups": [], "name": "root", "home": "/root"}},
    "a root of the host's": {"Image": "", "KistRootfs": "/"},
    "a name like an id": {"name": "abcdef"},
    "somebody's name": {"name": HIDDEN},
}  # fmt: skip


@pytest.mark.parametrize("asked", OUT.values(), ids=OUT)
def test_no_option_of_a_new_container_reaches_out(house: House, asked: dict[str, Any]) -> None:
    body = {"Image": BUSYBOX, "Cmd": ["true"], **asked}
    name = body.pop("name", "")
    answer = house.op("POST", f"/containers/create?name={name}", body)
    refused(answer)
    assert house.hidden not in answer.message
    assert house.op.kist("ps", "-aq") == ""


def test_who_only_sees_gets_no_further_with_what_it_sees(house: House, job: str) -> None:
    for (method, pattern), need in NEEDS.items():
        if need is not Need.SEE:
            refused(house.see(method, filled(pattern, job), {}), {403})


TRICKS = [
    ("GET", "/v1.24/containers/{}/json"), ("GET", "/v1.51/containers/{}/json"), ("GET", "//containers/{}/json"),
    ("GET", "/v1.43/v1.43/containers/{}/json"), ("GET", "/containers/job/../{}/json"), ("GET", "/./containers/{}/json"),
    ("GET", "/containers/{}/json/"), ("GET", "/containers/job%2F..%2F{}/json"), ("GET", "/%63ontainers/{}/json"),
    ("HEAD", "/containers/{}/json"), ("HEAD", "/containers/{}/archive?path=/"),
    ("GET", "/containers/{}%00/json"), ("GET", "/containers/{}/json?id=job"),
    ("GET", "http://x/containers/{}/json"), ("POST", "/containers/{}/start?_method=GET"),
    ("GET", "/containers/{}/attach/ws?stdin=1&stdout=1"), ("GET", "/kist/stats?container={}"),
    ("GET", "/containers/json?all=1&filters=%7B%22before%22%3A%5B%22{}%22%5D%7D"),
    ("POST", "/commit?container={}&repo=stolen"), ("POST", "/images/create?fromSrc=http://127.0.0.1:1/x"),
    ("POST", "/build?remote=http://127.0.0.1:1/x"), ("GET", "/distribution/{}/json"),
    ("POST", "/volumes/create"), ("POST", "/kist/spec"), ("GET", "/kist/audit"), ("GET", "/kist/unused"),
    ("POST", "/build/prune"), ("POST", "/kist/check?repair=1"), ("POST", "/kist/networks/reload?container={}"),
    ("POST", "/kist/build?context=/etc&device=1&inode=1"), ("POST", "/kist/bootstrap"), ("POST", "/swarm/init"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), TRICKS)
def test_no_spelling_of_a_path_leads_to_somebody_else(house: House, job: str, method: str, path: str) -> None:
    body = {"Name": "hidden-vol"} if "volumes" in path else {"Image": BUSYBOX, "distribution": "debian:12"}
    before = state(house)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    answer = house.op(method, path.replace("{}", HIDDEN), body, **(headers if "/ws" in path else {}))
    refused(answer, set(range(400, 600)))
    assert b"internal error" not in answer.body
    assert state(house) == before
    assert job


def test_no_expression_holds_the_engine_up(house: House, job: str) -> None:
    """Python's re would match some of these for years, and nobody else would be answered meanwhile."""
    endless = "(.|.)*!"
    searches = [f"/containers/{job}/logs?stdout=1&grep={quote(endless)}"]
    for name in ("name", "id"):
        filters = [json.dumps({name: values}) for values in ([endless], {endless: True})]
        searches += [f"/containers/json?all=1&filters={quote(each)}" for each in filters]
    for door in (house.see, house.op):
        for path in searches:
            refused(door("GET", path), {403})
        assert door("GET", f"/containers/{job}/logs?stdout=1&grep=^some%20text.").status == 200
        shown = door("GET", f"/containers/json?all=1&filters={quote(json.dumps({'name': ['^/job$']}))}").json
        assert [each["Names"] for each in shown] == [["/job"]]
    log = {"Type": "json-file", "Config": {"env-regex": endless}}
    refused(house.op("POST", "/containers/create", {"Image": BUSYBOX, "HostConfig": {"LogConfig": log}}), {403})
    assert house.own("GET", f"/containers/{job}/logs?stdout=1&grep={quote('(a|b)+')}").status == 200


def test_lists_events_and_clean_ups_are_of_ones_own(house: House, job: str) -> None:
    house.own("POST", f"/containers/{HIDDEN}/rename?name={HIDDEN}2")
    house.own("POST", f"/containers/{HIDDEN}2/rename?name={HIDDEN}")
    before = state(house)
    everything = ("/containers/json?all=1", "/containers/json?all=1&size=1", "/networks", "/volumes", "/system/df",
                  PAST, "/info", "/kist/info",
                  "/containers/json?all=1&filters=%7B%22network%22%3A%5B%22hidden-net%22%5D%7D",
                  "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22other%22%5D%7D",
                  "/volumes?filters=%7B%22name%22%3A%5B%22hidden%22%5D%7D",
                  f"{PAST}&filters=%7B%22container%22%3A%5B%22hidden-name%22%5D%7D")  # fmt: skip
    for door in (house.op, house.see):
        for path in everything:
            for accept in ("application/json", "application/vnd.kist+json"):
                answer = door("GET", path, Accept=accept)
                Tally.tried += 1
                assert answer.status == 200
                for word in (HIDDEN, house.hidden, "hidden-net", "hidden-vol", SECRET):
                    # The names of images are everybody's, and an operator may look at its own container's environment.
                    if word != SECRET or door is house.see:
                        assert word.encode() not in answer.body, (path, word)
    assert job.encode() in house.see("GET", PAST).body
    for path in ("/containers/prune", "/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D", "/networks/prune",
                 "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D",
                 "/containers/prune?filters=%7B%22label%22%3A%5B%22other%22%5D%7D"):  # fmt: skip
        Tally.tried += 1
        assert house.op("POST", path).status == 200, path
    assert state(house) == before


def test_nobody_plants_something_in_somebody_elses_sight(house: House) -> None:
    """An operator's container is another's only where the other has the very same labels."""
    house.next.kist("create", "--name", "planted", "--label", "ci=1", "--network", "none", BUSYBOX, "true")
    try:
        assert house.next("GET", "/containers/planted/json").json["Config"]["Labels"] == {"ci": "1", "job": "2"}
        assert "No such container" in house.op.refused("rm", "planted")
        house.op.kist("create", "--name", "job", "--label", "job=2", "--network", "none", BUSYBOX, "true")
        assert "No such container" in house.next.refused("rm", "job")
    finally:
        for name in ("planted", "job"):
            house.own("DELETE", f"/containers/{name}?force=1")


def test_every_route_with_a_container_is_checked_before_it_is_taken() -> None:
    """Access says that the container has to be the caller's; a role's view has no others."""
    free = {each.pattern for each in ROUTES if each.pattern.startswith("/containers/{id}") and each.access
            not in {Access.THEIRS, Access.OWNER}}  # fmt: skip
    assert free == set()
