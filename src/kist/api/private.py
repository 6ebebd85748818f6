"""The API for one process alone, over connections that this hands over: the other end is ``kist.client.private``.

This process lives exactly as long as its caller: it ends, and all that it has started, when the caller says so, lets
go of the line, or dies. No signal but SIGKILL ends it before: what a terminal or a batch system sends to all of a job
is the caller's to decide about.
"""

import asyncio
import gc
import os
import signal
import socket
from typing import TYPE_CHECKING

from kist.api import event_loop
from kist.api.places import HANDED
from kist.engine import in_process
from kist.engine.policy import peers
from kist.engine.rootless import Entry
from kist.errors import KistError
from kist.spec.jsontext import dumps

if TYPE_CHECKING:
    from kist.api.app import Api
    from kist.engine import Engine

_GRACE_SECONDS = 5.0
_MOST = 64
_CALLERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def serve(data_root: str, run_root: str, line: socket.socket, entry: Entry) -> None:
    """Be the engine of the process at the other end, until that has ended.

    Args:
        data_root: where images and containers are kept.
        run_root: where the log is, among others.
        line: to the caller.
        entry: what ``kist.engine.rootless.enter`` gave.
    """
    from kist.api.logfile import log_to  # noqa: PLC0415 - while the keeper gets ready

    caller = peers.pid_of(line)
    try:
        life = os.pidfd_open(caller)
    except ProcessLookupError:
        return
    try:
        if os.getppid() != caller:
            return  # it died just now, and the number may be another's
        with in_process.begin(data_root, run_root, entry) as engine:
            log_to(os.path.join(run_root, "engine.log"))
            event_loop.run(_serve(engine, line, life))
    finally:
        os.close(life)


def tell_failure(line: socket.socket, error: KistError) -> None:
    """Tell the caller why there is no engine."""
    told = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    try:
        line.send(dumps(told).encode())
    except OSError:
        return  # nobody is left to be told


async def _serve(engine: "Engine", line: socket.socket, life: int) -> None:
    from kist.api.app import Api  # noqa: PLC0415 - while the keeper gets ready

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in _CALLERS:
        loop.add_signal_handler(number, lambda: None)
    api = Api(engine)
    line.setblocking(False)
    loop.add_reader(line, _take, api, line, stop)
    loop.add_reader(life, stop.set)
    gc.freeze()  # as in ``kist.api.server``
    gc.enable()
    try:
        line.send(dumps({"ready": True}).encode())
    except OSError:
        stop.set()  # the caller has gone
    await stop.wait()
    for each in (line.fileno(), life):
        loop.remove_reader(each)
    await api.shutdown(_GRACE_SECONDS)


def _take(api: "Api", line: socket.socket, stop: asyncio.Event) -> None:
    """Take one packet off the line: a connection, or the end."""
    try:
        word, descriptors, _, _ = socket.recv_fds(line, _MOST, 1)
    except BlockingIOError:
        return
    except OSError:
        word, descriptors = b"", []
    connections = [socket.socket(fileno=each) for each in descriptors]
    if word != b"connect":
        stop.set()
    for connection in connections:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        api.track(loop.create_task(_adopt(api, connection)))


async def _adopt(api: "Api", connection: socket.socket) -> None:
    await asyncio.get_running_loop().connect_accepted_socket(api.http.at(HANDED), connection)
