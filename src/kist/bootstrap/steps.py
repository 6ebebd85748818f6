"""The steps of a bootstrap, told as events."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kist.errors import KistError, from_os_error
from kist.spec.interface import Progress
from kist.spec.progress import StepFinished, StepOutput, StepProgress, StepStarted, Warned

# An event for each percent is as much as anybody can see.
_PARTS = 100


class Step:
    """One step that has begun; its methods may be called from any thread."""

    def __init__(self, identity: str, tell: Progress) -> None:
        self._id = identity
        self._tell = tell
        self._lock = threading.Lock()
        self._total = self._done = self._told = 0
        self.cached = False
        self.result = ""

    def expect(self, total: int) -> None:
        """Say how many bytes there are to do."""
        self._total = total
        self._tell(StepProgress(self._id, 0, total, "bytes"))

    def advance(self, count: int) -> None:
        """Say that ``count`` more bytes are done."""
        with self._lock:
            self._done = min(self._done + count, self._total)
            if self._done - self._told < self._total / _PARTS and self._done < self._total:
                return
            self._told = self._done
            self._tell(StepProgress(self._id, self._done, self._total, "bytes"))

    def output(self, stream: str, data: bytes) -> None:
        """Pass on what a command printed."""
        self._tell(StepOutput(self._id, stream, data.decode("utf-8", "replace")))

    def warn(self, text: str) -> None:
        """Tell something that the user should know."""
        self._tell(Warned(text))


class Steps:
    """The steps of one bootstrap, counted."""

    def __init__(self, tell: Progress | None, *, total: int) -> None:
        self._tell = tell or _tell_nobody
        self._total = total
        self._number = 0

    def more(self, count: int) -> None:
        """Say that there are more steps than was thought."""
        self._total += count

    @contextmanager
    def step(self, identity: str, title: str) -> Iterator[Step]:
        """A step, finished at the end of the block, with the error that ends it.

        Raises:
            Unavailable, Forbidden, KistError: in place of an ``OSError`` of the block; the disk is full, for one.
        """
        self._number += 1
        self._tell(StepStarted(identity, title, self._number, self._total))
        step, started = Step(identity, self._tell), time.monotonic()
        try:
            try:
                yield step
            except OSError as error:
                raise from_os_error(error, title) from error
        except KistError as error:
            self._tell(StepFinished(identity, time.monotonic() - started, error=error.message))
            raise
        self._tell(StepFinished(identity, time.monotonic() - started, cached=step.cached, result=step.result))


def _tell_nobody(_: object) -> None:
    pass
