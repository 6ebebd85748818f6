"""A socket before the engine's, for clients that are other people's programs: each answer is judged as it passes by.

Bytes go through unchanged, at the pace of the slower end; each direction ends on its own, and a client that vanishes
does so for the engine, too. What a client has seen has been judged.
"""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Self

from definition.passing import Passing
from definition.recorder import RECORDER

_CHUNK = 64 << 10
_LINGER = 5.0


class Tap:
    """Listens at ``path`` for the engine at ``engine``. As a context manager it ends with all of its connections."""

    def __init__(self, path: str, engine: str) -> None:
        self.path = path
        self._engine = engine
        self._listening = socket.socket(socket.AF_UNIX)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._listening.bind(self.path)
        self._listening.listen(128)
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for each in tuple(self._open):
            _shut(each, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()
        os.unlink(self.path)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # it was shut down
                return
            self._begin(lambda client=client: self._carry(client))  # type: ignore[misc]

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            try:
                engine.connect(self._engine)
            except OSError:  # there is none: the client sees its connection end
                return
            self._open |= {client, engine}
            passing = Passing()
            upward = threading.Thread(target=_send_up, args=(client, engine, passing), daemon=True)
            upward.start()
            _send_down(engine, client, passing)
            _shut(engine, socket.SHUT_RDWR)  # the other direction goes on only to read what the client still sends
            _shut(client, socket.SHUT_WR)
            upward.join(_LINGER)
            _shut(client, socket.SHUT_RDWR)
            upward.join()
            self._open -= {client, engine}


def _shut(end: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(how)


def _send_up(client: socket.socket, engine: socket.socket, passing: Passing) -> None:
    """To the client's end; what the engine does not read any more is dropped, for an unread byte would be a reset."""
    with contextlib.suppress(OSError):
        while data := client.recv(_CHUNK):
            passing.ask(data)
            with contextlib.suppress(OSError):
                engine.sendall(data)
        _shut(engine, socket.SHUT_WR)
        poll = select.poll()
        poll.register(client, 0)
        poll.poll()  # until both of its directions have ended
    _shut(engine, socket.SHUT_RDWR)


def _send_down(engine: socket.socket, client: socket.socket, passing: Passing) -> None:
    with contextlib.suppress(OSError):
        while data := engine.recv(_CHUNK):
            for exchange in passing.tell(data):
                RECORDER.note(exchange)
            client.sendall(data)
