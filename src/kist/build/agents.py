"""ssh agents for one command (``RUN --mount=type=ssh``): a socket of ours, whose connections the client carries.

The agent is where the client is. Its keys never are here.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from kist.build.run_mount import SshMount
from kist.engine.step_mounts import NO_MOUNTS, StepMounts
from kist.errors import KistError
from kist.image import pretence
from kist.kernel import faults
from kist.runtime import door
from kist.spec.mount import Mount
from kist.spec.provision import Provision
from kist.spec.volume import VolumeSource

_CHUNK = 64 << 10
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def opened(
    asked: Sequence[SshMount], given: Provision, place: str, complain: Callable[[str], None]
) -> Iterator[StepMounts]:
    """The sockets of those agents that are given; the others, which nobody required, are not there.

    Args:
        asked: by one command.
        given: has them.
        place: an empty directory.
        complain: told why a connection cannot be had, from another thread.
    """
    there = [mount for mount in asked if mount.id in given.agents]
    if not there:
        yield NO_MOUNTS
        return
    mounts, sources, doors = [], {}, []
    try:
        for number, mount in enumerate(there):
            name = f"agent-{number}"
            doors.append(_Door(place, name, mount, given, complain))
            sources[f"{place}/{name}"] = VolumeSource(f"{place}/{name}")
            mounts.append(Mount("volume", f"{place}/{name}", mount.target))
        faults.point("build agent: has a door")
        yield StepMounts(tuple(mounts), sources, files=frozenset(mount.target for mount in mounts))
    finally:
        for each in doors:
            each.close()


class _Door:
    """A listening socket, and its connections; each has threads for the time of the command."""

    def __init__(
        self, place: str, name: str, mount: SshMount, given: Provision, complain: Callable[[str], None]
    ) -> None:
        self._given = given
        self._mount = mount
        self._complain = complain
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._listener = socket.socket(fileno=door.listen(place, name, socket.SOCK_STREAM).detach())
        directory = os.open(place, _DIRECTORY)
        try:
            os.chmod(name, mount.mode, dir_fd=directory)
            pretence.give_link(directory, name, mount.uid, mount.gid)
        finally:
            os.close(directory)
        self._begin(self._accept)

    def close(self) -> None:
        """Take no more connections, end those that there are, and wait for that."""
        with self._lock:
            self._closed = True
            for each in (self._listener, *self._open):
                with suppress(OSError):  # it has ended already
                    each.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self._listener.close()

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name="ssh-agent", daemon=True)
        with self._lock:
            if not self._closed:
                self._threads.append(thread)
                thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # it was shut down
                return
            if self._keep(connection):
                faults.point("build agent: took a connection")
                self._begin(self._carry, connection)

    def _keep(self, connection: socket.socket) -> bool:
        """Have a connection ended with the door; whether it is open still."""
        with self._lock:
            if not self._closed:
                self._open.append(connection)
                return True
        connection.close()
        return False

    def _carry(self, connection: socket.socket) -> None:
        with connection:
            try:
                agent = self._given.open("ssh", self._mount.id)
            except KistError as error:
                self._complain(f"the ssh agent {self._mount.id} cannot be reached: {error.message}")
                return
            if not self._keep(agent):
                return
            with agent:
                faults.point("build agent: has the client's agent")
                back = self._begin(_copy, agent, connection)
                _copy(connection, agent)
                if back.is_alive():
                    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes until there are no more; then the other side hears of the end."""
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
            faults.point("build agent: carried a message")
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
