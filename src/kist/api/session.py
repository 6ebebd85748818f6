"""Attached streams: a client's connection and the engine's socket, joined until both directions have ended.

Nothing here holds a thread, and a direction not even a task: the event loop calls when there is something to move. Each
direction moves at the pace of its slower end (a full socket stops the reading of the other), each ends on its own
(half-close), and a client that vanishes frees everything.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from kist.api.hangups import Hangups
from kist.api.logstream import Replay
from kist.errors import KistError
from kist.spec.detach import DetachKeys

_CHUNK = 64 << 10
_LINGER_SECONDS = 5.0
# A minute in all: a busy machine may leave a client alone for seconds.
_PAUSES = (0.0,) * 20 + (0.001,) * 200 + (0.01,) * 100 + (0.1,) * 600


class Leaving(NamedTuple):
    """How a client of a terminal detaches.

    Attributes:
        keys: what is typed to detach; none where there are none.
        note: called when that was typed, before the engine's end is closed.
    """

    keys: bytes
    note: Callable[[], Awaitable[None]]


class _Way:
    """One direction: what comes from one socket goes to the other; the next is read when all of the last has gone.

    Args:
        source, sink: both do not block.
        through: what becomes of bytes on their way; nothing drops them.
        ended: called once, when nothing more comes and all has gone; ``lost`` in its place when the sink takes no more.
    """

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        through: Callable[[bytes], bytes],
        ended: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source.fileno()
        self._sink = sink.fileno()
        self._receive = source.recv
        self._send = sink.send
        self._through = through
        self._ended = ended
        self._lost = lost
        self._pending = memoryview(b"")
        self._reads = self._writes = self._done = False

    def begin(self, early: bytes = b"") -> None:
        """Move what comes, and ahead of it what has come already; nothing after the end."""
        if self._done:
            return
        if early:
            self._pass(early)
        if not self._pending:
            self._read_on()

    def end(self) -> None:
        """Move nothing more, whoever would begin again; the sockets may be closed then."""
        self._done = True
        self.stop()

    def stop(self) -> None:
        """Move nothing for now, and drop what has not gone yet."""
        self._read_off()
        if self._writes:
            self._loop.remove_writer(self._sink)
            self._writes = False
        self._pending = memoryview(b"")

    def give_up(self) -> None:
        """Let the sink alone: what has not gone yet is dropped, and so is all that comes until the end."""
        self.stop()
        self._through = _nothing
        self._read_on()

    def _read_on(self) -> None:
        if not self._reads and not self._done:
            self._loop.add_reader(self._source, self._read)
            self._reads = True

    def _read_off(self) -> None:
        if self._reads:
            self._loop.remove_reader(self._source)
            self._reads = False

    def _read(self) -> None:
        try:
            data = self._receive(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""  # a reset is an end as well
        if data:
            self._pass(data)
        else:
            self.end()
            self._ended()

    def _pass(self, data: bytes) -> None:
        self._pending = memoryview(self._through(data))
        if self._pending:
            self._write()

    def _write(self) -> None:
        try:
            self._pending = self._pending[self._send(self._pending) :]
        except (BlockingIOError, InterruptedError):
            pass  # there is no room yet
        except OSError:
            self.stop()
            self._lost()
            return
        if not self._pending:
            if self._writes:
                self._loop.remove_writer(self._sink)
                self._writes = False
                self._read_on()
        elif not self._writes:
            self._read_off()
            self._loop.add_writer(self._sink, self._write)
            self._writes = True


class Session:
    """One attached stream.

    Args:
        client: the client's connection, taken from HTTP.
        engine: the engine's end; its end of file is the stream's.
        hangups: tells of clients that vanish after a half-close.
        early: what the client had sent already.
        forward: whether the client's bytes are wanted; otherwise they are read and dropped.
        before: what the client gets ahead of the engine's stream.
        leaving: by which keys the client detaches.
        patient: whether the stream waits until the client has read the answer's head.
    """

    def __init__(
        self,
        client: socket.socket,
        engine: socket.socket,
        hangups: Hangups,
        *,
        early: bytes,
        forward: bool,
        before: Replay | None = None,
        leaving: Leaving | None = None,
        patient: bool = True,
    ) -> None:
        self._client = client
        self._engine = engine
        self._hangups = hangups
        self._early = early
        self._forward = forward
        self._before = before
        self._leaving = leaving
        self._keys = DetachKeys(leaving.keys if leaving else b"")
        self._head_unread = patient
        self._left = self._vanished = False
        # For what is seldom: a client that has ended its input, keys that detach, what comes before the stream.
        self._tasks: list[asyncio.Task[None]] = []
        self._over: asyncio.Future[None]
        self._input_over: asyncio.Future[None]
        self._up: _Way
        self._down: _Way

    async def run(self) -> None:
        """Carry both directions until the engine's has ended or the client is gone; closes both sockets."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        self._input_over = loop.create_future()
        self._up = _Way(self._client, self._engine, self._typed, self._input_ended, self._refused)
        self._down = _Way(self._engine, self._client, self._printed, self._end, self._end)
        try:
            self._up.begin(self._early)
            if self._before is None:
                self._down.begin()
            else:
                self._do(self._tell(self._before))
            await self._over
            self._down.end()  # also where the client has detached, and what waits for it to read the head goes on
            if self._left:
                self._up.give_up()
                self._engine.close()  # the container need not wait for who lingers below
            if not self._vanished:
                await self._say_goodbye()
        finally:
            self._up.end()
            self._down.end()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._client.close()
            self._engine.close()
            if self._before is not None:
                self._before.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    # from the engine

    def _printed(self, data: bytes) -> bytes:
        if self._head_unread and _unread(self._client):
            self._down.stop()
            self._do(self._print_later(data))
            return b""
        self._head_unread = False
        return data

    async def _print_later(self, data: bytes) -> None:
        await self._until_read()
        self._down.begin(data)

    async def _tell(self, before: Replay) -> None:
        await self._until_read()
        try:
            async for data in before:
                await asyncio.get_running_loop().sock_sendall(self._client, data)
        except OSError:
            self._end()
        else:
            self._down.begin()

    async def _until_read(self) -> None:
        """Wait a while for the client to read what was sent: the answer's head.

        docker-py reads the head through a buffer and the stream past it: what had arrived together with the head it
        loses. Docker's own engine is so much slower that it is rarely seen there.
        """
        for pause in _PAUSES if self._head_unread else ():
            if not _unread(self._client):
                break
            await asyncio.sleep(pause)
        self._head_unread = False

    # from the client

    def _typed(self, data: bytes) -> bytes:
        if not self._forward:
            return b""
        passed = self._keys.feed(data)
        if self._keys.detached:
            self._forward = False  # what is typed after the keys is for nobody
            self._do(self._leave())
        return passed

    async def _leave(self) -> None:
        assert self._leaving is not None
        with contextlib.suppress(KistError):  # it has ended just now
            await self._leaving.note()
        self._left = True
        self._end()

    def _refused(self) -> None:
        self._forward = False  # the container closed its input; its output goes on
        self._up.give_up()

    def _input_ended(self) -> None:
        """Bring the client's end to the engine; from now on only its hanging up tells that it has gone."""
        if self._forward:
            _half_close(self._engine)
        self._input_over.set_result(None)
        if not self._over.done():
            self._do(self._until_vanished())

    async def _until_vanished(self) -> None:
        await self._hangups.wait(self._client)
        self._vanished = True
        self._end()

    async def _say_goodbye(self) -> None:
        """End our direction, and let the client end its own: closing over unread bytes would reset the connection."""
        _half_close(self._client)
        self._forward = False
        await asyncio.wait((self._input_over,), timeout=_LINGER_SECONDS)


def _half_close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is gone already
        end.shutdown(socket.SHUT_WR)


def _unread(connection: socket.socket) -> bool:
    """Whether the other end has not yet read all that was sent (unix(7), SIOCOUTQ)."""
    return bool(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def _nothing(_: bytes) -> bytes:
    return b""
