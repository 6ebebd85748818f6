"""What every method of the client does: a request, whose answer is a value in Kist's own JSON."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from kist.client import jobs
from kist.client.endpoint import Endpoint
from kist.client.start import connect
from kist.client.transport import Connection, FileBody
from kist.client.wire import Wire
from kist.spec.json import decode, encode

T = TypeVar("T")
Query = Iterable[tuple[str, str | int | None]]

VALUES = (("Accept", "application/vnd.kist+json"),)
_COPY = 1 << 18


class Caller:
    """Connections to the engine at an endpoint.

    Args:
        endpoint: of the engine.
        connecting: makes connections to it.
    """

    def __init__(self, endpoint: Endpoint, connecting: Callable[[Endpoint], Connection] = connect) -> None:
        self._wire = Wire(endpoint, connecting)

    def __enter__(self) -> Self:
        """Itself; nothing is connected before the first request."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the connections; the engine goes on."""
        self.close()

    def close(self) -> None:
        """Close the connections; the engine goes on."""
        self._wire.close()

    def _values(
        self,
        method: str,
        path: str,
        kind: type[T],
        query: Query = (),
        *,
        source: BinaryIO | None = None,
        value: object = None,
    ) -> T:
        """A request whose answer is a value in Kist's own JSON."""
        body = encode(value) if value is not None else None if source is None else body_of(source)
        headers = VALUES if source is None else (*VALUES, jobs.TAR)
        return decode(self._wire.request(method, path, query, body=body, headers=headers).read(), kind, what="answer")


def body_of(source: BinaryIO) -> FileBody | Iterator[bytes]:
    """What is left to read of a file: copied by the kernel where it is a plain one."""
    if isinstance(source, io.FileIO | io.BufferedReader) and source.seekable():
        offset = source.tell()
        size = os.fstat(source.fileno()).st_size
        return FileBody(source.fileno(), offset, max(0, size - offset))
    return iter(lambda: source.read(_COPY), b"")
