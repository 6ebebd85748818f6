"""Where the engine listens."""

import shlex
import shutil
from pathlib import Path

import pytest

from kist.client.contexts import Store
from kist.client.endpoint import data_root, resolve, run_root
from kist.client.ssh import remote_command
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.hosts import parse_ssh


def test_the_default_roots() -> None:
    assert run_root({}, 0) == "/run/kist"
    assert data_root({}, 0) == "/var/lib/kist"
    assert run_root({"XDG_RUNTIME_DIR": "/r"}, 1000) == "/r/kist"
    assert run_root({}, 1000) == "/tmp/kist-run-1000/kist"
    assert data_root({"XDG_DATA_HOME": "/d"}, 1000) == "/d/kist"
    assert data_root({"HOME": "/h"}, 1000) == "/h/.local/share/kist"


def test_a_user_without_a_home_is_told() -> None:
    with pytest.raises(InvalidInput, match="HOME"):
        data_root({}, 1000)


def test_the_environment_chooses_the_roots() -> None:
    endpoint = resolve({"KIST_RUN": "/a", "KIST_ROOT": "/b"}, 0)
    assert (endpoint.socket, endpoint.roots) == ("/a/engine.sock", ("/b", "/a"))


def test_roots_are_named_from_the_working_directory_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a shell takes for a path is one here."""
    monkeypatch.chdir(tmp_path)
    endpoint = resolve({"KIST_RUN": "run", "KIST_ROOT": "./data/"}, 0)
    assert (endpoint.socket, endpoint.roots) == (f"{tmp_path}/run/engine.sock", (f"{tmp_path}/data", f"{tmp_path}/run"))


@pytest.mark.parametrize("host", ["unix:///x/docker.sock", "/x/docker.sock"])
def test_a_foreign_socket_has_no_roots_to_start_an_engine_on(host: str) -> None:
    assert resolve({"DOCKER_HOST": host}, 0).roots is None
    assert resolve({"DOCKER_HOST": "unix:///other"}, 0, host).socket == "/x/docker.sock"


def test_the_own_socket_named_in_full_is_still_the_own() -> None:
    assert resolve({"KIST_RUN": "/a"}, 0, "unix:///a/engine.sock").roots == ("/var/lib/kist", "/a")


@pytest.mark.parametrize("host", ["npipe:////./pipe/x", "relative/path", "unix://relative", "http://there"])
def test_other_hosts_are_not_supported_and_named(host: str) -> None:
    with pytest.raises(Unsupported, match="cannot connect") as caught:
        resolve({}, 0, host)
    assert host in str(caught.value)


def test_a_host_on_another_machine_has_no_socket_here() -> None:
    for host in ("tcp://there:1", "ssh://me@there"):
        endpoint = resolve({"DOCKER_HOST": host}, 0)
        assert (endpoint.host, endpoint.socket, endpoint.roots, endpoint.tls) == (host, "", None, None)


def test_the_environment_names_the_certificates(tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": "tcp://there:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": str(tmp_path)}
    tls = resolve(environment, 0).tls
    assert tls is not None
    assert (tls.ca, tls.cert, tls.key, tls.verify) == (f"{tmp_path}/ca.pem", "", "", True)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    tls = resolve({**environment, "DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "1"}, 0).tls
    assert tls is not None
    assert (tls.cert, tls.key, tls.verify) == (f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem", False)
    assert resolve({**environment, "DOCKER_CERT_PATH": "/c"}, 0, "tcp://a").tls.ca == "/c/ca.pem"  # type: ignore[union-attr]


def test_a_host_or_a_context_is_chosen_in_dockers_order(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("one", "two"):
        store.create(name, {"Endpoints": {"docker": {"Host": f"unix:///{name}"}}}, {})
    environment = {"DOCKER_CONFIG": str(tmp_path), "KIST_ROOT": "/data"}
    own = "unix:///run/kist/engine.sock"
    assert resolve(environment, 0).host == own
    store.use("one")
    assert resolve(environment, 0).host == "unix:///one"
    assert resolve({**environment, "DOCKER_CONTEXT": "two"}, 0).host == "unix:///two"
    assert resolve({**environment, "DOCKER_CONTEXT": "two"}, 0, context="one").host == "unix:///one"
    assert resolve({**environment, "DOCKER_CONTEXT": "two", "DOCKER_HOST": "unix:///three"}, 0).host == "unix:///three"
    assert resolve({**environment, "DOCKER_HOST": "unix:///three"}, 0, context="two").host == "unix:///two"
    assert resolve({**environment, "DOCKER_CONTEXT": "two"}, 0, "unix:///four").host == "unix:///four"
    assert resolve(environment, 0, context="default").host == own
    # Who names a run root has named an engine: the stored context gives way to it, what is said now does not.
    named = {**environment, "KIST_RUN": "/run/own"}
    assert resolve(named, 0).host == "unix:///run/own/engine.sock"
    assert resolve({**named, "DOCKER_CONTEXT": "two"}, 0).host == "unix:///two"
    assert resolve({**named, "DOCKER_HOST": "unix:///three"}, 0).host == "unix:///three"
    assert resolve(named, 0, context="one").host == "unix:///one"
    assert resolve(named, 0, "unix:///four").host == "unix:///four"
    with pytest.raises(InvalidInput, match="both --host and --context"):
        resolve(environment, 0, "unix:///four", context="one")
    with pytest.raises(NotFound, match='context "three" does not exist') as caught:
        resolve({**environment, "DOCKER_CONTEXT": "three"}, 0)
    assert "default, one, two" in caught.value.hint
    assert caught.value.hint.startswith("unset DOCKER_CONTEXT goes back")
    store.use("two")
    shutil.rmtree(tmp_path / "contexts")  # as another client removes one
    with pytest.raises(NotFound) as caught:
        resolve(environment, 0)
    assert caught.value.hint.startswith("`kist context use default` goes back")
    store.use("default")
    assert resolve(environment, 0).host == own


def test_a_configuration_that_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InvalidInput, match="is not JSON"):
        resolve({"DOCKER_CONFIG": str(tmp_path)}, 0)


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("ssh://there", ("", "there", 0, "")),
        ("ssh://me@there:22", ("me", "there", 22, "")),
        ("ssh://me@[::1]:22/", ("me", "::1", 22, "")),
        ("ssh://there/run/kist/engine.sock", ("", "there", 0, "/run/kist/engine.sock")),
    ],
)
def test_a_host_for_ssh(host: str, parts: tuple[str, str, int, str]) -> None:
    found = parse_ssh(host)
    assert (found.user, found.host, found.port, found.path) == parts


@pytest.mark.parametrize(
    "host", ["ssh://", "ssh://@a", "ssh://-oProxyCommand=x", "ssh://-l@a", "ssh://me:pw@a", "ssh://a?b", "ssh:///x"]
)
def test_what_is_no_host_for_ssh(host: str) -> None:
    with pytest.raises(InvalidInput):
        parse_ssh(host)


def test_the_other_machine_is_asked_for_kist_then_for_docker() -> None:
    script = "command -v kist >/dev/null 2>&1 && exec kist system dial-stdio; exec docker system dial-stdio"
    assert shlex.split(remote_command("")) == ["sh", "-c", script]
    inner = shlex.split(remote_command("/a b'c"))[2]
    assert "unix:///a b'c" in shlex.split(inner)


def test_a_path_that_the_kernel_cannot_hold_is_told() -> None:
    with pytest.raises(InvalidInput, match="107"):
        resolve({"KIST_RUN": "/" + "x" * 120}, 0)
