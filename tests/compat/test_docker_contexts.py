"""Contexts are shared: what Docker's client makes, Kist's has, and the other way round."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import certificates
from kist.client.contexts import Store
from ordinary import KIST

DOCKER = shutil.which("docker")
needs_docker = pytest.mark.skipif(DOCKER is None, reason="needs a docker client (Debian: docker.io)")
Ask = Callable[..., str]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("pem"))


@pytest.fixture
def ask(tmp_path: Path, pem: Path) -> Ask:
    """Run ``kist`` or ``docker`` with a configuration of the test's own; its standard output.

    There is no ``KIST_RUN``, before which no current context holds. Nothing here calls an engine that is there.
    """
    own = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "KIST_ROOT": str(tmp_path / "data")}
    environment = {**os.environ, **own, "DOCKER_CONFIG": str(tmp_path / "config"), "NO_COLOR": "1"}
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "KIST_RUN"):
        environment.pop(name, None)

    def run(program: str, *words: str, code: int = 0, stdin: bytes = b"", **variables: str) -> str:
        command = [*(KIST if program == "kist" else (program,)), *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, cwd=tmp_path, env={**environment, **variables}, check=False
        )
        assert done.returncode == code, (command, done)
        return (done.stdout if code == 0 else done.stderr).decode(errors="surrogateescape").rstrip("\n")

    for name in ("ca", "cert", "key"):
        shutil.copy(pem / f"{name}.pem", tmp_path)
    return run


LAB = "host=tcp://lab:2376,ca=ca.pem,cert=cert.pem,key=key.pem"


@needs_docker
@pytest.mark.parametrize(("maker", "other"), [("docker", "kist"), ("kist", "docker")])
def test_what_one_client_makes_the_other_one_has(ask: Ask, tmp_path: Path, maker: str, other: str) -> None:
    ask(maker, "context", "create", "lab", "--description", "a lab's", "--docker", LAB)
    ask(maker, "context", "create", "near", "--docker", "host=unix:///near.sock")
    ask(maker, "context", "use", "lab")
    shown = [json.loads(ask(each, "context", "inspect", "lab", "near")) for each in (maker, other)]
    assert shown[0] == shown[1]
    assert shown[0][0]["TLSMaterial"] == {"docker": ["ca.pem", "cert.pem", "key.pem"]}
    listed = [
        ask(each, "context", "ls", "--format", "{{.Name}} {{.Current}} {{.DockerEndpoint}}") for each in (maker, other)
    ]
    assert [text.splitlines()[1:] for text in listed] == [
        ["lab true tcp://lab:2376", "near false unix:///near.sock"]
    ] * 2
    assert ask(other, "context", "show") == "lab"
    # The other one takes it on, and away.
    ask(other, "context", "update", "lab", "--docker", "host=tcp://elsewhere:1")
    changed = json.loads(ask(maker, "context", "inspect", "lab"))[0]
    assert (changed["Endpoints"]["docker"]["Host"], changed["TLSMaterial"]) == ("tcp://elsewhere:1", {})
    assert changed["Metadata"] == {"Description": "a lab's"}
    assert "is in use" in ask(other, "context", "rm", "lab", code=1)
    ask(other, "context", "rm", "-f", "lab", "near")
    assert ask(maker, "context", "ls", "-q") == "default"
    assert ask(maker, "context", "show") == "default"
    assert not list((tmp_path / "config").rglob("*.pem"))


@needs_docker
@pytest.mark.parametrize(("maker", "other"), [("docker", "kist"), ("kist", "docker")])
def test_what_one_client_exports_the_other_one_imports(ask: Ask, tmp_path: Path, maker: str, other: str) -> None:
    ask(maker, "context", "create", "lab", "--description", "a lab's", "--docker", LAB)
    ask(maker, "context", "export", "lab")
    ask(other, "context", "import", "again", "lab.dockercontext")
    found = json.loads(ask(maker, "context", "inspect", "again"))[0]
    assert (found["Metadata"], found["Endpoints"]["docker"]["Host"]) == ({"Description": "a lab's"}, "tcp://lab:2376")
    key = Path(found["Storage"]["TLSPath"]) / "docker" / "key.pem"
    assert key.read_bytes() == (tmp_path / "key.pem").read_bytes()
    assert "lab.dockercontext" in ask(maker, "context", "export", "lab", code=1)
    assert (tmp_path / "lab.dockercontext").stat().st_mode & 0o077 == 0


@needs_docker
def test_the_order_of_host_and_context_is_dockers(ask: Ask, tmp_path: Path) -> None:
    for name in ("one", "two"):
        ask("docker", "context", "create", name, "--docker", f"host=unix:///{name}")
    ask("docker", "context", "use", "one")
    for words, variables in (
        ((), {}),
        ((), {"DOCKER_CONTEXT": "two"}),
        ((), {"DOCKER_HOST": "unix:///three", "DOCKER_CONTEXT": "two"}),
        (("-c", "two"), {"DOCKER_HOST": "unix:///three"}),
        (("-H", "unix:///four"), {"DOCKER_CONTEXT": "two"}),
        (("-c", "default"), {"DOCKER_HOST": "unix:///three"}),
    ):
        answers = []
        for each in ("docker", "kist"):
            names = ask(each, *words, "context", "show", **variables)
            said = ask(each, *words, "ps", code=1, **variables)
            answers.append((names, said[said.index("unix://") :].split(":")[1].split(".")[0].split(" ")[0]))
        assert answers[0][0] == answers[1][0], (words, variables)
        if "/var/run" not in answers[0][1]:
            assert answers[0][1] == answers[1][1], (words, variables)
    # A run root that is named is an engine that is named; Docker's client does not know it.
    here = f"unix://{tmp_path}/mine/engine.sock"
    mine = {"KIST_RUN": str(tmp_path / "mine")}
    assert ask("kist", "context", "show", **mine) == "default"
    assert ask("kist", "context", "inspect", "-f", "{{.Endpoints.docker.Host}}", **mine) == here
    assert ask("kist", "context", "show", **mine, DOCKER_CONTEXT="two") == "two"
    assert "unix:///three" in ask("kist", "ps", code=1, **mine, DOCKER_HOST="unix:///three")
    assert "both --host and --context" in ask("kist", "-H", "unix:///x", "-c", "one", "ps", code=1)
    assert 'context "three" does not exist' in ask("kist", "-c", "three", "ps", code=1)
    assert 'context "three" does not exist' in ask("kist", "ps", code=1, DOCKER_CONTEXT="three")


def test_a_broken_context_is_told_and_the_others_are_listed(ask: Ask, tmp_path: Path) -> None:
    for name in ("one", "two"):
        ask("kist", "context", "create", name, "--docker", f"host=unix:///{name}")
    file = Path(Store(str(tmp_path / "config")).get("one").meta_directory) / "meta.json"
    file.write_text("{", encoding="ascii")
    assert ask("kist", "context", "ls", "-q") == "default\ntwo"
    assert str(file) in ask("kist", "context", "ls", "--format", "{{.Error}}", DOCKER_CONTEXT="one")
    assert f"{file} cannot be read" in ask("kist", "-c", "one", "ps", code=1)


def test_a_new_context_is_as_what_holds_or_as_another_one(ask: Ask, tmp_path: Path) -> None:
    def host(name: str) -> str:
        return ask("kist", "context", "inspect", "-f", "{{.Endpoints.docker.Host}}", name, **mine)

    mine = {"KIST_RUN": str(tmp_path / "run")}
    ask("kist", "context", "create", "own", **mine)
    assert host("own") == host("default") == f"unix://{tmp_path}/run/engine.sock"
    ask("kist", "context", "create", "far", "--docker", "host=ssh://me@far", "--description", "far away")
    ask("kist", "context", "create", "copy", "--from", "far")
    ask("kist", "context", "create", "like", "--docker", "from=far")
    shown = [ask("kist", "context", "inspect", "-f", "{{json .Metadata}}", name) for name in ("copy", "like")]
    assert shown == ['{"Description":"far away"}', "{}"]
    assert host("copy") == host("like") == "ssh://me@far"
    files = {"DOCKER_HOST": "tcp://a:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    ask("kist", "context", "create", "tls", **files)
    assert (
        ask("kist", "context", "inspect", "-f", "{{json .TLSMaterial}}", "tls")
        == '{"docker":["ca.pem","cert.pem","key.pem"]}'
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "default"), "is a reserved context name"),
        (("create", "a b"), "is invalid"),
        (("create", "x/../y"), "is invalid"),
        (("create", "far"), "already exists"),
        (("create", "new", "--docker", "hots=x"), "unrecognized config key: hots"),
        (("create", "new", "--docker", "host=npipe://x"), "cannot connect to the host"),
        (("create", "new", "--docker", "host=tcp://a:b"), "no address of an engine"),
        (("create", "new", "--docker", "host=tcp://a,cert=cert.pem"), "go together"),
        (("create", "new", "--docker", "host=tcp://a,ca=nowhere.pem"), "nowhere.pem"),
        (("create", "new", "--docker", "host=tcp://a,ca=key.pem"), "TLS cannot be set up with key.pem"),
        (("create", "new", "--docker", "host=tcp://a", "--from", "far"), "exclude each other"),
        (("create", "new", "--from", "nobody"), "does not exist"),
        (("use", "nobody"), "does not exist"),
        (("update", "nobody"), "does not exist"),
        (("inspect", "nobody"), "does not exist"),
        (("inspect", ".."), "does not exist"),
        (("rm", "nobody"), "does not exist"),
        (("rm", "default"), "cannot be removed"),
        (("export", "default"), "cannot be exported"),
        (("import", "new", "ca.pem"), "is no context"),
    ],
)
def test_what_cannot_be_is_told(ask: Ask, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    Store(str(tmp_path / "config")).create("far", {"Endpoints": {"docker": {"Host": "ssh://far"}}}, {})
    done = ask("kist", "context", *words, code=125 if "exclude" in said or "config key" in said else 1)
    assert said in done


def archive(files: dict[str, bytes], kind: str = "tar") -> bytes:
    made = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(made, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return made.getvalue()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


META = json.dumps({"Name": "x", "Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://a:1"}}}).encode()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_context_comes_from_a_tar_or_a_zip(ask: Ask, kind: str) -> None:
    ask("kist", "context", "import", "new", "-", stdin=archive({"meta.json": META, "tls/docker/ca.pem": b"ca"}, kind))
    found: Any = json.loads(ask("kist", "context", "inspect", "new"))[0]
    assert (found["Name"], found["TLSMaterial"]) == ("new", {"docker": ["ca.pem"]})


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(
    "files",
    [
        {"tls/docker/ca.pem": b"ca"},
        {"meta.json": b"[]"},
        {"meta.json": b"{"},
        {"meta.json": META, "tls/docker/../../../../config.json": b"{}"},
        {"meta.json": META, "tls/docker/..": b"{}"},
        {"meta.json": META, "/etc/x": b""},
        {"meta.json": META, "tls/kubernetes/ca.pem": b""},
    ],
)
def test_what_is_no_context_leaves_nothing(ask: Ask, tmp_path: Path, files: dict[str, bytes], kind: str) -> None:
    assert "no context" in ask("kist", "context", "import", "new", "-", stdin=archive(files, kind), code=1)
    assert not (tmp_path / "config").exists()
