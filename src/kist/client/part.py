"""Files that appear under their name when they are whole, and writing that is."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


_STREAMS = {1: "standard output", 2: "standard error"}


class PartFile:
    """``fd`` is written in a ``with`` block; its end without an error gives the file its name."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._plain = os.path.exists(path) and not os.path.isfile(path)  # a pipe or a device has no other name
        self._part = path if self._plain else f"{path}.part-{os.getpid()}"
        self.fd = -1

    def __enter__(self) -> "Self":
        """Open it; raises OSError."""
        flags = os.O_WRONLY | os.O_CLOEXEC | (0 if self._plain else os.O_CREAT | os.O_TRUNC)
        self.fd = os.open(self._part, flags, 0o666)
        return self

    def __exit__(self, kind: "type[BaseException] | None", *_: object) -> None:
        """Name it, or remove what was written."""
        os.close(self.fd)
        if self._plain:
            return
        if kind is None:
            os.replace(self._part, self._path)
        else:
            os.unlink(self._part)


def write_all(fd: int, data: bytes) -> None:
    """Write everything, however often the descriptor takes only a part.

    Raises:
        OSError: it takes no more; the descriptor is named.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, _STREAMS.get(fd, f"descriptor {fd}")) from None
