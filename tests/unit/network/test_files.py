import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput
from kist.network import files
from kist.spec.networking import NOTHING, Networking

HOST = "nameserver 192.0.2.1\nsearch example.org lab.example.org\noptions ndots:2 timeout:1\n"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Networking(dns=("198.51.100.1", "198.51.100.2")), [
            "nameserver 198.51.100.1", "nameserver 198.51.100.2", "search example.org lab.example.org",
            "options ndots:2 timeout:1"]),
        (Networking(dns_search=("a.org", "b.org")), [
            "nameserver 192.0.2.1", "search a.org b.org", "options ndots:2 timeout:1"]),
        (Networking(dns_search=(".",)), ["nameserver 192.0.2.1", "options ndots:2 timeout:1"]),
        (Networking(dns_options=("rotate", "attempts:3")), [
            "nameserver 192.0.2.1", "search example.org lab.example.org", "options rotate attempts:3"]),
    ],
)  # fmt: skip
def test_what_is_asked_for_stands_in_place_of_what_the_host_has(wanted: Networking, expected: list[str]) -> None:
    assert files.resolv_file(HOST, wanted=wanted).splitlines() == expected
    assert files.host_resolv_file(HOST, wanted).splitlines() == expected


def test_a_resolver_of_the_network_stands_for_those_on_the_hosts_loopback() -> None:
    loopback = "nameserver 127.0.0.53\nsearch example.org\n"
    assert files.resolv_file(loopback, resolver="10.0.2.3") == "nameserver 10.0.2.3\nsearch example.org\n"
    asked = Networking(dns=("198.51.100.1",))
    assert files.resolv_file(loopback, wanted=asked, resolver="10.0.2.3").splitlines()[0] == "nameserver 198.51.100.1"
    assert files.resolv_file(HOST, resolver="10.0.2.3").splitlines()[0] == "nameserver 192.0.2.1"


def test_in_the_hosts_network_the_file_is_the_hosts_own() -> None:
    loopback = "nameserver 127.0.0.53\n# as it is\n"
    assert files.host_resolv_file(loopback, Networking()) == loopback
    assert (
        files.host_resolv_file(loopback, Networking(dns_search=("a.org",))) == "nameserver 127.0.0.53\nsearch a.org\n"
    )


def test_hosts_has_the_full_name_and_what_was_added() -> None:
    text = files.hosts_file("box", ["10.88.0.2/16"], "example.org", [("192.0.2.9", "db"), ("2001:db8::1", "six")])
    assert text.splitlines()[-3:] == ["192.0.2.9\tdb", "2001:db8::1\tsix", "10.88.0.2\tbox.example.org box"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:192.0.2.9", ("192.0.2.9", "db")),
        ("db=192.0.2.9", ("192.0.2.9", "db")),
        ("six:2001:db8::1", ("2001:db8::1", "six")),
        ("six=[2001:db8::1]", ("2001:db8::1", "six")),
        ("host:host-gateway", ("10.88.0.1", "host")),
    ],
)
def test_an_added_host(text: str, expected: tuple[str, str]) -> None:
    assert files.read_extra_host(text, "10.88.0.1") == expected


@pytest.mark.parametrize("text", ["", "db", "db:", ":192.0.2.9", "db:there", "d b:192.0.2.9", "db:192.0.2.9 x"])
def test_an_added_host_that_cannot_be_right_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="add-host"):
        files.read_extra_host(text)


RESOLVED = "# made by systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org\n"
UPSTREAM = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch lab.example.org example.org\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("nameserver 192.0.2.1\nnameserver\t198.51.100.1  \n", ["192.0.2.1", "198.51.100.1"]),
        (RESOLVED, []),
        (UPSTREAM, ["192.0.2.53", "2001:db8::53"]),
        ("nameserver ::1\nnameserver 127.0.0.1\nnameserver 192.0.2.1 # inside\n", ["192.0.2.1"]),
        ("nameserver fe80::1%eth0\nnameserver 0.0.0.0\nnameserver one.example\n", []),
        (
            "#nameserver 192.0.2.1\n; nameserver 192.0.2.2\n nameserver 192.0.2.3\nnameserver\nnameservers 192.0.2.4\n",
            [],
        ),
    ],
)
def test_only_name_servers_that_a_container_can_reach_are_taken(text: str, expected: list[str]) -> None:
    assert files.host_resolvers(text) == expected


@given(st.text())
def test_any_resolv_conf_gives_a_resolv_conf(text: str) -> None:
    made = files.resolv_file(text)
    assert files.host_resolvers(made) == files.host_resolvers(text)


@pytest.mark.parametrize(
    ("host", "upstream", "expected"),
    [
        (RESOLVED, UPSTREAM, "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch lab.example.org example.org\n"),
        (UPSTREAM, "nameserver 192.0.2.99\n", UPSTREAM),
        (
            "nameserver 192.0.2.1\nsearch a b\noptions ndots:2\noptions timeout:1\n",
            "",
            "nameserver 192.0.2.1\nsearch a b\noptions ndots:2\noptions timeout:1\n",
        ),
        (
            RESOLVED,
            "",
            "# The host has no name server that can be reached\nsearch example.org\noptions edns0 trust-ad\n",
        ),
    ],
)
def test_the_containers_resolv_conf(host: str, upstream: str, expected: str) -> None:
    assert files.resolv_file(host, upstream) == expected


def test_the_containers_hosts_and_hostname() -> None:
    lines = files.hosts_file("box", ["10.88.0.2/16", "fd00::2/64"]).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-2:] == ["10.88.0.2\tbox", "fd00::2\tbox"]
    assert files.hosts_file("box").splitlines()[-1] == "127.0.1.1\tbox"
    assert files.hostname_file("box") == "box\n"


SERVED = "127.0.0.11"


@pytest.mark.parametrize(
    ("host", "wanted", "expected"),
    [
        (HOST, NOTHING, ["search example.org lab.example.org", "options ndots:2 timeout:1"]),
        ("nameserver 192.0.2.1\n", NOTHING, ["options ndots:0"]),
        ("options edns0\n", NOTHING, ["options ndots:0 edns0"]),
        ("options edns0\noptions rotate\n", NOTHING, ["options ndots:0 edns0", "options rotate"]),
        ("search options lan\n", NOTHING, ["search options lan", "options ndots:0"]),
        ("search ndots:x\noptions edns0\n", NOTHING, ["search ndots:x", "options ndots:0 edns0"]),
        (HOST, Networking(dns=("192.0.2.7",), dns_search=(".",)), ["options ndots:2 timeout:1"]),
        (HOST, Networking(dns_search=("a.org",), dns_options=("rotate",)), ["search a.org", "options ndots:0 rotate"]),
    ],
)
def test_a_container_asks_a_name_server_of_its_own(host: str, wanted: Networking, expected: list[str]) -> None:
    assert files.served_resolv_file(host, SERVED, wanted).splitlines() == [f"nameserver {SERVED}", *expected]


def test_a_loopback_server_is_in_the_container() -> None:
    alone, both = Networking(dns=("127.0.0.1",)), Networking(dns=("127.0.0.1", "192.0.2.7", "::1"))
    assert files.served_resolv_file("", SERVED, alone).splitlines()[:-1] == ["nameserver 127.0.0.1"]
    lines = files.served_resolv_file("", SERVED, both).splitlines()
    assert lines[:-1] == ["nameserver 127.0.0.1", "nameserver ::1", f"nameserver {SERVED}"]
    assert files.servers_outside(both.dns) == ["192.0.2.7"]
