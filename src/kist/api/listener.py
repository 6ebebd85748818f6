"""The engine's Unix socket: nobody finds it before it listens, and a dead engine's is replaced."""

import contextlib
import os
import socket
import stat
from types import TracebackType
from typing import Self

from kist.errors import Conflict, InvalidInput, Unavailable

_LONGEST = 103  # sun_path of unix(7) has 108 bytes: the end and the suffix below take five


class Listener:
    """The socket at ``path``, mode 0600. As a context manager it removes it at the end, if it is still its own."""

    def __init__(self, path: str) -> None:
        if len(os.fsencode(path)) > _LONGEST:
            raise InvalidInput(
                f"the path of the socket is longer than {_LONGEST} bytes: {path}",
                hint="choose a shorter one with KIST_RUN",
            )
        self.path = path
        self._identity: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.withdraw()

    def open(self, backlog: int) -> socket.socket:
        """A listening socket under a name aside; ``publish`` gives it its own.

        Raises:
            Conflict: somebody listens at the path already, or it is no socket.
            Unavailable: the socket cannot be made there.
        """
        self._check_free()
        aside = self.path + ".new"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        umask = os.umask(0o177)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
            listening.bind(aside)
        except OSError as error:
            listening.close()
            raise Unavailable(f"cannot listen at {self.path}: {error.strerror}") from error
        finally:
            os.umask(umask)
        listening.listen(backlog)
        listening.setblocking(False)
        return listening

    def publish(self) -> None:
        """Give the socket its name; a dead engine's is replaced in the same moment."""
        os.rename(self.path + ".new", self.path)
        found = os.stat(self.path)
        self._identity = (found.st_dev, found.st_ino)

    def withdraw(self) -> None:
        """Remove the socket's name, unless somebody else has put another there meanwhile."""
        if self._identity is None:
            return
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self._identity:
                os.unlink(self.path)
        self._identity = None

    def _check_free(self) -> None:
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise Conflict(f"cannot listen at {self.path}: there is a file that is no socket", hint="remove it")
        if self._answers():
            raise Conflict(f"somebody listens at {self.path} already", hint="choose another socket")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except (ConnectionRefusedError, FileNotFoundError):
                return False
        return True
