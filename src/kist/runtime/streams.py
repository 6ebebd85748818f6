"""A process's standard streams, between its pipes or terminal, the log, and everybody who is attached.

Nothing is lost and nothing grows: when an attached client has ``_LIMIT`` bytes waiting, the container's output is not
read until the client has taken some (as Docker does), so a slow client slows the container down. One that goes away
does not.
"""

from __future__ import annotations

import fcntl
import os
import struct

from kist.kernel.lean import socket
from kist.runtime import loop as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.runtime.health import Output
    from kist.runtime.logforward import Forwarder
    from kist.runtime.logwriter import LogWriter

_CHUNK = 1 << 16
_LIMIT = 1 << 18
# What a terminal may hold back (tty_buffer.c of the kernel has 640 KiB for each direction).
_TERMINAL_CAPACITY = 1 << 20
_FRAME_NUMBERS = {"stdout": 1, "stderr": 2, "end": 4}
"""As Docker has them, and a word of our own at the end of a stream: the exit code, in decimal digits."""


class Client:
    """Somebody attached: a stream socket, what it wants, what it has not yet taken."""

    def __init__(self, connection: socket.socket, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.stdin = stdin
        self.wants = {"stdout": stdout, "stderr": stderr}
        self.pending = bytearray()
        self.finishing = False
        self.held = False


class Streams:
    """The standard streams of one process.

    Args:
        loop: where descriptors are watched.
        log: gets everything that is printed; None for a process without a log (exec, build steps).
        stdin_once: close standard input when the first attached client that feeds it has ended.
        on_idle: called when the process has ended and the last client has all it wanted.
        on_output: called after output went to the log.

    ``on_stdin_closed`` is called when the process's standard input has been closed here: the keeper must let go too.
    ``on_vanished`` is called when an attached client has gone, both ways, while the process lives.
    """

    def __init__(
        self,
        loop: events.Loop,
        log: LogWriter | Forwarder | Output | None,
        *,
        stdin_once: bool,
        on_idle: Callable[[], None],
        on_output: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._stdin_once = stdin_once
        self._on_idle = on_idle
        self._on_output = on_output
        self._outputs: dict[int, str] = {}
        self._clients: list[Client] = []
        self._stdin = -1
        self._stdin_pending = b""
        self._input_over = False
        self._paused = False
        self._ended = False
        self._framed = True
        self._slave = -1
        self._awaiting_terminal = False
        self.terminal = -1
        self.on_stdin_closed: Callable[[], None] = nothing
        self.on_vanished: Callable[[], None] = nothing

    # set-up

    def use_pipes(self, stdin: int, stdout: int, stderr: int) -> None:
        """Take the monitor's ends of the pipes; ``stdin`` is -1 when nothing is to be fed."""
        self._stdin = stdin
        if stdin >= 0:
            os.set_blocking(stdin, False)
        for descriptor, stream in ((stdout, "stdout"), (stderr, "stderr")):
            if descriptor >= 0:  # a pipe may be lost when monitor and keeper died
                self._add_output(descriptor, stream)

    def descriptors(self) -> dict[str, int]:
        """What the keeper has to hold for a successor: the ends of the pipes, or both sides of the terminal."""
        if self.terminal >= 0:
            return {"master": self.terminal, "slave": self._slave}
        return {"stdin": self._stdin, **{stream: number for number, stream in self._outputs.items()}}

    def pipes(self) -> list[int]:
        """The inodes of the pipes for 0, 1 and 2; 0 for what is no pipe, or is closed."""
        have = self.descriptors()
        found = (have.get(stream, -1) for stream in ("stdin", "stdout", "stderr"))
        return [os.fstat(number).st_ino if number >= 0 else 0 for number in found]

    def await_terminal(self) -> None:
        """A terminal will come: what is fed before it is there is kept for it."""
        self._awaiting_terminal = True

    def use_terminal(self, master: int, slave: int) -> None:
        """Take the process's terminal; the slave side is kept, so that it does not end before the process."""
        self.terminal = master
        self._slave = slave
        self._framed = False
        self._stdin = master
        self._awaiting_terminal = False
        self._add_output(master, "stdout")
        if self._stdin_pending:
            self._write_stdin()

    def attach(self, client: Client) -> None:
        """Add a client; it sees what is printed from now on."""
        self._clients.append(client)
        if self._ended:
            self._finish(client)
        else:
            self._watch(client)

    def attach_to_log(self, client: Client) -> tuple[int, int]:
        """Add a client that reads the log first: up to the inode and size given here, and it sees what follows.

        A line that has no end yet is not in the log; the client gets what there is of it.
        """
        inode, size, rests = self._log.reached() if self._log is not None else (0, 0, {})
        for stream, rest in rests.items():
            if rest and client.wants[stream]:
                client.pending += self._frame(stream, rest)
        self.attach(client)
        return inode, size

    def release(self, client: Client) -> None:
        """Let a client that was attached with ``held`` set have what it missed, and go on."""
        client.held = False
        if client in self._clients:
            self._flush(client)

    # from the process

    def _add_output(self, descriptor: int, stream: str) -> None:
        os.set_blocking(descriptor, False)
        self._outputs[descriptor] = stream
        self._watch_process()

    def _watch_process(self) -> None:
        """Watch the process's descriptors for what is wanted of them now.

        That is output unless it is held back, and room for input that waits. A terminal is both in one, so the whole is
        worked out anew at every change.
        """
        for descriptor in self._outputs:
            wanted = 0 if self._paused else events.READ
            if descriptor == self._stdin and self._stdin_pending:
                wanted |= events.WRITE
            if wanted:
                self._loop.watch(descriptor, wanted, self._process_watcher(descriptor))
            else:
                self._loop.forget(descriptor)
        if self._stdin >= 0 and self._stdin != self.terminal:
            if self._stdin_pending:
                self._loop.watch(self._stdin, events.WRITE, lambda _: self._write_stdin())
            else:
                self._loop.forget(self._stdin)

    def _process_watcher(self, descriptor: int) -> Callable[[int], None]:
        def ready(event: int) -> None:
            if event & events.WRITE:
                self._write_stdin()
            if event & (events.READ | events.CLOSED) and not self._paused:
                self._read_output(descriptor)

        return ready

    def _read_output(self, descriptor: int, most: int = _CHUNK) -> int:
        """Read once, at most so many bytes; how many there were."""
        try:
            data = os.read(descriptor, most)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # a terminal that was hung up
        if data:
            self._spread(self._outputs[descriptor], data)
        else:
            self._drop_output(descriptor)
        return len(data)

    def _drop_output(self, descriptor: int) -> None:
        self._loop.forget(descriptor)
        del self._outputs[descriptor]
        if descriptor == self.terminal:
            self.terminal = self._stdin = -1
            self._stdin_pending = b""
            os.close(self._slave)
        os.close(descriptor)

    def _spread(self, stream: str, data: bytes) -> None:
        if self._log is not None:
            self._log.write(stream, data)
            self._on_output()
        framed = self._frame(stream, data)
        for client in [client for client in self._clients if client.wants[stream]]:
            client.pending += framed
            self._flush(client)
        self._pause_or_resume()

    def _frame(self, stream: str, data: bytes) -> bytes:
        return struct.pack(">BxxxL", _FRAME_NUMBERS[stream], len(data)) + data if self._framed else data

    def relieve(self) -> None:
        """The log takes output again."""
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        paused = any(len(client.pending) > _LIMIT for client in self._clients) or (
            self._log is not None and self._log.full
        )
        if paused != self._paused and not self._ended:
            self._paused = paused
            self._watch_process()

    def close_terminal(self) -> None:
        """Close both sides of the terminal here: once the keeper has too, it is hung up for who has it still."""
        if self.terminal >= 0:
            self._drop_output(self.terminal)

    # to and from clients

    def _watch(self, client: Client) -> None:
        if client.held:
            return
        wanted = 0
        if client.stdin and not self._stdin_pending and not client.finishing:
            wanted |= events.READ
        if client.pending:
            wanted |= events.WRITE
        self._loop.watch(client.connection.fileno(), wanted, lambda event: self._client_ready(client, event))

    def _client_ready(self, client: Client, event: int) -> None:
        if event & events.READ and client.stdin:
            self._read_client(client)
        elif event & events.CLOSED:
            self._hang_up(client)
        if event & events.WRITE and client in self._clients:
            self._flush(client)
            self._pause_or_resume()

    def _read_client(self, client: Client) -> None:
        try:
            data = client.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(client)
            if client in self._clients:
                self._drop(client)
            return
        if data:
            self._feed(data)
        else:
            client.stdin = False
            self._input_ended()
        if client in self._clients:
            self._watch(client)

    def _flush(self, client: Client) -> None:
        if client.held:
            return
        try:
            while client.pending:
                sent = client.connection.send(client.pending)
                del client.pending[:sent]
        except BlockingIOError:
            self._watch(client)
            return
        except OSError:
            self._hang_up(client)
            return
        if client.finishing:
            self._drop(client)
        else:
            self._watch(client)

    def _hang_up(self, client: Client) -> None:
        """The client has gone and takes no more; what it sent before is still the process's input."""
        if not self._ended:
            self.on_vanished()
        if not client.stdin or self._ended:
            self._drop(client)
            return
        client.wants = {"stdout": False, "stderr": False}
        client.pending.clear()
        if self._stdin_pending:
            # It would be reported as closed again and again. ``_write_stdin`` takes it up once there is room.
            self._loop.forget(client.connection.fileno())
        else:
            self._watch(client)
        self._pause_or_resume()

    def _drop(self, client: Client) -> None:
        self._loop.forget(client.connection.fileno())
        _close(client.connection)
        self._clients.remove(client)
        if client.stdin:
            client.stdin = False
            self._input_ended()
        self._pause_or_resume()
        if self._ended and not self._clients:
            self._on_idle()

    # to the process

    def _feed(self, data: bytes) -> None:
        if self._stdin < 0 and not self._awaiting_terminal:
            return
        self._stdin_pending += data
        self._write_stdin()

    def _write_stdin(self) -> None:
        try:
            while self._stdin_pending and self._stdin >= 0:
                written = os.write(self._stdin, self._stdin_pending)
                self._stdin_pending = self._stdin_pending[written:]
        except BlockingIOError:
            self._watch_process()
            return
        except OSError:
            # The process has closed its standard input: what is still sent has no reader.
            self._stdin_pending = b""
            self._close_stdin()
        if self._input_over:
            self._close_stdin()
        self._watch_process()
        for client in self._clients:
            self._watch(client)

    def _input_ended(self) -> None:
        if self._stdin_once:
            self._input_over = True
            if not self._stdin_pending:
                self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and self._stdin != self.terminal:
            self._loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
            self._stdin_pending = b""
            if not self._ended:
                self.on_stdin_closed()

    # the end

    def end(self) -> None:
        """The process has ended: ``drain``, then ``finish``."""
        self.drain()
        self.finish()

    def drain(self) -> None:
        """Take the rest of the output of a process that has ended, and close the log.

        The rest is what the pipes hold, and no more: a child that an exec'd process left behind may go on writing.
        """
        self._ended = True
        for descriptor in list(self._outputs):
            self._drain(descriptor)
        self._close_stdin()
        if self._log is not None:
            self._log.close()

    def finish(self, exit_code: int | None = None) -> None:
        """Let the clients have what is theirs, and go; they are told the exit code, where one is given."""
        last = b"" if exit_code is None or not self._framed else self._frame("end", str(exit_code).encode())
        for client in list(self._clients):
            client.pending += last
            self._finish(client)

    def _drain(self, descriptor: int) -> None:
        left = _capacity(descriptor)
        while left > 0 and (size := self._read_output(descriptor, min(left, _CHUNK))):
            left -= size
        if descriptor in self._outputs:
            self._drop_output(descriptor)

    @property
    def idle(self) -> bool:
        """Whether the process has ended and nobody waits for output."""
        return self._ended and not self._clients

    def _finish(self, client: Client) -> None:
        client.finishing = True
        client.stdin = False
        self._flush(client)


def nothing() -> None:
    """For who wants to hear of nothing; one function costs a monitor less than a lambda wherever it is said."""


def _close(connection: socket.socket) -> None:
    """Close so that the other side reads to a plain end: input that nobody took would make it an error there."""
    try:
        connection.shutdown(socket.SHUT_RD)
        while connection.recv(_CHUNK):
            pass
    except OSError:
        return  # it has gone already
    finally:
        connection.close()


def _capacity(descriptor: int) -> int:
    """How many bytes can be waiting in a pipe, or in a terminal, which does not tell."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    except OSError:
        return _TERMINAL_CAPACITY
