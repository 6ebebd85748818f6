import errno
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.kernel import netlink
from kist.kernel.netlink import Message, Request
from refusals import refusal

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the expected bytes are a little-endian machine's")


@little_endian
@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (netlink.attribute(3, b""), "0400 0300"),
        (netlink.attribute(3, b"\x01"), "0500 0300 01 000000"),
        (netlink.attribute(3, b"\x01\x02\x03\x04"), "0800 0300 01020304"),
        (netlink.text(3, "lo"), "0700 0300 6c6f00 00"),
        (netlink.text(3, "eth"), "0800 0300 65746800"),
        (netlink.u32(4, 1500), "0800 0400 dc050000"),
        (netlink.nested(18), "0400 1280"),
        (netlink.nested(18, netlink.u32(1, 2)), "0c00 1280 0800 0100 02000000"),
    ],
)
def test_attributes_have_the_kernels_layout(made: bytes, expected: str) -> None:
    assert made == bytes.fromhex(expected)


@little_endian
def test_a_message_has_header_request_flag_and_padding() -> None:
    framed = netlink.frame(Request(kind=16, flags=netlink.NLM_F_ACK, body=b"\xaa\xbb"), sequence=7)
    assert framed == bytes.fromhex("12000000 1000 0500 07000000 00000000 aabb 0000")


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=300))))
def test_attributes_come_back_as_they_were(wanted: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink.attribute(kind, payload) for kind, payload in wanted)
    assert list(netlink.members(data)) == wanted
    assert netlink.attributes(data) == dict(wanted)


@given(st.lists(st.tuples(st.integers(16, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=300))))
def test_messages_come_back_as_they_were(wanted: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(
        netlink.frame(Request(kind, flags, body), number) for number, (kind, flags, body) in enumerate(wanted)
    )
    assert list(netlink.messages(data)) == [
        Message(kind, flags | netlink.NLM_F_REQUEST, number, body) for number, (kind, flags, body) in enumerate(wanted)
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    assert refusal(lambda given: list(netlink.messages(given)), data) in (None, errno.EBADMSG)
    assert refusal(netlink.attributes, data) in (None, errno.EBADMSG)


@pytest.mark.parametrize("length", [0, 15, 21, 0xFFFFFFFF])
def test_a_message_with_an_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(OSError, match="malformed netlink message"):
        list(netlink.messages(struct.pack("=IHHII", length, 16, 0, 1, 0) + bytes(4)))


def test_the_nested_flag_is_not_part_of_the_type() -> None:
    assert netlink.attributes(netlink.nested(18, netlink.u32(1, 2))) == {18: netlink.u32(1, 2)}


def acknowledgement(number: int, flags: int, *, request_body: bytes = b"", words: str = "") -> Message:
    length = 16 + len(request_body)
    tail = netlink.text(1, words) if words else b""
    padding = bytes(-len(request_body) % 4)
    body = struct.pack("=iIHHII", -number, length, 16, 5, 1, 0) + request_body + padding + tail
    return Message(kind=2, flags=flags, sequence=1, body=body)


CAPPED, EXPLAINED = 0x100, 0x200


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (acknowledgement(0, CAPPED), (0, "")),
        (acknowledgement(17, CAPPED), (17, "")),
        (acknowledgement(17, 0, request_body=b"abcdef"), (17, "")),
        (
            acknowledgement(22, CAPPED | EXPLAINED, words="Nexthop has invalid gateway"),
            (22, "Nexthop has invalid gateway"),
        ),
        (acknowledgement(22, EXPLAINED, request_body=b"abcdef", words="why"), (22, "why")),
        (acknowledgement(0, CAPPED | EXPLAINED, words="a warning"), (0, "a warning")),
    ],
)
def test_an_acknowledgement_gives_number_and_explanation(message: Message, expected: tuple[int, str]) -> None:
    assert netlink.failure(message) == expected


def test_a_short_acknowledgement_is_refused() -> None:
    with pytest.raises(OSError, match="malformed netlink acknowledgement"):
        netlink.failure(Message(2, 0, 1, bytes(8)))
