"""Messages of the domain name system."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dns import question, response, spelt
from kist.runtime.names import message
from kist.runtime.names.message import Malformed

_OPT = b"\0" + struct.pack("!HHIH", message.OPT, 1232, 0x8000, 0)


def read(data: bytes) -> message.Query:
    """The question, which there is."""
    query = message.read_query(data)
    assert query is not None
    return query


def test_a_question_is_read_in_lower_case_and_kept_as_it_was_spelt() -> None:
    query = read(question("Db.MyNet", message.AAAA))
    assert query.name == b"\x02db\x05mynet\0" == message.encode_name("db.MYNET.")
    assert query.question == spelt("Db.MyNet") + b"\0\x1c\0\1"
    assert (query.kind, query.edns, query.limit) == (message.AAAA, False, 512)


@pytest.mark.parametrize(("size", "limit"), [(1232, 1232), (100, 512), (65535, 4096)])
def test_a_client_says_how_much_it_takes(size: int, limit: int) -> None:
    opt = b"\0" + struct.pack("!HHIH", message.OPT, size, 0x8000, 0)
    query = read(question("a", opt=opt))
    assert (query.edns, query.dnssec, query.version, query.limit) == (True, True, 0, limit)


@pytest.mark.parametrize(
    "data",
    [
        question("a")[:-1],
        question("a")[:12],
        question("a")[:12] + b"\xc0\x0c\0\1\0\1",
        question("a")[:12] + b"\x40" + bytes(80),
        question("a")[:4] + b"\0\2" + question("a")[6:],
        question("a", opt=_OPT)[:-1],
        question("a", opt=_OPT + _OPT)[:10] + b"\0\2" + (question("a", opt=_OPT + _OPT))[12:],
        question(".".join(["a" * 63] * 5)),
    ],
)
def test_what_cannot_be_read_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        message.read_query(data)


@pytest.mark.parametrize("data", [b"", b"1234567890a", response(question("a"))])
def test_answers_and_scraps_are_not_answered(data: bytes) -> None:
    assert message.read_query(data) is None


def test_an_answer_has_the_records_and_says_who_knows() -> None:
    query = read(question("Db", opt=_OPT))
    found = message.answer(query, message.NOERROR, [(message.A, b"\x0a\0\0\1"), (message.A, b"\x0a\0\0\2")], limit=512)
    assert found[:2] == b"\0\7"
    assert struct.unpack("!5H", found[2:12]) == (0x8580, 1, 2, 0, 1)
    assert found[12:].startswith(query.question + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x0a\0\0\1\xc0\x0c")
    assert found.endswith(b"\0" + struct.pack("!HHIH", message.OPT, message.PAYLOAD, 0x8000, 0))


def test_what_does_not_fit_is_left_out_and_said() -> None:
    query = read(question("db"))
    found = message.answer(query, message.NOERROR, [(message.A, bytes(4))] * 100, limit=query.limit)
    assert len(found) <= 512
    assert message.is_truncated(found)
    assert not message.is_truncated(message.answer(query, message.NOERROR, [(message.A, bytes(4))] * 100))
    assert message.is_truncated(message.cut_off(query))


def test_a_version_that_there_is_not_is_told_in_the_opt_record() -> None:
    opt = b"\0" + struct.pack("!HHIH", message.OPT, 1232, 1 << 16, 0)
    query = read(question("db", opt=opt))
    assert query.version == 1
    found = message.answer(query, message.BADVERS)
    assert message.response_code(found) == 0
    assert found[-6:] == b"\1\0\0\0\0\0"


def test_what_is_passed_on_has_no_options() -> None:
    cookie = struct.pack("!HH8s", 10, 8, b"12345678")
    opt = b"\0" + struct.pack("!HHIH", message.OPT, 1232, 0x8000, len(cookie)) + cookie
    query = read(question("Db", opt=opt))
    assert message.passed_on(query) == question("Db", opt=_OPT)[2:]
    assert message.passed_on(query, spelt=False) == question("db", opt=_OPT)[2:]


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (response(question("db")), True),
        (response(question("DB")), True),
        (response(question("dc")), False),
        (response(question("db", message.AAAA)), False),
        (response(question("db", number=8)), False),
        (question("db"), False),
        (response(question("db"), code=1)[:4] + bytes(8), True),
        (response(question("db"))[:4] + bytes(8), False),
        (b"", False),
    ],
)
def test_only_the_answer_to_what_was_asked_is_one(data: bytes, answers: bool) -> None:
    assert message.answers(data, question("db")) is answers


_A_RECORD = (b"\xc0\x0c", message.A, 300, bytes(4))
_SOA = (b"\0", message.SOA, 900, b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, 60))


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (response(question("a"), _A_RECORD, (b"\1b\0", message.A, 20, bytes(4))), 20),
        (response(question("a"), (b"\xc0\x0c", message.A, 90000, bytes(4))), 3600),
        (response(question("a"), _SOA, code=message.NXDOMAIN, authorities=1), 15),
        (response(question("a"), (*_SOA[:2], 3, _SOA[3]), authorities=1), 3),
        (response(question("a"), code=message.NXDOMAIN), 0),
        (response(question("a")), 0),
    ],
)
def test_the_least_ttl_counts(data: bytes, seconds: int) -> None:
    assert message.lifetime(data, 3600, 15)[0] == seconds


def test_ttls_are_counted_down() -> None:
    data = response(question("a"), _A_RECORD, (b"\1b\0", message.A, 20, bytes(4)))
    _, places = message.lifetime(data, 3600, 15)
    later = message.aged(data, places, 25)
    assert later == response(question("a"), (*_A_RECORD[:2], 275, bytes(4)), (b"\1b\0", message.A, 0, bytes(4)))


def test_addresses_have_names() -> None:
    assert message.reverse_name(bytes((10, 88, 0, 2))) == message.encode_name("2.0.88.10.in-addr.arpa")
    assert message.reverse_name(bytes(15) + b"\1") == message.encode_name("1." + "0." * 31 + "ip6.arpa")


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["a" * 60] * 5)])
def test_some_names_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="domain name system"):
        message.encode_name(name)


# Bytes that get further into the parser than any at random.
_likely = st.builds(
    lambda head, counts, rest: head + struct.pack("!4H", *counts) + rest,
    st.binary(min_size=4, max_size=4),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.just(b"\xc0\x0c"),
            st.just(b"\2ab\0\0\1\0\1"),
            st.just(_OPT),
            st.just(b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4abcd"),
        ),
        max_size=6,
    ).map(b"".join),
)


@settings(deadline=None)  # the machine may be busy
@given(st.one_of(st.binary(max_size=600), _likely))
def test_no_bytes_make_the_parser_fail(data: bytes) -> None:
    try:
        query = message.read_query(data)
    except Malformed:
        assert len(message.refusal(data, message.FORMERR)) == 12
    else:
        if query is not None:
            assert read(message.answer(query, 0)[:2] + data[2:]).name == query.name
            assert read(data[:2] + message.passed_on(query)).question == query.question
    asked = question("ab")
    if len(data) >= 12:
        try:
            _, places = message.lifetime(data, 60, 5)
        except Malformed:
            return
        assert len(message.aged(data, places, 1)) == len(data)
    try:
        message.answers(data, asked)
    except Malformed:
        pytest.fail("the question of ours can be read")
