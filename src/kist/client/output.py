"""What attached streams and logs hold, as values."""

from collections.abc import Iterable, Iterator

from kist.client.frames import STDERR, Demultiplexer
from kist.client.pump import Pump, Stream
from kist.errors import Corrupt
from kist.spec.container import LogRecord
from kist.spec.docker.frames import FrameReader
from kist.spec.docker.times import read_time


def communicate(stream: Stream, stdin: bytes, *, tty: bool) -> tuple[str, str]:
    """Feed ``stdin``, then end it; all output until the end, decoded leniently from UTF-8."""
    printed: tuple[bytearray, bytearray] = bytearray(), bytearray()
    demultiplexer = Demultiplexer()

    def collect(data: bytes) -> None:
        if tty:
            printed[0].extend(data)
            return
        for number, payload in demultiplexer.feed(data):
            printed[number == STDERR].extend(payload)

    pump = Pump(stream, collect)
    pump.preload(stdin)
    pump.run()
    stream.close()
    return printed[0].decode(errors="replace"), printed[1].decode(errors="replace")


def framed_records(pieces: Iterable[bytes]) -> Iterator[LogRecord]:
    """The lines of a log that was asked for with timestamps."""
    reader = FrameReader()
    for data in pieces:
        for stream, payload in reader.feed(data):
            yield _record("stderr" if stream == "stderr" else "stdout", payload)


def raw_records(pieces: Iterable[bytes]) -> Iterator[LogRecord]:
    """The same for a container with a terminal, whose log has no frames."""
    rest = b""
    for data in pieces:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield _record("stdout", line + b"\n")
    if rest:
        yield _record("stdout", rest)


def _record(stream: str, line: bytes) -> LogRecord:
    stamp, space, text = line.partition(b" ")
    if not space:
        raise Corrupt(f"a log line without its time: {line[:60]!r}")
    time = read_time(stamp.decode("ascii", "replace"))
    return LogRecord("stderr" if stream == "stderr" else "stdout", time, text)
