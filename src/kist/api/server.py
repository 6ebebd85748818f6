"""The engine's life as a process: one for each run root, from its lock to its last answer.

Order matters: the lock first (so that everything else of the run root is ours to replace), then the engine, then the
socket under its name only once it listens, then the word to whoever started us. On SIGTERM and SIGINT the same
backwards; containers go on.
"""

import asyncio
import gc
import grp
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kist.api.listener import Listener, shared_place
from kist.api.places import UnixPath
from kist.api.runlock import RunLock
from kist.errors import NotFound, Unsupported

if TYPE_CHECKING:
    from kist.engine import Engine
    from kist.engine.rootless import Entry

READY = b"ready\n"
_GRACE_SECONDS = 5.0
_BACKLOG = 1024


def serve(
    data_root: str,
    run_root: str,
    entry: "Entry",
    socket_path: str = "",
    ready_fd: int = -1,
    group: str = "",
    storage: str = "",
) -> None:
    """Be the engine until a signal ends it.

    Args:
        data_root: where images and containers are kept.
        run_root: where the lock, the log, the process id and, by default, the socket are; made with mode 0700.
        entry: what ``kist.engine.rootless.enter`` gave.
        socket_path: where to listen; ``engine.sock`` in the run root when empty.
        ready_fd: a descriptor that is told ``ready`` once the socket takes connections, and closed then.
        group: whose members may use the engine too, within its policy, by a second socket: ``engine.sock`` in a
            directory of the run root's name with ``-shared`` behind it. Empty for the setting's.
        storage: how files are kept; empty for the setting's, or for what works.

    Raises:
        Conflict: an engine serves this run root already, or somebody else listens at ``socket_path``.
        Unavailable: a directory or the socket cannot be made.
        NotFound: there is no such group.
        Unsupported: a group, and this is an ordinary user's engine.
        InvalidInput: the socket's path is longer than the kernel takes.
    """
    with RunLock(run_root) as lock:
        _log_to(os.path.join(run_root, "engine.log"))
        own = Listener(UnixPath(socket_path or os.path.join(run_root, "engine.sock")))
        from kist.engine import Engine  # noqa: PLC0415 - a second engine should find the lock before it loads all this

        made = Engine(data_root, run_root, shared=True, lacks=entry.lacks, storage=storage)
        with made as engine, ExitStack() as listening:
            listeners = [own, *(Listener(where) for where in _further(engine, group or engine.settings.group))]
            for listener in listeners:
                listening.enter_context(listener)
            lock.tell_pid()
            engine.spawner.start()  # while the event loop is made, so that the first container need not wait for it
            asyncio.run(_serve(engine, listeners, ready_fd, entry))


def _log_to(path: str) -> None:
    from kist.api.logfile import log_to  # noqa: PLC0415 - see above

    log_to(path)


def _further(engine: "Engine", group: str) -> Iterator[UnixPath]:
    """Where the engine listens beside its own socket."""
    if not group:
        return
    if not engine.means.root:
        raise Unsupported("an ordinary user's engine serves that user alone", hint="only root's is shared with a group")
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        raise NotFound(f"there is no group {group!r}", hint=f"make it: groupadd --system {group}") from None
    yield UnixPath(os.path.join(shared_place(engine.run_root), "engine.sock"), number)


async def _serve(engine: "Engine", listeners: Sequence[Listener], ready_fd: int, entry: "Entry") -> None:
    from kist.api.app import Api  # noqa: PLC0415 - see above
    from kist.api.audit import AuditLog  # noqa: PLC0415 - see above

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    audit = AuditLog(engine.data_root)
    api = Api(engine, audit)
    servers = [
        await loop.create_unix_server(api.http.at(listener.place), sock=listener.open(_BACKLOG), backlog=_BACKLOG)
        for listener in listeners
    ]
    gc.freeze()  # what is loaded now stays: no collection has to look at it again, or to dirty its pages
    gc.enable()
    for listener in listeners:
        listener.publish()
    _tell_ready(ready_fd)
    if entry.is_awaited:
        await asyncio.to_thread(entry.settle, engine.spawner.be_ready)
    await stop.wait()
    for server in servers:
        server.close()
    for listener in listeners:
        listener.withdraw()
    await api.shutdown(_GRACE_SECONDS)
    audit.close()


def _tell_ready(descriptor: int) -> None:
    if descriptor < 0:
        return
    try:
        os.write(descriptor, READY)
    except BrokenPipeError:
        pass  # who started us has gone; the next command finds us all the same
    finally:
        os.close(descriptor)
