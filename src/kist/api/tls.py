"""TCP with mutual TLS: each connection is a pair of plain sockets to the API, and this file between it and the network.

So what the API does with a Unix socket (half-close, handing a connection over, noticing that somebody has gone) it does
with a caller from afar, too (docs/decisions/0031-tls-between-two-sockets.md).
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence

from kist.api.hangups import Hangups
from kist.api.places import FromAfar
from kist.errors import InvalidInput
from kist.spec.listening import TlsFiles
from kist.spec.tls import TlsEnd

_log = logging.getLogger(__name__)
_CHUNK = 64 << 10
_HANDSHAKE_SECONDS = 10.0
_HANDSHAKES = 256
_LINGER_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
# Somebody whose machine went away is noticed after two minutes.
_ALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))

Welcome = Callable[[socket.socket, FromAfar], None]


def context_of(files: TlsFiles) -> ssl.SSLContext:
    """What the engine shows and asks for: a certificate that one of ``ca`` has signed for clients.

    Raises:
        InvalidInput: a file cannot be read, or is not what it has to be; which.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # Each connection shows its certificate anew.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    with _told(f"{files.cert} and {files.key}"):
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    with _told(files.ca):
        context.load_verify_locations(files.ca)
    return context


class Certificates:
    """What ``context_of`` makes of files, and makes anew once they have changed: certificates run out.

    Raises:
        InvalidInput: as ``context_of``. Files that have become useless later are told of in the log, and those before
            stay good.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._look()
        self._context = context_of(files)

    def context(self) -> ssl.SSLContext:
        """The one for a new connection."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._context = context_of(self._files)
            except InvalidInput as error:  # one of a pair was written, perhaps, and the other one comes next
                _log.warning("the certificates have changed, and those before are shown still: %s", error)
        return self._context

    def _look(self) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        for path in (self._files.ca, self._files.cert, self._files.key):
            try:
                status = os.stat(path)
            except OSError:
                found.append((0,))
            else:
                found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        return found


def _no_password() -> str:
    raise InvalidInput("the key has a password, and nobody is there to be asked for it", hint="write it without one")


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        said = error.strerror if not isinstance(error, ssl.SSLError) else error.reason or str(error)
        raise InvalidInput(
            f"TLS cannot be set up with {what}: {said}", hint="they are PEM files, of one pair"
        ) from None


class TlsServer:
    """Takes connections, and joins each with a socket that ``welcome`` gets, with who calls.

    Args:
        listening: sockets of TCP, which this closes.
        files: the certificates.
        welcome: is given the API's end of each connection.
        patience: how many seconds a handshake may take.
    """

    def __init__(
        self,
        listening: Sequence[socket.socket],
        files: TlsFiles,
        welcome: Welcome,
        patience: float = _HANDSHAKE_SECONDS,
    ) -> None:
        self._certificates = Certificates(files)
        self._hangups = Hangups()
        self._welcome = welcome
        self._patience = patience
        # Those who shake hands, the one that does so for longest first.
        self._shaking: dict[asyncio.Task[None], None] = {}
        self._callers: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._doors = [loop.create_task(self._accept(each)) for each in listening]

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    network, _ = await loop.sock_accept(listening)
                except OSError as error:  # no descriptors, perhaps; there will be some
                    _log.warning("no connection can be taken: %s", error)
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                task = loop.create_task(self._receive(network))
                self._callers.add(task)
                self._shaking[task] = None
                task.add_done_callback(self._callers.discard)
                if len(self._shaking) > _HANDSHAKES:
                    self._send_away(next(iter(self._shaking)))
                await asyncio.sleep(0)  # an accept that need not wait lets nobody else have a turn

    def _send_away(self, oldest: "asyncio.Task[None]") -> None:
        """Have one who is slow to shake hands make room: nobody is kept out by others who connect and say nothing."""
        del self._shaking[oldest]
        oldest.cancel()

    async def _receive(self, network: socket.socket) -> None:
        """Shake hands with a caller, and carry what follows."""
        with network, contextlib.suppress(OSError):  # it has gone, or is nobody whom we know
            end = TlsEnd(self._certificates.context(), server=True)
            try:
                caller = _caller(network)
                async with asyncio.timeout(self._patience):
                    await _shake(network, end)
            finally:
                self._shaking.pop(_this_task(), None)
            ours, theirs = socket.socketpair()
            with ours:
                for each in (ours, theirs):
                    each.setblocking(False)
                self._welcome(theirs, FromAfar(caller, end.subject()))
                await Relay(network, ours, end, self._hangups).run()

    async def all_gone(self) -> None:
        """Wait until there are no connections."""
        while self._callers:
            await asyncio.wait(self._callers)

    def close(self) -> None:
        """Take no more connections; those that there are go on."""
        for door in self._doors:
            door.cancel()

    async def end(self, seconds: float) -> None:
        """End the connections, whose API's ends are closed already; what is on its way has so many seconds."""
        tasks = [*self._doors, *self._callers]
        if self._callers:
            await asyncio.wait(self._callers, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._hangups.close()


def _this_task() -> "asyncio.Task[None]":
    found = asyncio.current_task()
    assert found is not None
    return found


def _caller(network: socket.socket) -> str:
    """Where somebody calls from, whose vanishing is noticed from here on."""
    for option, value in ((socket.TCP_NODELAY, 1), *_ALIVE):
        network.setsockopt(socket.IPPROTO_TCP, option, value)
    network.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return ":".join(socket.getnameinfo(network.getpeername(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))


async def _shake(network: socket.socket, end: TlsEnd) -> None:
    loop = asyncio.get_running_loop()
    try:
        while not end.shake():
            await loop.sock_sendall(network, end.leaving())
            end.arrived(await loop.sock_recv(network, _CHUNK))
        await loop.sock_sendall(network, end.leaving())
    except ssl.SSLError:
        # Why is on its way to the other end, which must not be reset before it has read it.
        await loop.sock_sendall(network, end.leaving())
        network.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(network, _CHUNK):
            pass
        raise


class Relay:
    """One connection: TLS on the network, plain bytes on the inner socket. Each direction ends on its own.

    Args:
        network: a socket of TCP, non-blocking, which stays the caller's.
        inner: one end of a pair, likewise.
        end: the TLS, after its handshake.
        hangups: tells that the inner socket's other end is closed altogether.
    """

    def __init__(self, network: socket.socket, inner: socket.socket, end: TlsEnd, hangups: Hangups) -> None:
        self._network = network
        self._inner = inner
        self._end = end
        self._hangups = hangups
        self._sending = asyncio.Lock()
        self._ended = False

    async def run(self) -> None:
        """Carry both directions, until the network's other end has gone, or the inner one and all that it sent."""
        loop = asyncio.get_running_loop()
        outward = loop.create_task(self._outward(loop))
        inward = loop.create_task(self._inward(loop))
        gone = loop.create_task(self._hangups.wait(self._inner))
        tasks = (outward, inward, gone)
        try:
            await asyncio.wait((outward, inward), return_when=asyncio.FIRST_COMPLETED)
            if outward.done() and not outward.exception():
                await asyncio.wait((inward, gone), return_when=asyncio.FIRST_COMPLETED)
                await self._linger(inward)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _outward(self, loop: asyncio.AbstractEventLoop) -> None:
        while data := await loop.sock_recv(self._inner, _CHUNK):
            self._end.write(data)
            await self._flush(loop)
        self._end.say_end()
        await self._flush(loop)

    async def _inward(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bring in what comes; done when the network's other end has gone, or makes no sense."""
        with contextlib.suppress(OSError):  # CutOff and ssl.SSLError are some
            await self._decrypt(loop)  # what came together with the end of the handshake
            while data := await loop.sock_recv(self._network, _CHUNK):
                if not self._ended:  # nothing more comes then; but that it has gone has to be noticed
                    self._end.arrived(data)
                    await self._decrypt(loop)

    async def _decrypt(self, loop: asyncio.AbstractEventLoop) -> None:
        while plain := self._end.read():
            await self._bring(loop, plain)
        if plain == b"":
            self._ended = True
            with contextlib.suppress(OSError):  # nobody reads it
                self._inner.shutdown(socket.SHUT_WR)
        if not self._sending.locked():
            await self._flush(loop)  # TLS itself has something to say now and then

    async def _bring(self, loop: asyncio.AbstractEventLoop, plain: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody reads it; the answer still goes out
            await loop.sock_sendall(self._inner, plain)

    async def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        async with self._sending:
            while data := self._end.leaving():
                await loop.sock_sendall(self._network, data)

    async def _linger(self, inward: "asyncio.Task[None]") -> None:
        """Let the other end go first: closing over unread bytes would take from it what it has not read yet."""
        with contextlib.suppress(OSError):  # it has gone
            self._network.shutdown(socket.SHUT_WR)
        await asyncio.wait((inward,), timeout=_LINGER_SECONDS)
