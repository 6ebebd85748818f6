"""Both directions of an attached stream at once, in one thread: our input in, the container's output out."""

import _socket
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_READ = 256 * 1024
_IN, _OUT, _GONE = select.POLLIN, select.POLLOUT, select.POLLHUP | select.POLLERR


class Stream:
    """A hijacked connection: raw bytes both ways, with half-close."""

    __slots__ = ("_early", "_socket")

    def __init__(self, connected: "_socket.socket", early: bytes = b"") -> None:
        self._socket = connected
        self._early = early

    def fileno(self) -> int:
        """The descriptor, for poll."""
        return self._socket.fileno()

    def receive(self) -> "bytes | None":
        """What has arrived: empty at the end of the stream, None when there is nothing yet (non-blocking mode)."""
        if self._early:
            data, self._early = self._early, b""
            return data
        try:
            return self._socket.recv(_READ)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def send(self, data: "bytes | memoryview") -> int:
        """Send what fits; raises BrokenPipeError when the other end does not read any more."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except ConnectionResetError as error:
            raise BrokenPipeError from error

    def half_close(self) -> None:
        """Say that our input has ended; output still comes."""
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError:
            return  # the other end is gone already, which receive() will tell

    def nonblocking(self) -> None:
        """Let ``receive`` and ``send`` return at once."""
        self._socket.setblocking(False)

    @property
    def has_early(self) -> bool:
        """Whether bytes came together with the response's head."""
        return bool(self._early)

    def close(self) -> None:
        """Close it; a second call does nothing."""
        self._socket.close()


class Pump:
    """Moves bytes until the stream ends.

    Args:
        stream: the attached container.
        output: gets what the container sends; blocking is fine, the container then waits.
        read_input: gives the next piece of our input; empty at its end. Called when ``input_fd`` is readable.
        input_fd: what to poll for input; -1 for none.
        watch: further descriptors and what to call when they become readable. A call that gives True ends the pump.
        output_fd: where the output goes, of which to notice that nobody reads it, once our input has ended; -1 for no
            such care.
    """

    def __init__(
        self,
        stream: Stream,
        output: "Callable[[bytes], None]",
        *,
        read_input: "Callable[[], bytes] | None" = None,
        input_fd: int = -1,
        watch: "dict[int, Callable[[], bool]] | None" = None,
        output_fd: int = -1,
    ) -> None:
        self._stream = stream
        self._output = output
        self._read_input = read_input
        self._input_fd = input_fd if read_input else -1
        self._watch = watch or {}
        self._output_fd = output_fd
        self._pending = memoryview(b"")
        self._input_open = read_input is not None
        self._polled = False

    def preload(self, data: bytes) -> None:
        """Input that is at hand; sent before anything that is read. Without ``read_input`` the input ends after it."""
        self._pending = memoryview(data)

    def run(self) -> bool:
        """Work until the stream ends. True when it did, False when a watcher ended the pump, or nobody hears it."""
        self._stream.nonblocking()
        poll = select.poll()
        for fd in self._watch:
            poll.register(fd, _IN)
        while True:
            if self._stream.has_early:
                events = [(self._stream.fileno(), _IN)]
            else:
                self._interest(poll)
                events = poll.poll()
            for fd, mask in events:
                if fd in self._watch:
                    if self._watch[fd]():
                        return False
                elif fd == self._stream.fileno():
                    if not self._move(mask):
                        return True
                elif fd == self._output_fd:
                    return False
                else:
                    self._take_input()

    def _interest(self, poll: "select.poll") -> None:
        """Input is read only when the last piece is out: what the container does not read stays in our pipe.

        An input that is not wanted is taken out of the set, since poll reports a hang-up whatever the mask.
        """
        poll.register(self._stream.fileno(), _IN | _OUT if self._pending else _IN)
        wanted = self._input_fd >= 0 and self._input_open and not self._pending
        if wanted and not self._polled:
            poll.register(self._input_fd, _IN)
        elif self._polled and not wanted:
            poll.unregister(self._input_fd)
        self._polled = wanted
        if self._output_fd >= 0 and not self._input_open:
            poll.register(self._output_fd, 0)

    def _move(self, mask: int) -> bool:
        if mask & _OUT and self._pending:
            self._send()
        if mask & (_IN | _GONE):
            data = self._stream.receive()
            if data == b"":
                return False
            if data:
                self._output(data)
        return True

    def _take_input(self) -> None:
        data = self._read_input() if self._read_input else b""
        if data:
            self._pending = memoryview(data)
            self._send()
        else:
            self._end_input()

    def _send(self) -> None:
        try:
            self._pending = self._pending[self._stream.send(self._pending) :]
        except BrokenPipeError:
            self._pending = memoryview(b"")
            self._end_input()
            return
        if not self._pending and self._read_input is None:
            self._stream.half_close()

    def _end_input(self) -> None:
        self._input_open = False
        self._stream.half_close()
