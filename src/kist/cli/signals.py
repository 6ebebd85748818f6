"""Signals as events on a descriptor, so that one loop sees them together with everything else."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable
    from types import FrameType
    from typing import Any, Self
else:
    # Without the enumerations that the standard library wraps around it: they take 5 ms.
    import _signal as signal

# What Docker's --sig-proxy passes on, without those that a terminal's job control needs.
PROXIED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
RESIZED = signal.SIGWINCH


class SignalPipe:
    """Catches signals for the length of a ``with`` block; their numbers arrive on ``fd``, one byte each."""

    def __init__(self, numbers: "Iterable[int]") -> None:
        self._numbers = tuple(numbers)
        self._before: dict[int, Any] = {}
        self.fd = -1
        self._write_end = -1

    def __enter__(self) -> "Self":
        """Install the handlers."""
        self.fd, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _taken) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handlers that were."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write_end)

    def take(self) -> bytes:
        """The numbers of the signals that came, in order."""
        try:
            return os.read(self.fd, 64)
        except BlockingIOError:
            return b""


def _taken(_number: int, _frame: "FrameType | None") -> None:
    """The wake-up descriptor has told it already."""


def exists(word: str) -> bool:
    """Whether ``word`` names a signal of this machine: ``TERM``."""
    return word.isalnum() and hasattr(signal, f"SIG{word}")


def name(number: int) -> str:
    """``TERM`` for 15."""
    for word, value in vars(signal).items():
        if value == number and word.startswith("SIG") and not word.startswith("SIG_"):
            return word.removeprefix("SIG")
    return str(number)
