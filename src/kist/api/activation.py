"""What a service manager hands its service: sockets that listen, and a place to be told how it goes.

The protocols are those of sd_listen_fds(3) and sd_notify(3), which others speak too. Both are read from the environment
once, and taken out of it: what the engine starts is not the service.
"""

import logging
import os
import socket
from collections.abc import MutableMapping

from kist.api.places import Inherited
from kist.errors import InvalidInput

_log = logging.getLogger(__name__)
_FIRST = 3
READY = "READY=1"
STOPPING = "STOPPING=1"


def take_sockets(environment: MutableMapping[str, str], pid: int) -> tuple[Inherited, ...]:
    """The sockets that were made for the process ``pid``, which is this one; those of another one are none of ours.

    They are closed in what this process starts.

    Raises:
        InvalidInput: one of them is no socket that listens for connections.
    """
    given = {name: environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if given["LISTEN_PID"] != str(pid) or not given["LISTEN_FDS"].isdecimal():
        return ()
    count = int(given["LISTEN_FDS"])
    names = given["LISTEN_FDNAMES"].split(":") if given["LISTEN_FDNAMES"] else []
    names += [""] * (count - len(names))
    return tuple(
        _look(descriptor, name) for descriptor, name in zip(range(_FIRST, _FIRST + count), names, strict=False)
    )


def _look(descriptor: int, name: str) -> Inherited:
    called = f"descriptor {descriptor}{f' ({name})' if name else ''}, which was handed over"
    try:
        os.set_inheritable(descriptor, False)
        with socket.socket(fileno=os.dup(descriptor)) as seen:
            listens = seen.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            family, kind, address = seen.family, seen.type, seen.getsockname()
    except OSError as error:
        raise InvalidInput(f"{called}, is no socket: {error.strerror}") from None
    if not listens or kind != socket.SOCK_STREAM or family not in {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
        raise InvalidInput(
            f"{called}, does not listen for connections", hint="write ListenStream= in the socket's unit"
        )
    path = address if family == socket.AF_UNIX and isinstance(address, str) else ""
    return Inherited(descriptor, name, path)


def is_tcp(given: Inherited) -> bool:
    """Whether it is reached over a network."""
    with socket.socket(fileno=os.dup(given.descriptor)) as seen:
        return seen.family != socket.AF_UNIX


class Manager:
    """The service manager, which wants to know how the service is; there may be none.

    Args:
        environment: ``NOTIFY_SOCKET`` is taken out of it.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")

    def tell(self, word: str) -> None:
        """Say how it goes; a manager that does not hear is one line in the log."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.sendto(word.encode(), socket.MSG_NOSIGNAL, address)
        except OSError as error:
            _log.warning("the service manager at %s cannot be told %s: %s", self._address, word, error)
