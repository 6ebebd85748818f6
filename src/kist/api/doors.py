"""The places where one API is served, as long as it is: connections in, and at the end no more."""

import asyncio
import functools
import socket
from typing import TYPE_CHECKING

from kist.api.listener import Listener
from kist.api.places import FromAfar, Inherited, Place, Tcp
from kist.spec.listening import TlsFiles

if TYPE_CHECKING:
    from kist.api.app import Api
    from kist.api.tls import TlsServer

_LAST_SECONDS = 2.0


class Doors:
    """What listens for an API.

    Args:
        api: what callers get.
    """

    def __init__(self, api: "Api") -> None:
        self._api = api
        self._plain: list[asyncio.Server] = []
        self._secured: list[TlsServer] = []

    async def open(self, listener: Listener, backlog: int) -> None:
        """Let connections in at a place.

        Raises:
            KistError: as ``Listener.open`` and ``kist.api.tls.context_of``.
        """
        files = _tls_of(listener.place)
        opened = listener.open(backlog)
        if files is not None:
            from kist.api.tls import TlsServer  # noqa: PLC0415 - most engines have no use for it

            self._secured.append(TlsServer(opened, files, functools.partial(self._adopt, listener.place)))
            return
        loop = asyncio.get_running_loop()
        for each in opened:
            # It is told nothing of Unix sockets, and so removes none: the listener does that.
            self._plain.append(await loop.create_server(self._api.http.at(listener.place), sock=each, backlog=backlog))

    def _adopt(self, place: Place, connection: socket.socket, caller: FromAfar) -> None:
        loop = asyncio.get_running_loop()
        self._api.track(loop.create_task(self._serve(place, connection, caller)))

    async def _serve(self, place: Place, connection: socket.socket, caller: FromAfar) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(self._api.http.at(place, caller), connection)

    def close(self) -> None:
        """Let nobody in any more; who is in stays."""
        for plain in self._plain:
            plain.close()
        for secured in self._secured:
            secured.close()

    async def end(self) -> None:
        """After the API's end: wait a moment for what is on its way."""
        for server in self._secured:
            await server.end(_LAST_SECONDS)


def _tls_of(place: Place) -> TlsFiles | None:
    return place.where.tls if isinstance(place.where, Tcp | Inherited) else None
