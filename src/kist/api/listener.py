"""The sockets that the engine listens with.

Of its own Unix sockets nobody finds one before it listens, and a dead engine's is replaced.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from kist.api.places import Handed, Inherited, Tcp, UnixPath, Where, place_at
from kist.errors import Conflict, Forbidden, InvalidInput, Unavailable, see_doctor

_PASSIVE = socket.AI_PASSIVE
_LONGEST = 103  # sun_path of unix(7) has 108 bytes: the end and the suffix below take five


class Listener:
    """A place where the engine listens: opened, then published, then withdrawn (as a context manager at the end).

    Attributes:
        place: which.
    """

    def __init__(self, where: Where) -> None:
        self.place = place_at(where)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.withdraw()

    def open(self, backlog: int) -> list[socket.socket]:
        """Listening sockets, non-blocking; they are the caller's.

        Raises:
            Conflict: somebody listens there already.
            Unavailable: nobody can listen there.
        """
        raise NotImplementedError

    def publish(self) -> None:
        """Let others find it."""

    def withdraw(self) -> None:
        """Let nobody find it any more."""


class InheritedListener(Listener):
    """A socket of somebody else's, whose name is theirs, too."""

    def __init__(self, where: Inherited) -> None:
        super().__init__(where)
        self._descriptor = where.descriptor

    def open(self, backlog: int) -> list[socket.socket]:  # noqa: ARG002 - it listens already
        """The socket."""
        listening = socket.socket(fileno=self._descriptor)
        listening.setblocking(False)
        return [listening]


class TcpListener(Listener):
    """An address of TCP; a name may have several."""

    def __init__(self, where: Tcp) -> None:
        super().__init__(where)
        self._where = where

    def open(self, backlog: int) -> list[socket.socket]:
        """A listening socket for each address."""
        found: list[socket.socket] = []
        try:
            address, port = self._where.address, self._where.port
            for family, _, _, _, name in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=_PASSIVE):
                listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
                found.append(listening)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind(name)
                listening.listen(backlog)
        except OSError as error:
            for each in found:
                each.close()
            said = f"cannot listen at {self._where}: {error.strerror}"
            if error.errno == errno.EADDRINUSE:
                raise Conflict(said, hint="choose another port, or end who has this one") from error
            if error.errno in {errno.EACCES, errno.EPERM}:
                raise Unavailable(said, hint="ports below 1024 are root's on most machines: choose another") from error
            raise Unavailable(said, hint="name an address of this machine, or 0.0.0.0 for all of them") from error
        return found


class UnixListener(Listener):
    """The socket at a path, which is removed at the end, if it is still its own.

    Raises:
        InvalidInput: the path is longer than the kernel takes.
    """

    def __init__(self, where: UnixPath) -> None:
        super().__init__(where)
        self.path = where.path
        self._group = where.group
        self._mode = where.mode or (0o660 if where.group >= 0 else 0o600)
        if len(os.fsencode(self.path)) > _LONGEST:
            raise InvalidInput(
                f"the path of the socket is longer than {_LONGEST} bytes: {self.path}",
                hint="choose a shorter one with KIST_RUN",
            )
        self._aside = ""
        self._identity: tuple[int, int] | None = None

    def open(self, backlog: int) -> list[socket.socket]:
        """A listening socket under a name aside; ``publish`` gives it its own.

        Raises:
            Conflict: somebody listens at the path already, or it is no socket.
            Unavailable: the socket cannot be made there.
        """
        with self._telling():
            self._check_free()
        aside = self.path + ".new"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        umask = os.umask(0o177)
        try:
            with self._telling():
                self._bind(listening, aside)
                listening.listen(backlog)
        except BaseException:
            listening.close()
            raise
        finally:
            os.umask(umask)
        listening.setblocking(False)
        return [listening]

    def _bind(self, listening: socket.socket, aside: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        listening.bind(aside)
        self._aside = aside
        if self._group >= 0:
            os.chown(aside, -1, self._group)
        os.chmod(aside, self._mode)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell what went wrong below with the path, and what to do."""
        try:
            yield
        except OSError as error:
            said = f"cannot listen at {self.path}: {error.strerror or error}"
            if error.errno in {errno.EACCES, errno.EPERM} and os.path.isdir(os.path.dirname(self.path)):
                hint = (
                    f"as user {os.geteuid()} it cannot be made, or replaced, there: choose another path, or remove it"
                )
                raise Unavailable(said, hint=hint) from error
            hint = see_doctor("run-root", "its directory has to be there, for the engine's user to write to")
            raise Unavailable(said, hint=hint) from error

    def publish(self) -> None:
        """Give the socket its name; a dead engine's is replaced in the same moment.

        Raises:
            Unavailable: it cannot have that name.
        """
        with self._telling():
            os.rename(self._aside, self.path)
            self._aside = ""
            found = os.stat(self.path)
        self._identity = (found.st_dev, found.st_ino)

    def withdraw(self) -> None:
        """Remove the socket's name, unless somebody else has put another there meanwhile; or the one aside."""
        if self._aside:
            with contextlib.suppress(OSError):  # whoever listens there next removes it
                os.unlink(self._aside)
            self._aside = ""
        if self._identity is None:
            return
        with contextlib.suppress(OSError):  # the same
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
            probe.setblocking(False)
            try:
                probe.connect(self.path)
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except BlockingIOError:
                return True  # so many wait there that it would have to wait as well
            except OSError as error:
                if error.errno == errno.EPROTOTYPE:
                    return True  # a socket of another kind
                raise
        return True


def listener_at(where: Where) -> Listener:
    """The listener of a place.

    Raises:
        InvalidInput: a Unix socket's path is longer than the kernel takes.
    """
    match where:
        case UnixPath():
            return UnixListener(where)
        case Tcp():
            return TcpListener(where)
        case Inherited():
            return InheritedListener(where)
        case Handed():
            raise TypeError("nobody listens there")


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
