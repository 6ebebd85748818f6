"""A server on a Unix socket that says what it is told to, byte for byte: a real peer for the transport."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Talk = Callable[[socket.socket], None]


class Peer:
    """Serves connections on a socket of its own; ``path`` is where."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._failures: list[BaseException] = []

    @contextlib.contextmanager
    def serve(self, *talks: Talk) -> Iterator[str]:
        """Run one talk for each connection, in order; what went wrong in one is raised at the end."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        thread = threading.Thread(target=self._run, args=(listener, talks))
        thread.start()
        try:
            yield self.path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            listener.close()
        if self._failures:
            raise self._failures[0]

    def _run(self, listener: socket.socket, talks: tuple[Talk, ...]) -> None:
        for talk in talks:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    talk(connection)
                except BaseException as error:  # noqa: BLE001 - told to the test at the end
                    self._failures.append(error)

    @staticmethod
    def read_head(connection: socket.socket) -> bytes:
        """A request up to its empty line."""
        data = b""
        while not data.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
            data += byte
        return data

    def answer(self, *pieces: bytes) -> Talk:
        """Read a request's head, then send the pieces one by one; whether anybody still listens does not matter."""

        def talk(connection: socket.socket) -> None:
            self.read_head(connection)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    connection.sendall(piece)

        return talk


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    """A server that is not started yet."""
    return Peer(tmp_path / "engine.sock")
