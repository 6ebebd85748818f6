"""One thread that hears the end of every container of this engine, and tells those who wait for it.

It watches the control sockets of monitors that this engine started, and connections to monitors that it found. State
is not kept here: what a monitor says is on disk before it says it.
"""

import contextlib
import json
import os
import selectors
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

from kist.runtime import launch, messages

# ``ended`` is our own: not before the container has ended for good, whatever its restart policy.
Condition = Literal["not-running", "next-exit", "removed", "ended"]


class Watcher:
    """Ends of containers.

    Args:
        on_exit: called, in a thread of a small pool, with the id and the state as the monitor sent it (empty when the
            monitor died without a word).
        on_notice: called, in the watcher's own thread and so in order, with the id and what a monitor tells of its
            container's life (``kist.runtime.monitor.Monitor.notice``).
    """

    def __init__(
        self,
        on_exit: Callable[[str, dict[str, Any]], None],
        on_notice: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._on_exit = on_exit
        self._on_notice = on_notice
        # Protects everything below; held for moments only.
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        # One that was started again at once may have the old connection here beside the new one.
        self._watched: set[tuple[str, socket.socket]] = set()
        self._waiters: dict[str, list[tuple[Condition, socket.socket]]] = {}
        self._processes: set[int] = set()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="kist-exit")
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="kist-watcher", daemon=True)
        self._thread.start()

    def watch_control(self, identifier: str, control: socket.socket) -> None:
        """Take over the control socket of a container that has just started."""
        self._add(identifier, control)

    def watch_running(self, identifier: str, connect: Callable[[], socket.socket]) -> None:
        """Connect to the monitor of a container that somebody else started, unless it is watched already."""
        with self._lock:
            if any(watched == identifier for watched, _ in self._watched):
                return
        connection = connect()
        with contextlib.suppress(OSError):  # it ended just now, which the watch on the connection notices
            connection.sendall(b'{"op": "wait"}\n')
        self._add(identifier, connection)

    def watch_process(self, pid: int, on_end: Callable[[], None]) -> None:
        """Have ``on_end`` called, in a thread of the pool, when the process has ended."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._pool.submit(on_end)
            return
        with self._lock:
            self._processes.add(descriptor)
            self._selector.register(descriptor, selectors.EVENT_READ, partial(self._ended, descriptor, on_end))

    def add_waiter(self, identifier: str, condition: Condition) -> socket.socket:
        """A socket that gets a line ``{"StatusCode": …}`` when the condition has come true."""
        ours, theirs = socket.socketpair()
        with self._lock:
            self._waiters.setdefault(identifier, []).append((condition, ours))
            self._selector.register(ours, selectors.EVENT_READ, partial(self._waiter_gone, identifier, condition, ours))
        return theirs

    def tell(
        self, identifier: str, exit_code: int, *, removed: bool, error: str = "", restarting: bool = False
    ) -> None:
        """Answer the waiters whose condition this end (or removal) of the container is.

        With ``restarting``, it is the end of a run that another will follow.
        """
        left_out = {"removed", "ended"} if restarting else set() if removed else {"removed"}
        with self._lock:
            waiting = self._waiters.get(identifier, [])
            told = [each for each in waiting if each[0] not in left_out]
            left = [each for each in waiting if each not in told]
            if left:
                self._waiters[identifier] = left
            else:
                self._waiters.pop(identifier, None)
            for _, connection in told:
                self._selector.unregister(connection)
        for _, connection in told:
            _answer(connection, exit_code, error)

    def close(self) -> None:
        """End the thread; containers go on."""
        self._closing = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        self._pool.shutdown(wait=True)
        with self._lock:
            for _, connection in self._watched:
                with contextlib.suppress(OSError):  # the other end has gone
                    connection.shutdown(socket.SHUT_RDWR)  # a fork of this process may hold it open
                connection.close()
            for descriptor in self._processes:
                os.close(descriptor)
            for waiting in self._waiters.values():
                for _, connection in waiting:
                    connection.close()
            self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _add(self, identifier: str, connection: socket.socket) -> None:
        with self._lock:
            self._watched.add((identifier, connection))
            self._selector.register(connection, selectors.EVENT_READ, partial(self._heard, identifier, connection))

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is not None:
                    key.data()
                elif not self._closing:
                    os.read(self._wake_read, 64)

    def _heard(self, identifier: str, connection: socket.socket) -> None:
        told = _read(connection)
        if "notice" in told:
            self._on_notice(identifier, told["notice"])
            return
        with self._lock:
            self._watched.discard((identifier, connection))
            self._selector.unregister(connection)
        connection.close()
        self._pool.submit(self._on_exit, identifier, told.get("state") or told.get("exited") or {})

    def _ended(self, descriptor: int, on_end: Callable[[], None]) -> None:
        with self._lock:
            self._processes.discard(descriptor)
            self._selector.unregister(descriptor)
        os.close(descriptor)
        self._pool.submit(on_end)

    def _waiter_gone(self, identifier: str, condition: Condition, connection: socket.socket) -> None:
        """Nobody ever writes to a waiter's socket, so this is its end."""
        with self._lock:
            waiting = self._waiters.get(identifier, [])
            if (condition, connection) not in waiting:
                return  # it was told in this very moment
            waiting.remove((condition, connection))
            if not waiting:
                del self._waiters[identifier]
            self._selector.unregister(connection)
        connection.close()


def answered(exit_code: int) -> socket.socket:
    """What ``add_waiter`` gives, for a condition that is true already."""
    ours, theirs = socket.socketpair()
    _answer(ours, exit_code, "")
    return theirs


def _answer(connection: socket.socket, exit_code: int, error: str) -> None:
    line = json.dumps({"StatusCode": exit_code, "Error": {"Message": error} if error else None}).encode() + b"\n"
    with connection, contextlib.suppress(OSError):  # whoever waited may have gone
        connection.sendall(line)


def _read(connection: socket.socket) -> dict[str, Any]:
    """What a monitor sends, over its control socket or its listening one; empty when it has gone."""
    try:
        if connection.type == socket.SOCK_SEQPACKET:
            message, _ = messages.receive(connection)
            return message or {}
        return launch.read_line(connection)
    except (OSError, ValueError):
        return {}
