"""An ordinary user's own network: a namespace with the bridges, the containers' cables, and the way out.

The namespace is kept by a mount over a file of the run root, which is seen in the mount namespace that the engine has
made: by the engines, keepers and monitors that live there, and it ends with the last of them. What carries packets out
of it is a process of its own, noted beside it, and mended when it has died.
"""

import contextlib
import fcntl
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from kist.errors import KistError, Unavailable
from kist.kernel import ends, members, netns, rtnetlink
from kist.kernel import files as kernel_files
from kist.kernel.netlink import NETLINK_ROUTE, Socket
from kist.network import files, outward, outward_start, rules

T = TypeVar("T")

_log = logging.getLogger(__name__)
# Made here, not by whichever thread is first: see kist.spec.json.
_READER = msgspec.json.Decoder(outward.Running)
_NOTE = "outward-"
_LEAST_SECONDS = 2
_LOOPBACK_INDEX = 1  # in every network namespace


class Room:
    """One of them, made when the first container needs it.

    Args:
        run_root: where the file and the notes are.
        environment: in whose PATH the programs are looked for.
        mind: called with a descriptor of each program that is started or found: who ends it with the last container.
    """

    def __init__(self, run_root: str, environment: Mapping[str, str], mind: Callable[[int], None]) -> None:
        self._run_root = run_root
        self._environment = environment
        self._mind = mind
        self._lock = threading.Lock()
        self._descriptor = -1
        self._outward: outward.Running | None = None
        self._closed = False
        self.path = os.path.join(run_root, "netns")

    @property
    def resolver(self) -> str:
        """The address of a name server in it that asks the host's; empty where there is no way out."""
        return self._outward.resolver if self._outward is not None else ""

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the namespace; it is made if need be, and its way out.

        Raises:
            Unavailable: the program that carries packets out does not start.
        """
        return netns.inside(self._ready(), work)

    def look(self, work: Callable[[], T], otherwise: T) -> T:
        """The same where the namespace is there already."""
        with self._lock:
            descriptor = self._descriptor if self._descriptor >= 0 else netns.kept_at(self.path)
            self._descriptor = descriptor
        return netns.inside(descriptor, work) if descriptor >= 0 else otherwise

    @property
    def lacks_way_out(self) -> bool:
        """Whether it is there and its program has died, where one could run."""
        if self.look(lambda: False, otherwise=True) or (self._outward is not None and self._outward.lives):
            return False
        living = any(here == members.own_mount_namespace() and each.lives for _, here, each in self._notes())
        return not living and outward.find(self._environment) is not None and self._leads_outside()

    def routes_outside(self) -> tuple[str, ...]:
        """The host's destinations: a subnet here must not hide one of them."""
        with Socket(NETLINK_ROUTE) as connection:
            return tuple(route.destination for route in rtnetlink.routes(connection))

    def strays(self) -> Iterator[tuple[str, outward.Running]]:
        """Notes of programs that live on where nobody else does, whose namespace nobody can reach any more."""
        for path, here, running in self._notes():
            if (
                here != members.own_mount_namespace()
                and running.lives
                and not members.lives_anybody(here, but=running.pid)
            ):
                yield path, running

    def end_strays(self) -> None:
        """End them, and forget those that have ended."""
        for path, running in list(self.strays()):
            end(path, running)
        for path, _, running in list(self._notes()):
            if not running.lives:
                end(path, running)

    def take_over(self) -> None:
        """Look after the program that an earlier engine has left here, whether a container needs it again or not."""
        with self._lock, self._alone():
            if self._descriptor < 0:
                self._descriptor = netns.kept_at(self.path)
            if self._outward is None:
                self._outward = self._found()

    def close(self) -> None:
        """Let go of it, and of its program; both go on as long as anybody has them. What is a stray by now is ended."""
        self.end_strays()
        with self._lock:
            self._closed = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def _ready(self) -> int:
        with self._lock, self._alone():
            if self._closed:
                raise Unavailable("the engine ends: it starts no way out any more")
            if self._descriptor < 0:
                self._descriptor = self._open()
            if self._outward is None or not self._outward.lives:
                self._outward = self._found() or self._started()
            return self._descriptor

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep out other engines of this run root: they may live in the same mounts."""
        if self._descriptor >= 0 and self._outward is not None and self._outward.lives:
            yield
            return
        lock = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open(self) -> int:
        if (found := netns.kept_at(self.path)) >= 0:
            return found
        self.end_strays()
        netns.keep_new(self.path)
        descriptor = netns.kept_at(self.path)
        netns.inside(descriptor, _set_up_loopback)
        return descriptor

    def _found(self) -> outward.Running | None:
        """The program that an earlier engine has started here; who calls it is ``_alone``.

        The number of a mount namespace is another one's soon after the first has ended. A program that was of that one
        serves nobody any more: its device is not here.
        """
        for path, here, running in list(self._notes()):
            if here == members.own_mount_namespace():
                if running.lives and self._is_served():
                    netns.inside(self._descriptor, rules.guard_way_out)
                    self._tell(running)
                    return running
                end(path, running)
        return None

    def _is_served(self) -> bool:
        """Whether the namespace is there, and the device that a way out has in it."""
        return self._descriptor >= 0 and netns.inside(self._descriptor, _has_way_out)

    def _started(self) -> outward.Running | None:
        outward_start.reap()
        helper = outward.find(self._environment)
        if helper is None or not self._leads_outside():
            return None
        subnet = outward.choose_subnet(self.routes_outside())
        resolves = not files.host_resolvers(kernel_files.read_text("/etc/resolv.conf"))
        running = outward_start.start(helper, subnet, self.path, self._own("pid"), self._note, resolves=resolves)
        _log.info("the way out of the containers' network is %s, process %d", running.name, running.pid)
        netns.inside(self._descriptor, rules.guard_way_out)
        return running

    def _leads_outside(self) -> bool:
        """Whether the host itself has a way out."""
        return "0.0.0.0/0" in self.routes_outside()

    def _own(self, kind: str) -> str:
        return os.path.join(self._run_root, f"{_NOTE}{members.own_mount_namespace()}.{kind}")

    def _note(self, running: outward.Running) -> None:
        aside = self._own("new")  # others look for whole ones meanwhile
        with open(aside, "wb") as file:
            file.write(msgspec.json.encode(running))
        os.rename(aside, self._own("json"))
        self._tell(running)

    def _tell(self, running: outward.Running) -> None:
        pidfd = ends.open_process(running.pid, running.started)
        if pidfd is not None:
            self._mind(pidfd)
            threading.Thread(target=self._await_end, args=(pidfd,), name="way out", daemon=True).start()

    def _await_end(self, pidfd: int) -> None:
        """Start another program when this one has died: containers that run have no other way out."""
        began = time.monotonic()
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
        os.close(pidfd)
        if time.monotonic() - began < _LEAST_SECONDS:
            return  # one that dies at once is not tried again and again, but for the next container
        try:
            self._ready()
        except (KistError, OSError) as error:
            if not self._closed:
                _log.warning("the way out of the containers' network has ended: %s", error)

    def _notes(self) -> Iterator[tuple[str, int, outward.Running]]:
        """Each with its path and the mount namespace that it is of."""
        for name in os.listdir(self._run_root):
            if not name.startswith(_NOTE):
                continue
            number, _, kind = name.removeprefix(_NOTE).partition(".")
            if kind == "new":
                continue
            path = os.path.join(self._run_root, name)
            running = outward_start.read_pid_file(path, self.path) if kind == "pid" else _read_note(path)
            if running is not None and number.isdecimal():
                yield path, int(number), running


def _read_note(path: str) -> outward.Running | None:
    try:
        with open(path, "rb") as file:
            return _READER.decode(file.read())
    except FileNotFoundError:
        return None  # its program has just been found dead by another process
    except msgspec.DecodeError:
        _log.warning("%s is damaged", path)
        return None


def end(path: str, running: outward.Running) -> None:
    """End a program, and forget it."""
    pidfd = ends.open_process(running.pid, running.started)
    if pidfd is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        os.close(pidfd)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _has_way_out() -> bool:
    with Socket(NETLINK_ROUTE) as connection:
        return rtnetlink.find_link(connection, outward.DEVICE) is not None


def _set_up_loopback() -> None:
    with Socket(NETLINK_ROUTE) as connection:
        connection.transact([rtnetlink.set_up(_LOOPBACK_INDEX, "lo")])
