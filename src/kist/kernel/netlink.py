"""netlink(7): messages and attributes as bytes, and a socket that asks and waits for the answers.

Encoding and decoding are pure functions. Numbers are in the machine's byte order, as the kernel has them
(include/uapi/linux/netlink.h); what a subsystem wants in network order it packs itself.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from kist.kernel.attributes import attribute, attributes, malformed, members, nested, text

# Beside what is defined here.
__all__ = ["attribute", "attributes", "members", "nested", "text"]

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12


_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ERROR = struct.Struct("=i")
_RECEIVE = 32 << 10  # the kernel fills no more than this into one part of a dump
_DUMP_ATTEMPTS = 10


class Request(NamedTuple):
    """A message to the kernel without its header; ``what`` names its object in errors."""

    kind: int
    flags: int
    body: bytes
    what: str = ""


class Message(NamedTuple):
    """A message from the kernel."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def u32(kind: int, value: int) -> bytes:
    """A 32-bit number in the machine's byte order."""
    return attribute(kind, struct.pack("=I", value))


def frame(request: Request, sequence: int) -> bytes:
    """The bytes of a whole message, padded to four bytes."""
    length = _HEADER.size + len(request.body)
    header = _HEADER.pack(length, request.kind, request.flags | NLM_F_REQUEST, sequence, 0)
    return header + request.body + bytes(-length % 4)


def messages(data: bytes) -> Iterator[Message]:
    """Take what one receive gave apart.

    Raises:
        OSError: EBADMSG, a length that cannot be.
    """
    offset = 0
    while offset < len(data):
        if len(data) - offset < _HEADER.size:
            raise malformed("message")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            raise malformed("message")
        yield Message(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += length + -length % 4


def string(payload: bytes) -> str:
    """The text of a string attribute."""
    return os.fsdecode(payload.partition(b"\0")[0])


def failure(message: Message) -> tuple[int, str]:
    """What an acknowledgement says: ``(errno, the kernel's own words or "")``; errno 0 is success.

    Raises:
        OSError: EBADMSG, the message is too short.
    """
    if len(message.body) < _ERROR.size + _HEADER.size:
        raise malformed("acknowledgement")
    number = -int(_ERROR.unpack_from(message.body)[0])
    if not message.flags & _NLM_F_ACK_TLVS:
        return number, ""
    length = int(_HEADER.unpack_from(message.body, _ERROR.size)[0])
    request = _HEADER.size if message.flags & _NLM_F_CAPPED or not number else length + -length % 4
    return number, string(attributes(message.body[_ERROR.size + request :]).get(_NLMSGERR_ATTR_MSG, b""))


class Socket:
    """A netlink socket in the network namespace of the thread that makes it. Not for several threads at once.

    Args:
        protocol: ``NETLINK_ROUTE`` or ``NETLINK_NETFILTER``.
    """

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._prefer(option)

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def transact(self, requests: Sequence[Request]) -> list[Message]:
        """Send all requests in one datagram; wait until each with ``NLM_F_ACK`` is acknowledged.

        The kernel goes on after a failed request (but for batches of nf_tables, which are all or nothing).

        Returns:
            What came besides the acknowledgements.

        Raises:
            OSError: of the first request that failed, with the kernel's explanation and ``Request.what`` as filename.
        """
        sent = self._send(requests)
        waiting = {number for number, request in sent.items() if request.flags & NLM_F_ACK}
        answers: list[Message] = []
        failed: OSError | None = None
        while waiting:
            for message in self._receive():
                request = sent.get(message.sequence)
                if request is None:
                    continue  # an answer to an earlier request that failed half-way
                if message.kind != _NLMSG_ERROR:
                    answers.append(message)
                    continue
                failed = failed or _error(message, request)
                waiting.discard(message.sequence)
                if failed and not request.flags & NLM_F_ACK:
                    waiting.clear()  # a batch refused as a whole is answered at its first message alone
        if failed:
            raise failed
        return answers

    def dump(self, request: Request) -> list[Message]:
        """All messages that answer a dump; asked again when the kernel's list changed meanwhile.

        Raises:
            OSError: the request failed, or EAGAIN: the list never stood still.
        """
        for _ in range(_DUMP_ATTEMPTS):
            found, whole = self._dump_once(request)
            if whole:
                return found
        raise OSError(errno.EAGAIN, "the kernel's list changes faster than it can be read", request.what)

    def _dump_once(self, request: Request) -> tuple[list[Message], bool]:
        sent = self._send([request._replace(flags=request.flags | NLM_F_DUMP)])
        found: list[Message] = []
        whole = True
        while True:
            for message in self._receive():
                if message.sequence not in sent:
                    continue
                whole = whole and not message.flags & NLM_F_DUMP_INTR
                if message.kind == _NLMSG_ERROR:
                    raise _error(message, request) or malformed("dump")
                if message.kind == _NLMSG_DONE:
                    _check_done(message, request)
                    return found, whole
                found.append(message)

    def _send(self, requests: Sequence[Request]) -> dict[int, Request]:
        numbered: dict[int, Request] = {}
        for request in requests:
            self._sequence += 1
            numbered[self._sequence] = request
        self._socket.sendto(b"".join(frame(request, number) for number, request in numbered.items()), (0, 0))
        return numbered

    def _receive(self) -> list[Message]:
        return list(messages(self._socket.recv(_RECEIVE)))

    def _prefer(self, option: int) -> None:
        try:
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        except OSError as error:
            # Kernels before 4.12 (explanations) and 4.20 (filtered dumps): the answers are only less exact.
            if error.errno != errno.ENOPROTOOPT:
                raise


def _error(message: Message, request: Request) -> OSError | None:
    number, words = failure(message)
    if not number:
        return None
    return OSError(number, f"{os.strerror(number)}: {words}" if words else os.strerror(number), request.what)


def _check_done(message: Message, request: Request) -> None:
    number = -int(_ERROR.unpack_from(message.body)[0]) if len(message.body) >= _ERROR.size else 0
    if number > 0:
        raise OSError(number, os.strerror(number), request.what)
