"""A container's log as the bytes of an answer: which lines, in which form, in batches that a thread makes."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from kist.api.call import Call
from kist.errors import InvalidInput
from kist.spec.container import LogRecord
from kist.spec.docker.frames import frame
from kist.spec.docker.times import read_time, write_log_time

_SECOND = 1_000_000_000
_BATCH = 256 << 10


class LogQuery(msgspec.Struct, frozen=True):
    """What part of a log is wanted; times in ns since the epoch, 0 for no bound; ``tail`` None for all lines."""

    stdout: bool
    stderr: bool
    since: int = 0
    until: int = 0
    tail: int | None = None
    timestamps: bool = False
    follow: bool = False


def read_query(call: Call) -> LogQuery:
    """The parameters of ContainerLogs.

    Raises:
        InvalidInput: no stream is chosen, or a time is none.
    """
    now = time.time_ns()
    query = LogQuery(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        since=read_time(call.text("since"), now=now, what="since"),
        until=read_time(call.text("until"), now=now, what="until"),
        tail=_read_tail(call.text("tail")),
        timestamps=call.flag("timestamps"),
        follow=call.flag("follow"),
    )
    if not query.stdout and not query.stderr:
        raise InvalidInput("Bad parameters: you must choose at least one stream", hint="set stdout=1 or stderr=1")
    return query


def _read_tail(text: str) -> int | None:
    """A number of lines; Docker takes everything that is none for ``all``."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


class LogReader:
    """Reads a log from where it stopped last, in the form that the client wants.

    Args:
        call: the request; its engine is asked.
        name: the container.
        query: which lines.
        tty: the container has a terminal, so its output is one stream without frames.
    """

    def __init__(self, call: Call, name: str, query: LogQuery, *, tty: bool) -> None:
        self._call = call
        self._name = name
        self._query = query
        self._tty = tty
        self._tail = query.tail
        self._reached: Callable[[], Any] | None = None
        self._second = -1
        self._stamp = ""

    async def read(self) -> AsyncIterator[bytes]:
        """What the log has now and did not have at the last reading, in batches of some 256 KiB."""
        records = await self._call.run(self._open)
        while batch := await self._call.run(self._take, records):
            yield batch

    def _open(self) -> Iterator[LogRecord]:
        query = self._query
        records, self._reached = self._call.engine.read_logs(
            self._name,
            stdout=query.stdout,
            stderr=query.stderr,
            since=query.since,
            until=query.until,
            tail=self._tail,
            position=self._reached() if self._reached else None,
        )
        self._tail = None
        return records

    def _take(self, records: Iterator[LogRecord]) -> bytes:
        parts: list[bytes] = []
        size = 0
        for record in records:
            part = self._write(record)
            parts.append(part)
            size += len(part)
            if size >= _BATCH:
                break
        return b"".join(parts)

    def _write(self, record: LogRecord) -> bytes:
        data = record.data
        if self._query.timestamps:
            data = self._write_time(record.time) + data
        return data if self._tty else frame(record.stream, data)

    def _write_time(self, nanoseconds: int) -> bytes:
        """The time of a line; lines of one second share the expensive part."""
        second, fraction = divmod(nanoseconds, _SECOND)
        if second != self._second:
            self._second, self._stamp = second, write_log_time(second * _SECOND)[:-10]
        return f"{self._stamp}{fraction:09d}Z ".encode()
