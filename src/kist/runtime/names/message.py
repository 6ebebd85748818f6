r"""Messages of the domain name system (RFC 1035, with EDNS of RFC 6891), as far as a forwarding name server reads them.

All pure. A name is its form on the wire without compression, in lower case: ``b"\x02db\x05mynet\0"``. Names that are
compressed are stepped over and never followed, so none can lead in circles.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

A = 1
PTR = 12
SOA = 6
AAAA = 28
OPT = 41
ANY = 255
IN = 1

NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
NOTIMP = 4
REFUSED = 5
BADVERS = 16

LONGEST = 65535
"""Bytes of a message over TCP."""
PLAIN = 512
"""Bytes of an answer over UDP for who says nothing of larger ones."""
PAYLOAD = 4096
"""What we take over UDP ourselves; on a loopback device that is one packet."""

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of the data
_TWO = struct.Struct("!HH")
_TTL = struct.Struct("!I")
_LENGTH = 12
_RESPONSE = 0x8000
_OPCODE = 0x7800
_AUTHORITATIVE = 0x0400
_TRUNCATED = 0x0200
_RECURSION_DESIRED = 0x0100
_RECURSION_AVAILABLE = 0x0080
# Recursion desired, authentic data and checking disabled: what a client says that its server's server is to hear.
_PASSED_ON = 0x0130
_DNSSEC_OK = 0x8000
_LONGEST_NAME = 255
_LONGEST_LABEL = 63
# The answer's owner: the name of the question, which stands right behind the header.
_SAME_NAME = b"\xc0\x0c"


class Malformed(ValueError):
    """These bytes are no message that can be read."""


class Query:
    """A question that was asked.

    Attributes:
        identifier: two bytes, which the answer repeats.
        flags: of the header.
        question: name as it was spelt, type and class.
        name: in lower case.
        kind: of the records that are wanted.
        dns_class: IN, as good as ever.
        edns: whether it has an OPT record, of which are ``version``, ``dnssec`` (it takes signatures) and ``limit``.
        limit: bytes that an answer over UDP may have.
    """

    __slots__ = ("dns_class", "dnssec", "edns", "flags", "identifier", "kind", "limit", "name", "question", "version")

    def __init__(self, data: bytes, end: int) -> None:
        self.identifier = data[:2]
        self.flags = int.from_bytes(data[2:4], "big")
        self.question = data[_LENGTH:end]
        self.name = self.question[:-4].lower()
        self.kind, self.dns_class = _TWO.unpack_from(self.question, len(self.question) - 4)
        self.edns = self.dnssec = False
        self.version = 0
        self.limit = PLAIN

    @property
    def opcode(self) -> int:
        """0 for a question; all else is for other kinds of servers."""
        return self.flags & _OPCODE


def read_query(data: bytes) -> Query | None:
    """The question in a message; None for what must not be answered, as it is too short or an answer itself.

    Raises:
        Malformed: it is to be answered with ``FORMERR``.
    """
    if len(data) < _LENGTH or data[2] & 0x80:
        return None
    _, _, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if questions != 1:
        raise Malformed("not one question")
    query = Query(data, _end_of_question(data))
    place = _LENGTH + len(query.question)
    for number in range(answers + authorities + additional):
        kind, size, flags, start, end = _record(data, place)
        if kind == OPT and number >= answers + authorities:
            if query.edns or data[place]:
                raise Malformed("OPT records there are one of, at the root")
            query.edns = True
            query.version = flags >> 16 & 0xFF
            query.dnssec = bool(flags & _DNSSEC_OK)
            query.limit = max(PLAIN, min(size, PAYLOAD))
        place = max(start, end)
    return query


def _end_of_question(data: bytes) -> int:
    """Where the one question ends; its name has nothing before it, so it is not compressed."""
    place = _LENGTH
    while place < len(data):
        length = data[place]
        place += 1 + length
        if not length:
            break
        if length > _LONGEST_LABEL:
            raise Malformed("a label of the question is too long")
    place += 4
    if place > len(data) or place - _LENGTH - 4 > _LONGEST_NAME:
        raise Malformed("the question is cut off, or too long")
    return place


def _after_name(data: bytes, place: int) -> int:
    """Where a name ends, which may be compressed."""
    while place < len(data):
        length = data[place]
        if length >= 0xC0:
            return place + 2
        if length > _LONGEST_LABEL:
            raise Malformed("a label of a kind that there is not")
        place += 1 + length
        if not length:
            return place
    raise Malformed("a name is cut off")


def _record(data: bytes, place: int) -> tuple[int, int, int, int, int]:
    """Type, class and TTL of the record here, and where its data begins and ends."""
    place = _after_name(data, place)
    if place + _RECORD.size > len(data):
        raise Malformed("a record is cut off")
    kind, dns_class, ttl, length = _RECORD.unpack_from(data, place)
    start = place + _RECORD.size
    if start + length > len(data):
        raise Malformed("the data of a record is cut off")
    return kind, dns_class, ttl, start, start + length


def refusal(data: bytes, code: int) -> bytes:
    """The answer to a message that cannot be read, of twelve bytes at least."""
    flags = _RESPONSE | int.from_bytes(data[2:4], "big") & (_OPCODE | _RECURSION_DESIRED) | _RECURSION_AVAILABLE | code
    return data[:2] + flags.to_bytes(2, "big") + bytes(8)


def answer(
    query: Query, code: int, records: Sequence[tuple[int, bytes]] = (), *, limit: int = LONGEST, own: bool = True
) -> bytes:
    """An answer of ours.

    Args:
        query: what was asked.
        code: the response code.
        records: type and data of each; all are of the name that was asked for, and good for this moment only.
        limit: bytes that there may be; what does not fit is left out, and the answer says so.
        own: whether we are who knows.
    """
    opt = _opt(code, dnssec=query.dnssec) if query.edns else b""
    room = limit - _LENGTH - len(query.question) - len(opt)
    body, count = b"", 0
    for kind, data in records:
        record = _SAME_NAME + _RECORD.pack(kind, IN, 0, len(data)) + data
        if len(body) + len(record) > room:
            break
        body += record
        count += 1
    flags = _RESPONSE | query.flags & (_OPCODE | _RECURSION_DESIRED) | _RECURSION_AVAILABLE | code & 0xF
    flags |= (_AUTHORITATIVE if own else 0) | (_TRUNCATED if count < len(records) else 0)
    head = query.identifier + struct.pack("!5H", flags, 1, count, 0, 1 if opt else 0)
    return head + query.question + body + opt


def _opt(code: int, *, dnssec: bool) -> bytes:
    flags = (code >> 4) << 24 | (_DNSSEC_OK if dnssec else 0)
    return b"\0" + _RECORD.pack(OPT, PAYLOAD, flags, 0)


def passed_on(query: Query, *, spelt: bool = True) -> bytes:
    """The question as it goes to another server, without the identifier that comes before it.

    What its OPT record had as options (cookies, for one) was between the client and us.

    Args:
        query: from a client.
        spelt: as the client has; else the same for all that ask the same.
    """
    head = struct.pack("!5H", query.flags & _PASSED_ON, 1, 0, 0, 1 if query.edns else 0)
    question = query.question if spelt else query.name + query.question[-4:]
    if not query.edns:
        return head + question
    flags = _DNSSEC_OK if query.dnssec else 0
    return head + question + b"\0" + _RECORD.pack(OPT, query.limit, flags, 0)


def cut_off(query: Query) -> bytes:
    """An answer with nothing in it but that there is one, over TCP."""
    found = bytearray(answer(query, NOERROR, own=False))
    found[2] |= _TRUNCATED >> 8
    return bytes(found)


def answers(data: bytes, asked: bytes) -> bool:
    """Whether this message answers what was asked (identifier and what ``passed_on`` gave)."""
    if len(data) < _LENGTH or data[:2] != asked[:2] or not data[2] & 0x80:
        return False
    questions = data[4:6]
    if questions == b"\0\0":
        return response_code(data) != NOERROR  # a server that could not even read it
    end = _end_of_question(asked)
    name = slice(_LENGTH, end - 4)
    same_name = data[name].lower() == asked[name].lower()
    return questions == b"\0\1" and same_name and data[end - 4 : end] == asked[end - 4 : end]


def response_code(data: bytes) -> int:
    """The response code in the header."""
    return data[3] & 0xF


def is_truncated(data: bytes) -> bool:
    """Whether there is more, over TCP."""
    return bool(data[2] & 0x02)


def lifetime(data: bytes, longest: int, longest_negative: int) -> tuple[int, tuple[int, ...]]:
    """For how many seconds an answer is good, and where its TTLs are.

    The least TTL counts; of an answer that says no, the one of its SOA record (RFC 2308, section 5), and without one it
    is good for nothing.

    Args:
        data: an answer.
        longest: seconds, whatever the TTLs say.
        longest_negative: the same for one that says no.

    Raises:
        Malformed: it cannot be read.
    """
    _, _, questions, count, authorities, additional = _HEADER.unpack_from(data)
    place = _LENGTH
    for _ in range(questions):
        place = _after_name(data, place) + 4
    negative = not count or response_code(data) == NXDOMAIN
    seconds = longest_negative if negative else longest
    places = []
    has_soa = False
    for number in range(count + authorities + additional):
        kind, _, ttl, start, end = _record(data, place)
        place = end
        if kind == OPT:
            continue
        places.append(start - 6)
        if number < count + authorities:
            seconds = min(seconds, ttl)
        if kind == SOA and end - start >= 4:
            has_soa = True
            seconds = min(seconds, _TTL.unpack_from(data, end - 4)[0]) if negative else seconds
    return (seconds if has_soa or not negative else 0), tuple(places)


def aged(data: bytes, places: Sequence[int], seconds: int) -> bytes:
    """The message with all TTLs at these places lowered."""
    if not seconds or not places:
        return data
    changed = bytearray(data)
    for place in places:
        _TTL.pack_into(changed, place, max(0, _TTL.unpack_from(changed, place)[0] - seconds))
    return bytes(changed)


def encode_name(text: str) -> bytes:
    """A name for the wire, in lower case.

    Raises:
        ValueError: it cannot be asked for: a label is empty or too long, or all of it is.
    """
    labels = text.lower().encode().removesuffix(b".").split(b".")
    if any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError(f"no name of the domain name system: {text!r}")
    found = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(found) > _LONGEST_NAME:
        raise ValueError(f"too long for a name of the domain name system: {text!r}")
    return found


def reverse_name(packed: bytes) -> bytes:
    """The name that asks for the name of an address, of its four or sixteen bytes."""
    if len(packed) == 4:
        return encode_name(".".join(map(str, reversed(packed))) + ".in-addr.arpa")
    return encode_name(".".join(reversed(packed.hex())) + ".ip6.arpa")
