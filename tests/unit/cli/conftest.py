"""An engine that only listens, for tests of what a client asks for."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A run directory, whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="kist-cli-") as made:
        yield Path(made)


@pytest.fixture
def engine(place: Path) -> Iterator[socket.socket]:
    """The socket at which the engine of ``place`` is looked for."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "engine.sock"))
        listener.listen()
        listener.settimeout(30)
        yield listener
