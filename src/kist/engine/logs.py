"""A container's output, read back from its log."""

from collections.abc import Iterator

from kist.engine import logconfig
from kist.engine.containers import Containers
from kist.errors import Unsupported
from kist.runtime.logformat import Run
from kist.runtime.loggrep import Grep
from kist.runtime.logreader import LogReader
from kist.spec.container import Container, LogRecord
from kist.spec.logs import LogQuery

__all__ = ["Logs", "OpenLog", "Run"]


class OpenLog:
    """One reading of a log; it may be asked again for what was added. Close it.

    Attributes:
        attributes: what ``--details`` shows before each line: the labels and variables that the log options name.
    """

    def __init__(self, path: str, query: LogQuery, attributes: dict[str, str]) -> None:
        self.attributes = attributes
        self._grep = Grep(query.grep, ignore_case=query.ignore_case) if query.grep else None
        self._streams = {"stdout": query.stdout, "stderr": query.stderr}
        self._all = query.stdout and query.stderr
        # docker-py asks for the output of what it runs, and reads when it has removed the container.
        self._reader = LogReader(path, since=query.since, until=query.until, tail=query.tail, outlives=True)

    def read(self) -> Iterator[Run]:
        """What is there now and was not read yet."""
        found = self._reader.runs()
        if not self._all:
            found = (run for run in found if self._streams[run.stream])
        return self._grep.select(found) if self._grep else found

    def read_until(self, place: tuple[int, int]) -> Iterator[Run]:
        """What the log had when it had come to a place; see ``LogReader.runs_until``."""
        found = self._reader.runs_until(*place)
        return found if self._all else (run for run in found if self._streams[run.stream])

    def rest(self) -> Iterator[Run]:
        """What can be told only when nothing more will come: a last line without an end that ``grep`` looks for."""
        return self._grep.rest() if self._grep else iter(())

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


class Logs:
    """The logs of this engine's containers."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def open(self, name: str | Container, query: LogQuery) -> OpenLog:
        """The part of a container's log that ``query`` asks for.

        Raises:
            InvalidInput: the pattern is malformed.
            Unsupported: its log driver keeps nothing that could be read.
        """
        container = self._containers.get(name)
        if not container.options.log.keeps_file:
            raise Unsupported(
                "configured logging driver does not support reading",
                hint=f"the container was made with --log-driver {container.options.log.driver}",
            )
        return OpenLog(self._containers.log_path(container), query, logconfig.attributes(container))

    def iterate(self, name: str | Container, query: LogQuery, *, follow: bool) -> Iterator[LogRecord]:
        """What has been printed, and with ``follow`` what still will be."""
        container = self._containers.get(name)
        log = self.open(container, query)
        try:
            if follow:
                with self._containers.open_follow(container) as grown:
                    going = True
                    while going:
                        yield from _records(log.read())
                        going = bool(grown.recv(1 << 12))
            yield from _records(log.read())
            yield from _records(log.rest())
        finally:
            log.close()


def _records(found: Iterator[Run]) -> Iterator[LogRecord]:
    for run in found:
        yield from run.records()
