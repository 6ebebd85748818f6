"""A terminal or three pipes on this side, a container's streams on the other, until one of them ends."""

import os

from kist.cli import signals
from kist.client.frames import STDERR, Demultiplexer
from kist.client.part import write_all
from kist.client.pump import Pump
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.cli.context import Context
    from kist.client.pump import Stream

_READ = 64 * 1024
DETACHED = -1
# So many SIGINT and SIGTERM end the client whose container does not end by them, as in Docker.
_LAST_INTERRUPT = 3


class Session:
    """An attached stream and what the caller wants of it.

    Args:
        context: the command's.
        stream: the upgraded connection.
        tty: whether the container has a terminal: then the stream is raw bytes, else frames.
        stdin: whether our standard input goes to the container.
        resize_path: where a new terminal size is posted.
        kill: passes a signal on; None to let signals end us as usual.
        keys: the sequence that detaches.
        bound: the container ends with us.
    """

    def __init__(
        self,
        context: "Context",
        stream: "Stream",
        *,
        tty: bool,
        stdin: bool,
        resize_path: str = "",
        kill: "Callable[[str], None] | None" = None,
        keys: bytes = b"\x10\x11",
        bound: bool = False,
    ) -> None:
        self._context = context
        self._stream = stream
        self._tty = tty
        self._stdin = stdin
        self._resize_path = resize_path
        self._kill = kill
        self._keys = keys
        self._bound = bound
        self._demultiplexer = Demultiplexer()
        self.ended_by = 0  # the signal that ended us, or DETACHED
        self._interrupts = 0

    @property
    def exit_code(self) -> "int | None":
        """What the stream has told at its end; None where it has told none."""
        return self._demultiplexer.exit_code

    @property
    def _proxies(self) -> bool:
        """Whether signals go to the container; where our terminal is its terminal, its keys do that."""
        return self._kill is not None and not (self._tty and self._stdin)

    def run(self) -> bool:
        """Move bytes until the container's side ends. False when ``ended_by`` says what ended it before that."""
        if self._tty and self._stdin and os.isatty(0):
            from kist.cli.terminal import RawTerminal  # noqa: PLC0415 - for -t only

            with RawTerminal(0):
                return self._pump()
        return self._pump()

    def _pump(self) -> bool:
        watched = signals.PROXIED if self._proxies else signals.ENDING if self._tty else ()
        with signals.SignalPipe((*watched, signals.RESIZED) if self._tty else watched) as pipe:

            def on_signal() -> bool:
                return any(self._signal(number) for number in pipe.take())

            pump = Pump(
                self._stream,
                self._raw if self._tty else self._framed,
                read_input=self._reader() if self._stdin else None,
                input_fd=0,
                watch={pipe.fd: on_signal},
            )
            if self._tty:
                self.resize()
            try:
                return pump.run()
            except Detached:
                self.ended_by = DETACHED
                return False
            except Ended:
                return True

    def resize(self) -> None:
        """Tell the container's terminal the size of ours."""
        from kist.cli.terminal import size  # noqa: PLC0415 - for -t only

        rows, columns = size(1)
        if not rows or not self._resize_path:
            return
        try:
            self._context.wire.call("POST", self._resize_path, [("h", rows), ("w", columns)])
        except KistError:
            return  # it has ended, or has not begun: its size does not matter then

    def _signal(self, number: int) -> bool:
        """Act on a signal; True when it ends the session."""
        if number == signals.RESIZED:
            self.resize()
            return False
        if not self._proxies or not self._kill:
            self.ended_by = number
            return True
        self._interrupts += number in signals.INTERRUPTS
        if self._interrupts >= _LAST_INTERRUPT:
            what = "killing the container" if self._bound else "leaving, and the container goes on"
            self._context.note(f"kist: {_LAST_INTERRUPT} interrupts: {what}")
            self.ended_by = number
            return True
        try:
            self._kill(signals.name(number))
        except KistError:
            return False  # it has ended already; the stream will say so
        return False

    def _raw(self, data: bytes) -> None:
        write_all(1, data)

    def _framed(self, data: bytes) -> None:
        for stream, payload in self._demultiplexer.feed(data):
            write_all(2 if stream == STDERR else 1, payload)
        if self._demultiplexer.exit_code is not None:
            raise Ended

    def _reader(self) -> "Callable[[], bytes]":
        if not self._tty:
            return lambda: os.read(0, _READ)
        from kist.spec.detach import DetachKeys  # noqa: PLC0415 - for -t only

        keys = DetachKeys(self._keys)

        def read() -> bytes:
            while data := os.read(0, _READ):
                passed = keys.feed(data)
                if keys.detached:
                    raise Detached
                if passed:
                    return passed
            return b""

        return read


class Detached(Exception):
    """The detach keys were typed."""


class Ended(Exception):
    """The stream has told the exit code, after which nothing comes."""
