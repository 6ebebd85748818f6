"""What the commands of one build have of one another: connected networks, and time to tidy up."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from kist.engine.step_networks import StepNetworks
from kist.runtime.launch import Line


class StepSeries:
    """The commands of one build; a context manager, at whose end nothing is left of them. Safe from many threads.

    What a command has left is taken away while the next one is on its way to its program: the engine has nothing else
    to do then, and the build would wait for it before.

    Attributes:
        networks: connected ones, handed on.
    """

    def __init__(self, networks: StepNetworks) -> None:
        self.networks = networks
        self._lock = threading.Lock()
        self._left = ExitStack()
        self._lines: list[Line] = []
        self._expected = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.networks:
            while self._lines:
                self._lines.pop().close()
            self.tidy()

    def expect(self, commands: int) -> None:
        """So many will come at most: a monitor makes nothing ready for one that will not."""
        self._expected = commands

    def line(self) -> Line:
        """To a monitor that has nothing to do, or to a new one, for one command."""
        with self._lock:
            line = self._lines.pop() if self._lines else Line()
            self._expected -= 1
            line.goes_on = self._expected > 0
            return line

    def give_back(self, line: Line) -> None:
        """The monitor has done what it was asked for."""
        if line.is_done:
            line.close()
            return
        with self._lock:
            self._lines.append(line)

    def leave(self, call: Callable[[], object]) -> None:
        """Have this done when there is time, at the latest at the end."""
        with self._lock:
            self._left.callback(call)

    def tidy(self) -> None:
        """Do what has been left so far."""
        with self._lock:
            left = self._left.pop_all()
        left.close()  # each of them, also where one fails
