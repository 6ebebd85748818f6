"""``--cidfile``: a file that gets the container's id, for scripts."""

import os

from kist.errors import Conflict, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class IdFile:
    """A new file for the length of a ``with`` block; one that got no id is taken away at its end.

    Args:
        path: where; nothing may be there.

    Raises:
        Conflict: a file is there.
        InvalidInput: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept = False
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise Conflict(
                f"container ID file found, make sure the other container isn't running or delete {path}",
                hint="--cidfile writes a file of its own, and leaves that of another container alone",
            ) from None
        except OSError as error:
            raise InvalidInput(f"failed to create the container ID file {path!r}: {error.strerror}") from None

    def __enter__(self) -> "Self":
        """The file is there, and empty."""
        return self

    def keep(self, identifier: str) -> str:
        """Write the id, and leave the file where it is; gives the id back."""
        os.write(self._fd, identifier.encode("ascii"))
        self._kept = True
        return identifier

    def __exit__(self, *_: object) -> None:
        """Close it; without an id it goes."""
        os.close(self._fd)
        if not self._kept:
            os.unlink(self._path)
