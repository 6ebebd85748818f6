"""Clients that vanish while nothing is read from them."""

import asyncio
import os
import select
import socket


class Hangups:
    """Tells when the other end of a half-closed connection is closed altogether.

    A socket at its end of file is always readable, so a loop that waits for it would spin. An epoll set without events
    reports only hang-ups (epoll_ctl(2), EPOLLHUP), and the event loop waits for the set.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._loop.add_reader(self._epoll.fileno(), self._report)

    async def wait(self, connection: socket.socket, events: int = 0) -> None:
        """Return when the other end has closed both directions, or one of these events has come."""
        descriptor = connection.fileno()
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[descriptor] = future
        self._epoll.register(descriptor, events)
        try:
            await future
        finally:
            del self._waiting[descriptor]
            self._epoll.unregister(descriptor)

    async def wait_beside(self, transport: asyncio.BaseTransport, events: int = 0) -> None:
        """The same for a connection that asyncio has."""
        # A descriptor of our own: the connection's may be closed, and its number be another's, while this waits.
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as watched:
            await self.wait(watched, events)

    def _report(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            future = self._waiting.get(descriptor)
            if future is not None and not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Give the set back; nobody waits any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
