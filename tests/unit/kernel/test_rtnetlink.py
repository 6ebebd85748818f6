import errno
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.kernel import netlink, rtnetlink
from kist.kernel.netlink import Request
from kist.kernel.rtnetlink import Address, Link, Route
from refusals import refusal

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the expected bytes are a little-endian machine's")

UP_HEADER = "00 00 0000 00000000 01000000 01000000"
PLAIN_HEADER = "00 00 0000 00000000 00000000 00000000"


@little_endian
@pytest.mark.parametrize(
    ("made", "kind", "flags", "expected"),
    [
        (
            rtnetlink.new_bridge("kist0", mac="02:6b:0a:58:00:01", mtu=1500),
            16,
            0x604,
            UP_HEADER
            + "0a00 0300 6b6973743000 0000"  # IFLA_IFNAME kist0
            + "0a00 0100 026b0a580001 0000"  # IFLA_ADDRESS
            + "0800 0400 dc050000"  # IFLA_MTU
            + "1000 1280 0b00 0100 62726964676500 00",  # IFLA_LINKINFO { IFLA_INFO_KIND bridge }
        ),
        (
            rtnetlink.new_veth("k1", master=9, mtu=1400, peer="eth0", peer_mac="02:00:00:00:00:01", peer_netns=5),
            16,
            0x604,
            UP_HEADER
            + "0700 0300 6b3100 00"  # IFLA_IFNAME k1
            + "0800 0400 78050000"  # IFLA_MTU
            + "0800 0a00 09000000"  # IFLA_MASTER
            + "5000 1280"  # IFLA_LINKINFO
            + "0900 0100 7665746800 000000"  # IFLA_INFO_KIND veth
            + "4000 0280 3c00 0180"  # IFLA_INFO_DATA { VETH_INFO_PEER
            + PLAIN_HEADER
            + "0900 0300 6574683000 000000"  # IFLA_IFNAME eth0
            + "0a00 0100 020000000001 0000"  # IFLA_ADDRESS
            + "0800 0400 78050000"  # IFLA_MTU
            + "0800 1c00 05000000",  # IFLA_NET_NS_FD }
        ),
        (rtnetlink.set_up(7), 16, 0x4, "00 00 0000 07000000 01000000 01000000"),
        (
            rtnetlink.without_link_local(7),
            16,
            0x4,
            "00 00 0000 07000000 00000000 00000000" + "1000 1a80 0c00 0a80 0500 0800 01 000000",
        ),
        (rtnetlink.delete_link("k1"), 17, 0x4, PLAIN_HEADER + "0700 0300 6b3100 00"),
        (
            rtnetlink.add_address(3, "10.88.0.2", 16),
            20,
            0x604,
            "02 10 00 00 03000000" + "0800 0200 0a580002" + "0800 0100 0a580002" + "0800 0400 0a58ffff",
        ),
        (
            rtnetlink.add_default_route("10.88.0.1"),
            24,
            0x604,
            "02 00 00 00 fe 04 00 01 00000000" + "0800 0500 0a580001",
        ),
    ],
)
def test_requests_have_the_kernels_layout(made: Request, kind: int, flags: int, expected: str) -> None:
    assert (made.kind, made.flags, made.body.hex()) == (kind, flags, bytes.fromhex(expected).hex())


def test_a_link_is_decoded() -> None:
    body = struct.pack("=BxHiII", 0, 1, 4, 0x11043, 0) + b"".join(
        (
            netlink.text(3, "kist0"),
            netlink.attribute(1, bytes.fromhex("026b0a580001")),
            netlink.u32(4, 1450),
            netlink.u32(10, 2),
            netlink.nested(18, netlink.text(1, "bridge")),
        )
    )
    assert rtnetlink.decode_link(body) == Link(4, "kist0", True, "02:6b:0a:58:00:01", 1450, 2, "bridge")


def test_a_hardware_link_has_no_kind_and_no_master() -> None:
    link = rtnetlink.decode_link(struct.pack("=BxHiII", 0, 1, 1, 0, 0) + netlink.text(3, "eth7"))
    assert (link.kind, link.master, link.up, link.mac) == ("", 0, False, "")


def test_an_address_is_decoded() -> None:
    body = struct.pack("=BBBBI", 2, 24, 0, 0, 6) + netlink.attribute(1, bytes((10, 0, 0, 9)))
    assert rtnetlink.decode_address(body) == Address(6, "10.0.0.9", 24)
    # On a point-to-point device IFA_ADDRESS is the other side's.
    assert rtnetlink.decode_address(body + netlink.attribute(2, bytes((10, 0, 0, 1)))).address == "10.0.0.1"


def test_a_route_is_decoded() -> None:
    body = struct.pack("=BBBBBBBBI", 2, 16, 0, 0, 254, 2, 253, 1, 0)
    found = body + netlink.attribute(1, bytes((10, 88, 0, 0))) + netlink.u32(4, 3) + netlink.u32(15, 1000)
    assert rtnetlink.decode_route(found) == Route("10.88.0.0/16", "", 3, 1000)


def test_the_default_route_has_no_destination() -> None:
    body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + netlink.attribute(5, bytes((192, 0, 2, 1)))
    assert rtnetlink.decode_route(body) == Route("0.0.0.0/0", "192.0.2.1", 0, 254)


def test_local_and_broadcast_routes_are_left_out() -> None:
    for kind in (2, 3, 5, 6):
        assert rtnetlink.decode_route(struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 255, 2, 254, kind, 0)) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for decode in (rtnetlink.decode_link, rtnetlink.decode_address, rtnetlink.decode_route):
        assert refusal(decode, data) in (None, errno.EBADMSG)
