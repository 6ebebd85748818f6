import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.kernel import netlink, nftables
from kist.kernel import nftables_expressions as expressions
from kist.kernel.nftables import BaseChain, Chain
from refusals import refusal


def tree(data: bytes) -> list[tuple[str, dict[int, bytes]]]:
    """The expressions of a rule as (name, attributes)."""
    found = []
    for _, element in netlink.members(data):
        members = netlink.attributes(element)
        found.append((netlink.string(members[1]), netlink.attributes(members[2])))
    return found


def be32(value: int) -> bytes:
    return struct.pack("!I", value)


def value(payload: bytes) -> bytes:
    return netlink.attributes(payload)[1]


@pytest.mark.parametrize(
    ("made", "key", "operation"),
    [
        (expressions.input_device("kist0"), 6, 0),
        (expressions.output_device("kist0"), 7, 0),
        (expressions.output_device("kist0", equal=False), 7, 1),
    ],
)
def test_a_device_is_compared_by_its_padded_name(made: bytes, key: int, operation: int) -> None:
    (meta, load), (cmp, compare) = tree(made)
    assert (meta, load) == ("meta", {1: be32(1), 2: be32(key)})
    assert (cmp, compare[1], compare[2]) == ("cmp", be32(1), be32(operation))
    assert value(compare[3]) == b"kist0".ljust(16, b"\0")


@pytest.mark.parametrize(
    ("address", "prefix", "mask", "wanted"),
    [
        ("10.88.0.0", 16, "ffff0000", "0a580000"),
        ("10.88.0.1", 16, "ffff0000", "0a580000"),
        ("192.168.224.0", 24, "ffffff00", "c0a8e000"),
        ("10.0.0.128", 25, "ffffff80", "0a000080"),
        ("10.0.0.7", 32, "ffffffff", "0a000007"),
        ("0.0.0.0", 0, "00000000", "00000000"),
    ],
)
def test_a_subnet_is_a_masked_comparison_of_the_source(address: str, prefix: int, mask: str, wanted: str) -> None:
    payload, bitwise, compare = tree(expressions.source_subnet(address, prefix))
    assert payload == ("payload", {1: be32(1), 2: be32(1), 3: be32(12), 4: be32(4)})
    assert (bitwise[0], value(bitwise[1][4]).hex(), value(bitwise[1][5]).hex()) == ("bitwise", mask, "00000000")
    assert (compare[0], compare[1][2], value(compare[1][3]).hex()) == ("cmp", be32(0), wanted)


def test_established_is_any_of_two_bits_of_the_connections_state() -> None:
    load, bitwise, compare = tree(expressions.established())
    assert load == ("ct", {1: be32(1), 2: be32(0)})
    assert value(bitwise[1][4]) == struct.pack("=I", 6)
    assert (compare[1][2], value(compare[1][3])) == (be32(1), bytes(4))


@pytest.mark.parametrize(("made", "code"), [(expressions.accept(), 1), (expressions.drop(), 0)])
def test_a_verdict_goes_to_register_zero(made: bytes, code: int) -> None:
    ((name, members),) = tree(made)
    verdict = netlink.attributes(netlink.attributes(members[2])[2])
    assert (name, members[1], verdict) == ("immediate", be32(0), {1: be32(code)})


def test_masquerade_has_no_attributes() -> None:
    assert tree(expressions.masquerade()) == [("masq", {})]


CHAIN = BaseChain("kist0-forward", "filter", 2, -5, (("first", expressions.accept()), ("second", expressions.drop())))


def test_a_base_chain_has_hook_priority_policy_and_type() -> None:
    made = nftables.new_chain("kist", CHAIN)
    assert (made.kind, made.flags, made.body[:4]) == (0x0A03, 0x404, bytes((2, 0, 0, 0)))
    members = netlink.attributes(made.body[4:])
    assert {kind: payload for kind, payload in members.items() if kind != 4} == {
        1: b"kist\0",
        3: b"kist0-forward\0",
        5: be32(1),
        7: b"filter\0",
    }
    assert netlink.attributes(members[4]) == {1: be32(2), 2: struct.pack("!i", -5)}


def test_rules_are_appended_in_order_with_their_comments() -> None:
    made = nftables.new_rules("kist", CHAIN)
    assert [rule.kind for rule in made] == [0x0A06, 0x0A06]
    assert {rule.flags for rule in made} == {netlink.NLM_F_ACK | netlink.NLM_F_CREATE | netlink.NLM_F_APPEND}
    members = [netlink.attributes(rule.body[4:]) for rule in made]
    assert [each[4] for each in members] == [expressions.accept(), expressions.drop()]
    assert [nftables.decode_comment(each[7]) for each in members] == CHAIN.comments()


def test_a_comment_tells_when_the_rule_has_changed() -> None:
    other = CHAIN._replace(rules=(("first", expressions.drop()), CHAIN.rules[1]))
    assert other.comments()[0] != CHAIN.comments()[0]
    assert other.comments()[1] == CHAIN.comments()[1]
    assert CHAIN.comments()[0].startswith("first #")


def test_a_base_chain_is_decoded() -> None:
    body = nftables.new_chain("kist", CHAIN).body
    assert nftables.decode_chain(body) == Chain("ip", "kist", "kist0-forward", "filter", 2, 1, -5)


def test_another_tools_plain_chain_is_decoded() -> None:
    body = bytes((1, 0, 0, 0)) + netlink.text(1, "filter") + netlink.text(3, "input_extra")
    assert nftables.decode_chain(body) == Chain("inet", "filter", "input_extra", "", -1, 1)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=127))
def test_comments_come_back_as_they_were(comment: str) -> None:
    assert nftables.decode_comment(nftables.encode_comment(comment)) == comment


def test_a_comment_is_found_behind_other_user_data_and_its_absence_is_empty() -> None:
    assert nftables.decode_comment(bytes((1, 2, 9, 9)) + nftables.encode_comment("x")) == "x"
    assert nftables.decode_comment(b"") == ""
    assert nftables.decode_comment(bytes((1, 200))) == ""


@given(st.binary(max_size=100))
def test_any_chain_message_is_decoded_or_refused(data: bytes) -> None:
    assert refusal(nftables.decode_chain, data) in (None, errno.EBADMSG)
