"""The processes that watch over containers, seen from the engine: who lives, and what to do where nobody does.

A monitor that was killed is replaced by its keeper without our doing. What is left to the engine is the death of a
keeper: another is started, and the living monitors are told of it; and a container that has lost both is adopted.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from kist.engine import naming, state
from kist.engine.starter import Places
from kist.engine.watcher import Watcher
from kist.errors import Conflict, KistError, Unavailable
from kist.kernel import netns
from kist.runtime import launch
from kist.runtime.launch import Spawner

# Seconds that a monitor may take to come back, and between looks.
_PATIENCE = 10.0
_MOMENT = 0.01
# What may be asked twice when it is not known whether a monitor heard it before it died.
_REPEATABLE = frozenset({"attach", "wait", "follow", "resize", "stop", "update"})


class Guardians:
    """Keepers and monitors of this engine's containers.

    Args:
        spawner: this engine's line to its keeper.
        watcher: hears of the keeper's end.
        on_new_keeper: called, in a thread of the watcher's, after a keeper has died and another was started.
    """

    def __init__(self, spawner: Spawner, watcher: Watcher, on_new_keeper: Callable[[], None]) -> None:
        self._spawner = spawner
        self._on_new_keeper = on_new_keeper
        # One at a time, so that the monitor that comes of it gets what was made for it.
        self._adopting = threading.Lock()
        spawner.on_keeper = lambda pid: watcher.watch_process(pid, self._keeper_died)
        if spawner.pid:  # it was started ahead
            spawner.on_keeper(spawner.pid)

    def _keeper_died(self) -> None:
        self._spawner.start()
        self._on_new_keeper()

    def adopt(self, places: Places) -> bool:
        """Have a monitor for a container that runs without; False when there is no such process any more.

        An engine that its containers end with adopts none: it would end them.
        """
        found = state.left_alone(places.run)
        if not found or self._spawner.bound:
            return False
        request = {
            "plan": os.path.join(places.run, launch.PLAN),
            "directory": places.data,
            "run_directory": places.run,
            "attached": [],
        }
        with self._adopting:
            names = _name_sockets(places, found["pid"], found["pid_start"])
            try:
                return self._spawner.adopt(request, found["pid"], found["pid_start"], found["pipes"], names)
            finally:
                for descriptor in names.values():
                    os.close(descriptor)

    def connect(self, places: Places) -> socket.socket:
        """A connection to the container's monitor, waiting for another one where that has been killed.

        Raises:
            Conflict: the container does not run.
            Unavailable: there is no monitor, and none comes.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return launch.connect(places.run)
            except Conflict:
                if not _runs(places):
                    raise
                if time.monotonic() > deadline:
                    raise Unavailable(f"the container runs without a monitor: {places.run}") from None
                if not self.adopt(places):
                    time.sleep(_MOMENT)  # its keeper, or who has adopted it, is about to have a monitor there

    def begin(self, places: Places, message: dict[str, Any]) -> "Asked":
        """The first half of ``request`` for what is not asked twice; ``Asked.answer`` is the second.

        Raises:
            Conflict, Unavailable: as there.
        """
        try:
            return Asked(places, launch.Conversation(lambda: self.connect(places), message))
        except Conflict:
            if _runs(places):
                raise _without_answer() from None
            raise

    def request(self, places: Places, message: dict[str, Any]) -> tuple[socket.socket, dict[str, Any]]:
        """As ``launch.request``, for a container whose monitor may be killed and come back.

        Raises:
            Conflict: the container does not run, or is not in a state for that.
            Unavailable: the monitor was killed before it answered, and what was asked for may have been done.
        """
        while True:
            try:
                connection, answer = launch.converse(lambda: self.connect(places), message)
            except Conflict:
                if not _runs(places):
                    raise
                if message["op"] not in _REPEATABLE:
                    raise _without_answer() from None
                continue
            _check(connection, answer)
            return connection, answer

    def ask(self, places: Places, message: dict[str, Any]) -> dict[str, Any]:
        """As ``request``, for something without a stream."""
        connection, answer = self.request(places, message)
        connection.close()
        return answer

    def tell(self, places: Places, message: dict[str, Any]) -> None:
        """Tell a monitor what it need not answer; it makes no difference if nobody hears it."""
        with contextlib.suppress(Conflict, OSError), launch.connect(places.run) as connection:
            connection.sendall(json.dumps(message).encode() + b"\n")

    def guard(self, places: Places) -> None:
        """Put a running container's monitor under our keeper where its own has died."""
        if state.is_guarded(places.run):
            return
        # It has just ended, or its monitor has been replaced by one of ours; or our keeper died, and we hear of it.
        with contextlib.suppress(KistError, OSError):
            self._spawner.be_ready()
            launch.ask(places.run, {"op": "guard", "at": self._spawner.run_root, "name": self._spawner.name})


def _name_sockets(places: Places, pid: int, started: int) -> dict[str, int]:
    """Sockets of the name server of a container whose own were closed with the processes that had them."""
    if not naming.has_server(places.run):
        return {}
    try:
        namespace = netns.of_process(pid, started)
    except OSError:
        return {}  # it has ended, which the keeper is about to find out
    try:
        return naming.open_sockets(namespace)
    finally:
        os.close(namespace)


class Asked:
    """What a monitor was asked for, and can be heard of by whoever waits for the connection to have something to read.

    Attributes:
        connection: for the stream that may follow; it is closed where the answer is an error.
    """

    def __init__(self, places: Places, begun: launch.Conversation) -> None:
        self._places = places
        self._begun = begun
        self.connection = begun.connection

    def answer(self) -> dict[str, Any]:
        """What it answers.

        Raises:
            BlockingIOError: nothing yet, on a connection that does not block.
            Conflict, Unavailable: as ``Guardians.request``.
        """
        try:
            answer = self._begun.answer()
        except Conflict:
            if _runs(self._places):
                raise _without_answer() from None
            raise
        _check(self.connection, answer)
        return answer


def _check(connection: socket.socket, answer: dict[str, Any]) -> None:
    if "refused" in answer:
        connection.close()
        raise Conflict(answer["refused"])


def _without_answer() -> Unavailable:
    return Unavailable("the container's monitor was killed before it answered", hint="the container goes on: try again")


def _runs(places: Places) -> bool:
    return state.read(places.data, places.run, lambda: 0).running
