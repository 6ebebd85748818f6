import struct

import pytest

from kist.kernel import netlink, port_elements
from kist.kernel.port_elements import ANYWHERE, ON_ADDRESS, element

TCP, UDP = b"\x06\0\0\0", b"\x11\0\0\0"


def port(number: int) -> bytes:
    return struct.pack("!H2x", number)


V6 = bytes.fromhex("20010db8" + "0" * 23 + "1")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            ("0.0.0.0", "tcp", 8080, "10.88.0.2", 80),
            ("ip", ANYWHERE, TCP + port(8080), b"\x0a\x58\0\2" + port(80)),
        ),
        (
            ("192.0.2.1", "udp", 53, "10.88.0.2", 5353),
            ("ip", ON_ADDRESS, UDP + b"\xc0\0\2\1" + port(53), b"\x0a\x58\0\2" + port(5353)),
        ),
        (("::", "tcp", 8080, "2001:db8::1", 80), ("ip6", ANYWHERE, TCP + port(8080), V6 + port(80))),
        (("2001:db8::1", "tcp", 8080, "2001:db8::1", 80), ("ip6", ON_ADDRESS, TCP + V6 + port(8080), V6 + port(80))),
    ],
)
def test_a_port_is_an_element_of_the_map_of_its_address(
    asked: tuple[str, str, int, str, int], expected: tuple[str, str, bytes, bytes]
) -> None:
    assert element(*asked) == expected


@pytest.mark.parametrize(
    ("host_ip", "address"),
    [("127.0.0.1", "10.88.0.2"), ("127.3.2.1", "10.88.0.2"), ("::1", "fd00::2"), ("::", "10.88.0.2"),
     ("0.0.0.0", "fd00::2"), ("0.0.0.0", "")],
)  # fmt: skip
def test_loopback_and_two_families_are_not_the_kernels(host_ip: str, address: str) -> None:
    assert element(host_ip, "tcp", 80, address, 80) is None


def test_a_message_names_table_and_map_and_holds_a_bounded_number_of_elements() -> None:
    asked = [element("0.0.0.0", "tcp", 10_000 + number, "10.88.0.2", 80) for number in range(1000)]
    bodies = port_elements._bodies([each for each in asked if each is not None], "web")
    assert len(bodies) == 3
    found = []
    for body in bodies:
        told = netlink.attributes(body[4:])
        assert (netlink.string(told[1]), netlink.string(told[2])) == ("kist-ports", ANYWHERE)
        assert len(told[3]) < 1 << 16
        found += [each for _, each in port_elements._decoded("ip", ANYWHERE, body)]
    assert found == asked
