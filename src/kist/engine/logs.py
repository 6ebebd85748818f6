"""A container's output, read back from its log."""

from collections.abc import Callable, Iterator

from kist.engine.containers import Containers
from kist.runtime import logreader
from kist.runtime.logreader import LogReader, Position
from kist.spec.container import Container, LogRecord


class Logs:
    """The logs of this engine's containers."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def read(
        self,
        name: str | Container,
        *,
        stdout: bool = True,
        stderr: bool = True,
        since: int = 0,
        until: int = 0,
        tail: int | None = None,
        position: Position | None = None,
    ) -> tuple[Iterator[LogRecord], Callable[[], Position]]:
        """What has been printed so far.

        Args:
            name: of the container.
            stdout: whether that stream is wanted.
            stderr: the same for the other.
            since: nanoseconds since the epoch; 0 for the beginning.
            until: the same; 0 for no end.
            tail: only the last so many records.
            position: where an earlier reading ended.

        Returns:
            The records, and a function that tells, once they are read, where to go on.
        """
        reader = LogReader(self._containers.log_path(self._containers.get(name)))
        start = reader.tail(tail) if tail is not None and position is None else position
        reached = [start or Position()]

        def records() -> Iterator[LogRecord]:
            for at, line in reader.lines(start):
                reached[0] = at
                record = logreader.parse(line)
                if until and record.time > until:
                    return
                if record.time >= since and (stdout if record.stream == "stdout" else stderr):
                    yield record

        return records(), lambda: reached[0]

    def iterate(self, name: str | Container, *, follow: bool, tail: int | None) -> Iterator[LogRecord]:
        """What has been printed, and with ``follow`` what still will be."""
        container = self._containers.get(name)
        if not follow:
            records, _ = self.read(container, tail=tail)
            yield from records
            return
        position: Position | None = None
        with self._containers.open_follow(container) as grown:
            going = True
            while True:
                records, reached = self.read(container, tail=tail if position is None else None, position=position)
                yield from records
                position = reached()
                if not going:
                    return
                going = bool(grown.recv(1 << 12))
