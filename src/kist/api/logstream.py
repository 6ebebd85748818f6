"""A container's log as the bytes of an answer: which lines, in which form, in batches that a thread makes."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import quote_plus

import msgspec

from kist.api.call import Call
from kist.engine.logs import OpenLog, Run
from kist.errors import InvalidInput
from kist.spec.docker.frames import frame
from kist.spec.docker.times import read_time
from kist.spec.logs import LogQuery

_BATCH = 256 << 10


class LogForm(msgspec.Struct, frozen=True):
    """How lines are written.

    Attributes:
        timestamps, details: whether each begins with its time, and with the attributes that the log options name.
        follow: whether the answer goes on while the container runs.
        joined: whether one frame may hold many lines; Docker's clients are used to a frame for each.
    """

    timestamps: bool = False
    details: bool = False
    follow: bool = False
    joined: bool = False


def read_query(call: Call) -> LogQuery:
    """The parameters of ContainerLogs that choose lines.

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
        grep=call.text("grep"),
        ignore_case=call.flag("ignorecase"),
    )
    if not query.stdout and not query.stderr:
        raise InvalidInput("Bad parameters: you must choose at least one stream", hint="set stdout=1 or stderr=1")
    return query


def read_form(call: Call) -> LogForm:
    """The parameters that say how they are written."""
    return LogForm(call.flag("timestamps"), call.flag("details"), call.flag("follow"), call.flag("joined"))


def _read_tail(text: str) -> int | None:
    """A number of lines; Docker takes everything that is none for ``all``."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


class LogStream:
    """Reads a log from where it stopped last, in the form that the client wants.

    Args:
        call: the request; its threads do the work.
        log: what is read.
        form: how it is written.
        tty: the container has a terminal, so its output is one stream without frames.
    """

    def __init__(self, call: Call, log: OpenLog, form: LogForm, *, tty: bool) -> None:
        self._call = call
        self._log = log
        self._timestamps = form.timestamps
        self._details = _write_attributes(log.attributes) if form.details else b""
        self._write: Callable[[Run], bytes] = (
            self._write_raw if tty else self._write_joined if form.joined else self._write_frames
        )

    def read(self) -> AsyncIterator[bytes]:
        """What the log has now and did not have at the last reading, in batches of some 256 KiB."""
        return self._batches(self._log.read())

    def read_until(self, place: tuple[int, int]) -> AsyncIterator[bytes]:
        """What the log had when it had come to a place (``OpenLog.read_until``)."""
        return self._batches(self._log.read_until(place))

    def rest(self) -> AsyncIterator[bytes]:
        """What can be told only at the end of the output."""
        return self._batches(self._log.rest())

    async def _batches(self, found: Iterator[Run]) -> AsyncIterator[bytes]:
        while batch := await self._call.run(self._take, found):
            yield batch

    def _take(self, found: Iterator[Run]) -> bytes:
        parts: list[bytes] = []
        size = 0
        for run in found:
            part = self._write(run)
            parts.append(part)
            size += len(part)
            if size >= _BATCH:
                break
        return b"".join(parts)

    def _prefix(self, run: Run) -> bytes:
        return (run.stamp + b" " if self._timestamps else b"") + self._details

    def _write_raw(self, run: Run) -> bytes:
        return run.joined(self._prefix(run))

    def _write_joined(self, run: Run) -> bytes:
        return frame(run.stream, run.joined(self._prefix(run)))

    def _write_frames(self, run: Run) -> bytes:
        prefix, end, stream = self._prefix(run), b"\n" if run.full else b"", run.stream
        return b"".join([frame(stream, prefix + text + end) for text in run.texts()])


class Replay:
    """What a container has printed so far, ahead of its stream; to be closed.

    Args:
        stream, log: the log, and how it is written.
        place: how far it is read (``OpenLog.read_until``); None for all that it has.
    """

    def __init__(self, stream: LogStream, log: OpenLog, place: tuple[int, int] | None = None) -> None:
        self._batches = stream.read() if place is None else stream.read_until(place)
        self._log = log

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._batches

    def close(self) -> None:
        """Give the log's files back."""
        self._log.close()


def _write_attributes(attributes: dict[str, str]) -> bytes:
    """As Docker's ``details``: NAME=VALUE with commas between, both as in a URL's query, and a space."""
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in attributes.items()).encode() + b" "
