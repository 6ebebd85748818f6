"""The rules by which packets find the name server of a container."""

import struct

import pytest

from kist.kernel import nftables
from kist.network import nameserver


def test_questions_are_told_the_port_after_tracking_and_answers_before() -> None:
    questions, answers = nameserver.chains()
    tracking = -200
    assert questions.priority > tracking > answers.priority
    assert {chain.hook for chain in (questions, answers)} == {nftables.HOOK_OUTPUT}
    assert [comment for comment, _ in questions.rules] == ["udp questions", "tcp questions"]


@pytest.mark.parametrize(("chain", "looked_for", "written"), [(0, 53, nameserver.PORT), (1, nameserver.PORT, 53)])
def test_one_port_is_looked_for_and_the_other_written(chain: int, looked_for: int, written: int) -> None:
    for (_, code), protocol, checksum in zip(nameserver.chains()[chain].rules, (17, 6), (6, 16), strict=True):
        assert bytes((127, 0, 0, 11)) in code
        assert code.index(struct.pack("!H", looked_for)) < code.rindex(struct.pack("!H", written))
        assert struct.pack("!I", checksum) in code
        assert bytes((protocol,)) in code


def test_the_port_is_none_that_connections_get() -> None:
    assert 60999 < nameserver.PORT < 65536
