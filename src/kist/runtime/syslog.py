"""Messages of syslog (RFC 3164, RFC 5424; on streams a line each, RFC 6587, section 3.4.2)."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.kernel.lean import socket

_SEVERITY = {"stdout": 6, "stderr": 3}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Syslog:
    """How a line of output looks as a message.

    Args:
        target: ``facility``, ``tag``, ``hostname`` and ``format``: empty for what the local daemon takes (RFC 3164
            without a host name), ``rfc3164``, ``rfc5424`` or ``rfc5424micro``.
    """

    def __init__(self, target: dict[str, Any]) -> None:
        self._format = target["format"]
        self._priority = {stream: target["facility"] * 8 + severity for stream, severity in _SEVERITY.items()}
        self._tag = target["tag"]
        self._hostname = target["hostname"]

    def message(self, stream: str, text: bytes, part: tuple[str, int, bool] | None) -> bytes:  # noqa: ARG002 - syslog has no parts
        """The bytes of one message, with the line end that ends it on a stream."""
        return self.head(self._priority[stream], time.time_ns(), os.getpid()).encode() + text + b"\n"

    def head(self, priority: int, now: int, pid: int) -> str:
        """What stands before the text, at ``now`` in nanoseconds since the epoch."""
        if self._format.startswith("rfc5424"):
            tag = _printable(self._tag)
            return (
                f"<{priority}>1 {_utc(now, micro=self._format == 'rfc5424micro')} {_printable(self._hostname)[:255]} "
                f"{tag[:48]} {pid} {tag[:32]} - "
            )
        t = time.localtime(now // 1_000_000_000)
        moment = f"{_MONTHS[t.tm_mon - 1]} {t.tm_mday:2} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
        host = f" {self._hostname}" if self._format else ""
        return f"<{priority}>{moment}{host} {self._tag}[{pid}]: "

    def send(self, connection: socket.socket, message: bytes) -> int:
        """Send, without waiting; how much of it went."""
        return connection.send(message)


def _printable(text: str) -> str:
    """A field of RFC 5424's header: printable ASCII without spaces, and ``-`` for nothing."""
    return "".join(letter if "!" <= letter <= "~" else "_" for letter in text) or "-"


def _utc(now: int, *, micro: bool) -> str:
    seconds, nanoseconds = divmod(now, 1_000_000_000)
    t = time.gmtime(seconds)
    fraction = f".{nanoseconds // 1000:06}" if micro else ""
    return f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}{fraction}Z"
