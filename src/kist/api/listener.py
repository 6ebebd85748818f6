"""The engine's Unix socket: nobody finds it before it listens, and a dead engine's is replaced."""

import contextlib
import os
import socket
import stat
from types import TracebackType
from typing import Self

from kist.api.places import Place, UnixPath
from kist.errors import Conflict, Forbidden, InvalidInput, Unavailable, see_doctor

_LONGEST = 103  # sun_path of unix(7) has 108 bytes: the end and the suffix below take five


class Listener:
    """The socket at a path. As a context manager it removes it at the end, if it is still its own.

    Attributes:
        place: the place that it is.

    Raises:
        InvalidInput: the path is longer than the kernel takes.
    """

    def __init__(self, where: UnixPath) -> None:
        self.place = Place(where)
        self.path = where.path
        self._group = where.group
        if len(os.fsencode(self.path)) > _LONGEST:
            raise InvalidInput(
                f"the path of the socket is longer than {_LONGEST} bytes: {self.path}",
                hint="choose a shorter one with KIST_RUN",
            )
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
            if self._group >= 0:
                os.chown(aside, -1, self._group)
                os.chmod(aside, 0o660)
        except OSError as error:
            listening.close()
            hint = see_doctor("run-root")
            raise Unavailable(f"cannot listen at {self.path}: {error.strerror}", hint=hint) from error
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


def shared_place(run_root: str) -> str:
    """The directory of the socket that others may use, beside the run root, which nobody else may enter; made.

    Raises:
        Forbidden: somebody else has made it, or could put another socket there.
        Unavailable: it cannot be made.
    """
    place = f"{run_root}-shared"
    try:
        os.makedirs(place, exist_ok=True)
        status = os.lstat(place)
    except OSError as error:
        raise Unavailable(f"cannot make {place}: {error.strerror}", hint="choose another with KIST_RUN") from error
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise Forbidden(f"{place} belongs to somebody else, or others may write to it", hint=f"remove {place}")
    os.chmod(place, 0o755)  # noqa: S103 - who may connect is the socket's own mode
    return place
