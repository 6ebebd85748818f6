"""Where an engine is asked to listen, as text."""

import pytest

from kist.errors import InvalidInput, Unsupported
from kist.spec.hosts import parse_tcp
from kist.spec.listening import (
    DOCKER_SOCKET,
    Listening,
    TlsFiles,
    check_tls,
    handed_name,
    read_listening,
    tcp_address,
    unix_path,
)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("tcp://localhost:2376", ("localhost", 2376)),
        ("tcp://10.0.0.1", ("10.0.0.1", 1)),
        ("tcp://[::1]:4", ("::1", 4)),
        ("tcp://[fe80::1%eth0]", ("fe80::1%eth0", 1)),
        ("tcp://a.example:65535/", ("a.example", 65535)),
    ],
)
def test_an_address_of_tcp(host: str, address: tuple[str, int]) -> None:
    assert parse_tcp(host, 1) == address


@pytest.mark.parametrize(
    "host",
    ["tcp://", "tcp://:2376", "tcp://a:", "tcp://a:0", "tcp://a:65536", "tcp://a:x", "tcp://a:²", "tcp://[::1", "tcp://[::1]x",
     "tcp://a/b", "tcp://u@a:1", "tcp://a:1:2"],
)  # fmt: skip
def test_what_is_no_address(host: str) -> None:
    with pytest.raises(InvalidInput, match="no address of an engine"):
        parse_tcp(host, 1)


def test_the_kinds_of_hosts() -> None:
    assert unix_path("unix:///a/b") == unix_path("/a/b") == "/a/b"
    assert unix_path("tcp://a:1") == unix_path("fd://") == ""
    assert (handed_name("fd://"), handed_name("fd://*"), handed_name("fd://web")) == ("", "", "web")
    assert handed_name("unix:///fd") is None
    assert tcp_address("tcp://0.0.0.0") == ("0.0.0.0", 2376)
    with pytest.raises(InvalidInput, match="not absolute"):
        unix_path("unix://a")
    with pytest.raises(Unsupported, match="npipe"):
        tcp_address("npipe:////./pipe/docker")


@pytest.mark.parametrize("tls", [TlsFiles(), TlsFiles(ca="/a", cert="/b"), TlsFiles(cert="/b", key="/c")])
def test_tcp_without_mutual_tls_is_refused_with_what_to_do(tls: TlsFiles) -> None:
    with pytest.raises(InvalidInput, match="on loopback neither") as caught:
        check_tls("tcp://127.0.0.1:1", tls)
    assert "remote.md" in caught.value.hint
    check_tls("tcp://127.0.0.1:1", TlsFiles("/a", "/b", "/c"))


def test_the_settings_and_the_command_line_add_up() -> None:
    table = {
        "docker-socket": True,
        "hosts": ["tcp://0.0.0.0", "fd://"],
        "tls-ca": "/ca",
        "tls-cert": "/cert",
        "tls-key": "/key",
    }
    settings = read_listening(table, "lab")
    assert settings == Listening(("tcp://0.0.0.0", "fd://"), DOCKER_SOCKET, "lab", TlsFiles("/ca", "/cert", "/key"))
    both = Listening(("unix:///x", "fd://"), "/y", tls=TlsFiles(ca="/other")).with_defaults(settings)
    assert both == Listening(("unix:///x", "fd://", "tcp://0.0.0.0"), "/y", "lab", TlsFiles("/other", "/cert", "/key"))
    assert read_listening({"docker-socket": "/d"}, "").docker_socket == "/d"
    assert read_listening({}, "") == Listening()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([], "must be a table"),
        ({"docker-sockt": True}, "there is no setting 'docker-sockt': there are docker-socket, hosts, tls-ca"),
        ({"host": []}, "there is no setting 'host'"),
        ({"hosts": "tcp://x"}, "list of texts"),
        ({"docker-socket": "relative"}, "true, false or a path"),
        ({"docker-socket": 1}, "true, false or a path"),
        ({"tls-ca": "ca.pem"}, "absolute"),
    ],
)
def test_what_is_wrong_in_the_settings_is_told(table: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read_listening(table, "")
    assert "[listen]" in caught.value.hint
