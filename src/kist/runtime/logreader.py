"""A container's log, read back; ``logwriter`` describes the format."""

import time
from collections.abc import Iterator
from typing import Self

from kist.runtime import logfiles
from kist.runtime.logfiles import Plain, Segment
from kist.runtime.logformat import HEAD, TIME, Run, runs, stamp

_BLOCK = 256 << 10
_NO_TIME = b""
_GAP = b" stderr F kist: lines may be missing here: the log was rotated faster than it was read\n"


class LogReader:
    """One reader's way through the files of a log, from where it is told to what there is, as often as it is asked.

    It keeps the file open that it has come to, so rotation neither hides nor doubles anything: what remains of that
    file is read to its end, whatever became of its name, and then the one that came after it. A reader that is slower
    than all files of the log are rotated misses some, and gets a line that says so.

    Args:
        path: the current file; ``path.1`` is the one before it, and so on.
        since: only records from this time on, in nanoseconds since the epoch; 0 for all.
        until: only records up to it; 0 for all.
        tail: of the records that are there at the first reading, only the last so many; None for all.
        outlives: read to the end what is removed before the first reading.
    """

    def __init__(
        self, path: str, *, since: int = 0, until: int = 0, tail: int | None = None, outlives: bool = False
    ) -> None:
        self._path = path
        self._since = stamp(since) if since > 0 else _NO_TIME
        self._until = stamp(until) if until > 0 else _NO_TIME
        self._nothing = until < 0
        self._tail = tail
        self._held: Segment | None = None
        self._early = logfiles.open_current(path) if outlives else None
        self._offset = 0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file that is held open."""
        if self._early is not None:
            self._early.close()
            self._early = None
        if self._held is not None:
            self._held.close()
            self._held = None

    def runs(self) -> Iterator[Run]:
        """The records that are wanted and were not given yet, as runs of alike ones."""
        since, until = self._since, self._until
        for block in self.blocks():
            for run in runs(block):
                if run.head >= since and (not until or run.head[:TIME] <= until):
                    yield run

    def runs_until(self, inode: int, size: int) -> Iterator[Run]:
        """The records from the beginning up to a place of the file with this inode (``LogWriter.reached``)."""
        segments = logfiles.open_all(self._path)[0] if size else []
        last = _number_of(segments, inode)
        try:
            for number in range(last + 1):
                self._offset, self._held = 0, segments[number]
                for block in self._rest(size if number == last else 1 << 62):
                    yield from runs(block)
        finally:
            self._held = None
            for segment in segments:
                segment.close()

    def blocks(self) -> Iterator[bytes]:
        """The bytes of whole records that are there and were not given yet, less what search shows not to be wanted."""
        if self._nothing:
            return
        if self._held is None:
            yield from self._begin()
            return
        yield from self._rest()
        if isinstance(self._held, Plain) and self._held.is_at(self._path):
            return
        yield from self._newer()

    def _begin(self) -> Iterator[bytes]:
        segments = self._first_segments()
        offsets = [0] * len(segments)
        if self._tail is not None:
            left = self._tail
            for number in range(len(segments) - 1, -1, -1):
                end = _end_of_records(segments[number])
                offsets[number], left = logfiles.tail(segments[number], end, left)
            self._tail = None
        yield from self._through(segments, offsets)

    def _first_segments(self) -> list[Segment]:
        """The files that are there; the one that was opened before them where they are gone."""
        segments, _ = logfiles.open_all(self._path)
        early, self._early = self._early, None
        if segments or early is None:
            if early is not None:
                early.close()
            return segments
        if len(early.first) == HEAD:
            return [early]
        self._early = early
        return segments

    def _newer(self) -> Iterator[bytes]:
        """What came after the file that is held, which is written no more once there is a newer one."""
        assert self._held is not None
        segments, met = logfiles.open_all(self._path, self._held.first)
        if segments:
            yield from self._rest()
            # When it was not met it was so old that it is gone, and those that are there all came after it.
            if not met:
                yield stamp(time.time_ns()) + _GAP
            yield from self._through(segments, [0] * len(segments))

    def _through(self, segments: list[Segment], offsets: list[int]) -> Iterator[bytes]:
        left = list(segments)
        try:
            for offset in offsets:
                self.close()
                self._held, self._offset = left.pop(0), offset
                yield from self._searched()
        finally:
            for segment in left:
                segment.close()

    def _searched(self) -> Iterator[bytes]:
        """The held file from the offset on: what is unordered as it is, of the rest only what the times ask for."""
        assert self._held is not None
        end = self._held.size()
        if self._since or self._until:
            ordered = logfiles.ordered_from(self._held, end)
            yield from self._rest(ordered)
            if self._since and self._offset >= ordered:
                self._offset = logfiles.search(self._held, self._offset, end, self._since)
            for block in self._rest():
                yield block
                if self._until and block[:TIME] > self._until:
                    self._offset = _end_of_records(self._held)
                    return
            return
        yield from self._rest()

    def _rest(self, end: int = 1 << 62) -> Iterator[bytes]:
        """Whole records from the offset on, those that begin before ``end``, in blocks."""
        segment = self._held
        assert segment is not None
        rest = b""
        at = self._offset
        while at < end and (block := segment.read(at, min(_BLOCK, end - at))):
            at += len(block)
            cut = block.rfind(b"\n") + 1
            if not cut:
                rest += block
                continue
            whole, rest = rest + block[:cut], block[cut:]
            self._offset = at - len(rest)
            yield whole


def _number_of(segments: list[Segment], inode: int) -> int:
    """Which of them is, or was before it was packed a moment ago, the file with this inode."""
    plain = [number for number, each in enumerate(segments) if isinstance(each, Plain) and each.inode == inode]
    packed = [number for number, each in enumerate(segments) if not isinstance(each, Plain)]
    return (plain or packed or [-1])[-1]


def _end_of_records(segment: Segment) -> int:
    """Where the last whole record ends."""
    end = segment.size()
    while end > 0:
        start = max(0, end - 4096)
        found = segment.read(start, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
