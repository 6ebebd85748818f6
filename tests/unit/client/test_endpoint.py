"""Where the engine listens."""

import pytest

from kist.client.endpoint import data_root, resolve, run_root
from kist.errors import InvalidInput, Unsupported


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


@pytest.mark.parametrize("host", ["unix:///x/docker.sock", "/x/docker.sock"])
def test_a_foreign_socket_has_no_roots_to_start_an_engine_on(host: str) -> None:
    assert resolve({"DOCKER_HOST": host}, 0).roots is None
    assert resolve({"DOCKER_HOST": "unix:///other"}, 0, host).socket == "/x/docker.sock"


def test_the_own_socket_named_in_full_is_still_the_own() -> None:
    assert resolve({"KIST_RUN": "/a"}, 0, "unix:///a/engine.sock").roots == ("/var/lib/kist", "/a")


@pytest.mark.parametrize("host", ["tcp://localhost:2375", "ssh://me@there", "relative/path", "unix://relative"])
def test_other_hosts_are_not_supported_and_named(host: str) -> None:
    with pytest.raises(Unsupported, match="only Unix sockets") as caught:
        resolve({}, 0, host)
    assert host in str(caught.value)


def test_a_path_that_the_kernel_cannot_hold_is_told() -> None:
    with pytest.raises(InvalidInput, match="107"):
        resolve({"KIST_RUN": "/" + "x" * 120}, 0)
