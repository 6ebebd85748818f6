import pytest

from kist.errors import Conflict, InvalidInput
from kist.network import files, plan
from kist.spec.networking import Networking

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
    text = files.hosts_file("box", "10.88.0.2/16", "example.org", [("192.0.2.9", "db"), ("2001:db8::1", "six")])
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


def test_an_address_that_was_asked_for() -> None:
    assert plan.fixed_address("10.88.0.0/16", "10.88.0.1", {"10.88.0.2"}, "10.88.7.7") == "10.88.7.7"


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ("10.88.0.1", Conflict, "already in use"),
        ("10.88.0.2", Conflict, "already in use"),
        ("10.89.0.1", InvalidInput, "not one of the network's"),
        ("10.88.0.0", InvalidInput, "not one of the network's"),
        ("10.88.255.255", InvalidInput, "not one of the network's"),
        ("here", InvalidInput, "invalid IPv4 address: here"),
    ],
)
def test_an_address_that_cannot_be_had(wanted: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan.fixed_address("10.88.0.0/16", "10.88.0.1", {"10.88.0.2/16"}, wanted)
