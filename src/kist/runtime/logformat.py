"""Records of a log, as ``logwriter`` describes them: taken out of blocks of a file many at a time.

All that a container printed with one write has one time, so neighbouring records often begin with the same bytes. They
are handled as one run: the cost of a line is then that of a search and a replacement in C, not of a Python object.
"""

import calendar
import functools
import time
from collections.abc import Iterator

from kist.spec.container import LogRecord

TIME = len("2026-01-01T00:00:00.000000000Z")
_SECOND = len("2026-01-01T00:00:00")
_STREAM = slice(TIME + 1, TIME + 7)
_TAG = TIME + 8
HEAD = len("2026-01-01T00:00:00.000000000Z stdout F ")
_STREAMS = {b"stdout": "stdout", b"stderr": "stderr"}
_FIRST_STRIDE = 1 << 12
_LATEST = 253_402_300_799_999_999_999


class Run:
    """Neighbouring records with the same time, stream and tag.

    Attributes:
        head: what each of them begins with (``HEAD`` bytes).
        body: the rest of the first one, and the others with their heads, up to the last one's line end.
    """

    __slots__ = ("body", "head")

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body

    @property
    def stream(self) -> str:
        """``stdout`` or ``stderr``."""
        return _STREAMS[self.head[_STREAM]]

    @property
    def stamp(self) -> bytes:
        """The time as it is written: RFC 3339 in UTC with nine digits; such stamps sort as their times do."""
        return self.head[:TIME]

    @property
    def full(self) -> bool:
        """Whether they are whole lines; parts of lines otherwise."""
        return self.head[_TAG] == 70  # b"F"

    def texts(self) -> list[bytes]:
        """What was printed, record by record, without line ends."""
        return self.body[:-1].split(b"\n" + self.head)

    def joined(self, prefix: bytes = b"") -> bytes:
        """What was printed, as it was, with ``prefix`` before every record."""
        end = b"\n" if self.full else b""
        return prefix + self.body[:-1].replace(b"\n" + self.head, end + prefix) + end

    def records(self) -> Iterator[LogRecord]:
        """A value for each of them."""
        end = b"\n" if self.full else b""
        moment, stream = nanoseconds(self.head), self.stream
        for text in self.texts():
            yield LogRecord(stream, moment, text + end)  # type: ignore[arg-type]  # one of the two names


def runs(block: bytes) -> Iterator[Run]:
    """The records of ``block``, which begins with a record and ends with a line end; what is no record is left out."""
    position, end = 0, len(block)
    find = block.find
    while position < end:
        start = position + HEAD
        head = block[position:start]
        line_end = find(b"\n", position)
        if line_end < start - 1 or head[_STREAM] not in _STREAMS or head[TIME - 1 : TIME + 1] != b"Z ":
            position = line_end + 1
            continue
        if block.startswith(head, line_end + 1):
            line_end = _end_of_run(block, head, line_end)
        yield Run(head, block[start : line_end + 1])
        position = line_end + 1


def _end_of_run(block: bytes, head: bytes, line_end: int) -> int:
    """Where the last of the records that follow each other with this head ends.

    Text has no line ends in it, so what is found after one is a head. The stride doubles while the run goes on: it
    costs about its own length, however short or long it is. Records with the same head and others between them would be
    of two writes in the same nanosecond; counting the line ends excludes that.
    """
    mark = b"\n" + head
    stride, last = _FIRST_STRIDE, line_end
    while True:
        found = block.rfind(mark, last + 1, last + stride + len(mark))
        if found < 0 or block.count(b"\n", last, found) != block.count(mark, last, found):
            break
        last, stride = found, stride * 2
    return block.find(b"\n", last + 1)


def stamp(moment: int) -> bytes:
    """The time, in nanoseconds since the epoch, as records have it; at most that of the year 9999."""
    seconds, fraction = divmod(min(moment, _LATEST), 1_000_000_000)
    t = time.gmtime(seconds)
    text = f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}.{fraction:09}Z"
    return text.encode()


def nanoseconds(line: bytes) -> int:
    """The time of a record in nanoseconds since the epoch."""
    return _seconds(line[:_SECOND]) * 1_000_000_000 + int(line[_SECOND + 1 : TIME - 1])


@functools.lru_cache(maxsize=4)
def _seconds(text: bytes) -> int:
    # Lines come many to a second, and strptime takes ten microseconds.
    return calendar.timegm(time.strptime(text.decode(), "%Y-%m-%dT%H:%M:%S"))
