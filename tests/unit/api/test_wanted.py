"""Which places an engine listens at, and what a service manager hands it."""

import os
import socket
from pathlib import Path

import pytest

from kist.api.activation import STOPPING, Manager, take_sockets
from kist.api.places import Callers, Inherited, Tcp, UnixPath, place_at
from kist.api.wanted import places_wanted
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.listening import Listening, TlsFiles
from kist.spec.scope import read_socket

TLS = TlsFiles("/ca", "/cert", "/key")
OWN = UnixPath("/r/engine.sock")


def test_the_own_socket_is_always_there_and_others_beside_it() -> None:
    asked = Listening(("unix:///a", "tcp://[::1]:5"), tls=TLS)
    assert places_wanted(Listening(), (), "/r", root=False) == [OWN]
    assert places_wanted(asked, (), "/r", root=False) == [OWN, UnixPath("/a"), Tcp("::1", 5, TLS)]


def test_who_calls_over_tls_is_the_owner_and_on_a_socket_whoever_the_kernel_says() -> None:
    assert place_at(Tcp("x", 1, TLS)).callers is place_at(Inherited(3, tls=TLS)).callers is Callers.OWNER
    assert place_at(UnixPath("/a")).callers is place_at(Inherited(3)).callers is Callers.PEERS
    assert [str(each) for each in (Tcp("::1", 1, TLS), Tcp("a", 1, TLS), OWN, Inherited(3))] == [
        "tcp://[::1]:1",
        "tcp://a:1",
        "unix:///r/engine.sock",
        "fd://3",
    ]


@pytest.mark.parametrize("asked", [Listening(docker_socket="/d"), Listening(group="root")])
def test_an_ordinary_users_engine_is_for_nobody_else(asked: Listening, tmp_path: Path) -> None:
    with pytest.raises(Unsupported) as caught:
        places_wanted(asked, (), str(tmp_path / "r"), root=False)
    assert caught.value.hint


def test_dockers_socket_is_the_groups_that_is_named(tmp_path: Path) -> None:
    run_root = str(tmp_path / "r")
    found = places_wanted(Listening(docker_socket="/d", group="root"), (), run_root, root=True)
    assert UnixPath("/d", 0) in found
    with pytest.raises(NotFound, match="no group 'kist-nobodys'"):
        places_wanted(Listening(docker_socket="/d", group="kist-nobodys"), (), run_root, root=True)


def test_a_socket_that_was_handed_over_takes_the_place_of_ones_own(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        path = str(tmp_path / "engine.sock")
        made.bind(path)
        given = Inherited(made.fileno(), "web", path)
        assert places_wanted(Listening(("fd://web",)), (given,), str(tmp_path), root=False) == [given]
        with pytest.raises(InvalidInput, match="fd://other: no such socket"):
            places_wanted(Listening(("fd://other",)), (given,), str(tmp_path), root=False)


def test_a_socket_with_a_role_is_not_one_that_was_handed_over(tmp_path: Path) -> None:
    """It would be served without the role: by it, root would be root."""
    path = str(tmp_path / "ci.sock")
    asked = Listening(sockets=(read_socket(path, "read-only", ()),))
    with pytest.raises(InvalidInput, match=r"ci\.sock cannot have a role: it was handed over"):
        places_wanted(asked, (Inherited(9, "ci", path),), str(tmp_path), root=True)


@pytest.mark.parametrize(
    "asked",
    [
        Listening(sockets=(read_socket("/r/engine.sock", "read-only", ()),)),
        Listening(("unix:///r/../r/engine.sock",)),
        Listening(("unix:///d",), docker_socket="/d"),
    ],
)
def test_a_path_is_one_socket(asked: Listening) -> None:
    with pytest.raises(InvalidInput, match="is asked for twice"):
        places_wanted(asked, (), "/r", root=True)


def test_a_port_that_was_handed_over_wants_certificates_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        given = Inherited(made.fileno())
        with pytest.raises(InvalidInput, match="mutual TLS"):
            places_wanted(Listening(), (given,), "/r", root=False)
        assert places_wanted(Listening(tls=TLS), (given,), "/r", root=False)[1] == Inherited(given.descriptor, tls=TLS)


def test_sockets_are_handed_to_one_process_and_the_environment_forgets_it() -> None:
    environment = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
    assert take_sockets(environment, 8) == ()
    assert environment == {"PATH": "/bin"}


def test_what_was_handed_over_and_does_not_listen_is_told() -> None:
    # Descriptor 3 of this process is whatever it is; of a fork, a pipe.
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.pipe()[0], 3)
            take_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}, 7)
        except InvalidInput as error:
            code = 0 if "descriptor 3 (web)" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("abstract", [True, False])
def test_the_manager_is_told(tmp_path: Path, abstract: bool) -> None:
    address = f"@kist-{tmp_path.name}-{os.getpid()}" if abstract else str(tmp_path / "n")
    environment = {"NOTIFY_SOCKET": address}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(address.replace("@", "\0"))
        hears.settimeout(10)
        Manager(environment).tell(STOPPING)
        assert hears.recv(100) == b"STOPPING=1"
    assert environment == {}


def test_a_manager_who_does_not_hear_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Manager({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell(STOPPING)
    Manager({}).tell(STOPPING)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
