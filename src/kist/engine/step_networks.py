"""Network namespaces of a build's commands, connected once and handed on from one command to the next.

To make a namespace, a cable, an address and a name server for a command, and to take them away, takes as long as all
else about it. What a command has left must not be seen by the next one. Its processes are dead, and their sockets with
them, for there was nobody to give one to: who sees what another process may see too (a cache, the context) could have
sent it a descriptor, and has a namespace of its own. A command had no right to configure anything; and no packet has
left the namespace, not even for itself: so there is no connection that is about to end, no neighbour and no route that
was learned. Where one has, the namespace goes.

It has no name. It ends, with its cable, when nobody holds a descriptor of it any more: an engine that is killed leaves
its address alone, and the directory by which others know that somebody has it, as a command's own are left.
"""

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import msgspec

from kist.engine.kept_network import Connected
from kist.engine.networks import Networks
from kist.engine.roster import Roster
from kist.spec.container import Container
from kist.spec.networking import Endpoint
from kist.spec.owner import Owner, is_guests
from kist.store import Store


class StepNetworks:
    """Those of one build; a context manager, at whose end they are gone. Safe from many threads.

    Args:
        store: nothing of it is collected as long as there is one.
        roster: tells where directories are.
        connected: gives addresses.
    """

    def __init__(self, store: Store, roster: Roster, connected: Networks) -> None:
        self._store = store
        self._roster = roster
        self._networks = connected
        self._lock = threading.Lock()
        self._idle: list[Connected] = []
        self._all: list[Connected] = []
        self._writing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._writing:
            for each in tuple(self._all):
                self._drop(each)

    @staticmethod
    def serves(container: Container) -> bool:
        """Whether a command can have one: it has networks of its own, no right to configure them, and is by itself."""
        options = container.options
        more = options.privileged or options.security_options or options.devices or options.cap_add
        meets_others = any(mount.type == "volume" for mount in options.mounts)  # see ``StepMounts``
        return bool(options.networking.endpoints) and not more and not meets_others and not is_guests(container.owner)

    @contextmanager
    def borrowed(self, container: Container) -> Iterator[Connected]:
        """One for this command alone, for the time of the block, in which it ends.

        Raises:
            Forbidden, InvalidInput, Conflict, NotFound, Unavailable: as ``Networks.lease``.
        """
        endpoints: tuple[Endpoint, ...] = tuple(container.options.networking.endpoints)
        found = self._next((endpoints, container.owner)) or self._new(container, endpoints)
        handed_on = False
        try:
            yield found
            handed_on = found.is_as_new()
        finally:
            if handed_on:
                with self._lock:
                    self._idle.append(found)
            else:
                self._drop(found)

    def _next(self, kind: tuple[tuple[Endpoint, ...], Owner | None]) -> Connected | None:
        with self._lock:
            found = next((each for each in self._idle if each.kind == kind), None)
            if found is not None:
                self._idle.remove(found)
            return found

    def _new(self, container: Container, endpoints: tuple[Endpoint, ...]) -> Connected:
        holder = secrets.token_hex(32)
        with self._lock:
            if not self._all:
                self._writing.enter_context(self._store.writing())
        os.makedirs(self._roster.places_of(holder).run, 0o700)
        made = Connected(holder, (endpoints, container.owner))
        with self._lock:
            self._all.append(made)
        try:
            made.attachments = self._networks.lease(msgspec.structs.replace(container, id=holder), endpoints)
        except BaseException:
            self._drop(made)
            raise
        return made

    def _drop(self, one: Connected) -> None:
        one.close()
        self._networks.release(one.holder)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self._roster.places_of(one.holder).run)
        with self._lock:
            self._all.remove(one)
            if one in self._idle:
                self._idle.remove(one)
