"""The engine's life as a process: one for each run root, from its lock to its last answer.

Order matters: the lock first (so that everything else of the run root is ours to replace), then the engine, then the
sockets under their names only once they listen, then the word to whoever started us. On SIGTERM and SIGINT the same
backwards; containers go on.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kist.api import event_loop
from kist.api.activation import READY, STOPPING, Manager
from kist.api.listener import Listener, listener_at
from kist.api.places import Inherited, Place
from kist.api.runlock import RunLock
from kist.api.wanted import places_wanted
from kist.spec.listening import NOWHERE_ELSE, Listening

if TYPE_CHECKING:
    from kist.engine import Engine
    from kist.engine.rootless import Entry

_READY_LINE = b"ready\n"
_GRACE_SECONDS = 5.0
_BACKLOG = 1024


def serve(
    data_root: str,
    run_root: str,
    entry: "Entry",
    asked: Listening = NOWHERE_ELSE,
    ready_fd: int = -1,
    storage: str = "",
    inherited: Sequence[Inherited] = (),
    tell: Callable[[Sequence[Place]], None] | None = None,
) -> None:
    """Be the engine until a signal ends it.

    Args:
        data_root: where images and containers are kept.
        run_root: where the lock, the log, the process id and the engine's own socket are; made with mode 0700.
        entry: what ``kist.engine.rootless.enter`` gave.
        asked: where to listen too; what it leaves open is as the settings say. A group's members get ``engine.sock`` in
            a directory of the run root's name with ``-shared`` behind it.
        ready_fd: a descriptor that is told ``ready`` once the sockets take connections, and closed then.
        storage: how files are kept; empty for the setting's, or for what works.
        inherited: sockets that a service manager has made.
        tell: is called with the places once the engine takes connections there.

    Raises:
        Conflict: an engine serves this run root already, or somebody else listens where this one is to.
        Unavailable: a directory or a socket cannot be made.
        NotFound: there is no such group.
        Unsupported: an ordinary user's engine is asked for what is root's.
        InvalidInput: a socket's path is longer than the kernel takes, or TCP is asked for without certificates.
    """
    manager = Manager(os.environ)
    with RunLock(run_root) as lock:
        _log_to(os.path.join(run_root, "engine.log"))
        from kist.engine import Engine  # noqa: PLC0415 - a second engine should find the lock before it loads all this

        made = Engine(data_root, run_root, shared=True, lacks=entry.lacks, storage=storage)
        with made as engine, ExitStack() as listening:
            where = places_wanted(
                asked.with_defaults(engine.settings.listen), inherited, engine.run_root, root=engine.means.root
            )
            listeners = [listening.enter_context(listener_at(each)) for each in where]
            lock.tell_pid()
            engine.spawner.start()  # while the event loop is made, so that the first container need not wait for it
            event_loop.run(_serve(engine, listeners, manager, ready_fd, entry, tell))


def _log_to(path: str) -> None:
    from kist.api.logfile import log_to  # noqa: PLC0415 - see above

    log_to(path)


async def _serve(
    engine: "Engine",
    listeners: Sequence[Listener],
    manager: Manager,
    ready_fd: int,
    entry: "Entry",
    tell: Callable[[Sequence[Place]], None] | None,
) -> None:
    from kist.api.app import Api  # noqa: PLC0415 - see above
    from kist.api.audit import AuditLog  # noqa: PLC0415 - the same
    from kist.api.doors import Doors  # noqa: PLC0415 - the same

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    audit = AuditLog(engine.data_root)
    api = Api(engine, audit)
    doors = Doors(api)
    for listener in listeners:
        await doors.open(listener, _BACKLOG)
    gc.freeze()  # what is loaded now stays: no collection has to look at it again, or to dirty its pages
    gc.enable()
    for listener in listeners:
        listener.publish()
    manager.tell(READY)
    _tell_ready(ready_fd)
    if tell is not None:
        tell([each.place for each in listeners])
    if entry.is_awaited:
        await asyncio.to_thread(entry.settle, engine.spawner.be_ready)
    await stop.wait()
    manager.tell(STOPPING)
    doors.close()
    for listener in listeners:
        listener.withdraw()
    await api.shutdown(_GRACE_SECONDS)
    await doors.end()
    audit.close()


def _tell_ready(descriptor: int) -> None:
    if descriptor < 0:
        return
    try:
        os.write(descriptor, _READY_LINE)
    except BrokenPipeError:
        pass  # who started us has gone; the next command finds us all the same
    finally:
        os.close(descriptor)
