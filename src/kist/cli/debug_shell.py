"""``kist build --debug-shell``: this terminal for the shell of a failed step, over the build session."""

import os
import signal
import threading

from kist.cli import signals
from kist.cli.terminal import RawTerminal, size
from kist.client.part import write_all
from kist.client.pump import Pump
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Self

    from kist.cli.context import Context
    from kist.client.jobs import Event, Show
    from kist.client.pump import Stream

_READ = 64 * 1024
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class DebugShell:
    """Serves shells, one at a time; a context manager, to be entered in the main thread, for signals are its.

    Args:
        context: the command's.

    Raises:
        InvalidInput: there is no terminal.
    """

    def __init__(self, context: "Context") -> None:
        if not (os.isatty(0) and os.isatty(2)):
            raise InvalidInput(
                "--debug-shell needs a terminal, and this is none", hint="leave it out, or run the build at a terminal"
            )
        self._context = context
        # Held while a shell has the terminal: whoever shows something else waits.
        self._alone = threading.Lock()
        self._signals = signals.SignalPipe((signals.RESIZED,))
        self._raw: RawTerminal | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Self":
        """Hear of changes of the terminal's size, and of signals that end us: the terminal is given back before."""
        self._signals.__enter__()
        self._before = {number: signal.signal(number, self._end) for number in _ENDING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._signals.__exit__()

    def _end(self, number: int, _frame: "FrameType | None") -> None:
        if self._raw is not None:
            self._raw.__exit__()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def beside(self, show: "Show") -> "Show":
        """What shows events as ``show`` does, and not while a shell has the terminal."""

        def shown(event: "Event") -> None:
            with self._alone:
                show(event)

        return shown

    def serve(self, stream: "Stream", failed: str, tell: "Callable[[int, int], None]") -> None:
        """Give the terminal to a shell until it ends.

        Args:
            stream: the shell's terminal.
            failed: the exit code and the words of what has failed.
            tell: called with height and width.
        """

        def resize() -> None:
            height, width = size(2)
            if height:
                tell(height, width)

        def on_signal() -> bool:
            if self._signals.take():
                resize()
            return False

        code, _, words = failed.partition(" ")
        with self._alone:
            self._context.note(
                f"{words}\nended with {code}. This is a shell where it failed; exit ends it, and the build."
            )
            with RawTerminal(0) as self._raw:
                resize()
                pump = Pump(
                    stream,
                    lambda data: write_all(2, data),
                    read_input=lambda: os.read(0, _READ),
                    input_fd=0,
                    watch={self._signals.fd: on_signal},
                )
                pump.run()
            self._raw = None
