"""Events: noted by whoever does something, read by whoever watches, with a log on disk between them.

A reader is a place in the log. It is woken when something was noted and reads on at its own pace, so a slow one holds
nobody up, and a replay goes over into what happens now without a seam.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kist.errors import KistError
from kist.spec.container import Container, ContainerState
from kist.spec.event import Kind, Mark, SystemEvent
from kist.spec.owner import uid_of
from kist.spec.summary import Image
from kist.spec.volume import Volume
from kist.store.events import EventLog

_log = logging.getLogger(__name__)
# What another process's engine notes wakes nobody here; a look this often finds it.
LOOK_EVERY = 1.0
_SECOND = 1_000_000_000
_NOBODYS = Mark()
# Characters of one text, and of all attributes of an event: 30,000 events are kept, and clients choose labels.
_LONGEST = 4096
_MOST = 64 << 10


def bounded(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes whose long texts are cut, and so many at most: the last ones, which are the engine's own."""
    found: dict[str, str] = {}
    size = 0
    for name, value in reversed([*attributes.items()]):
        text = _cut(value)
        size += len(name) + len(text)
        if size > _MOST:
            break
        found[name] = text
    return dict(reversed([*found.items()]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _made(kind: Kind, action: str, actor: str, attributes: Mapping[str, object], at: int, mark: Mark) -> SystemEvent:
    texts = bounded({name: str(value) for name, value in attributes.items()})
    labels = mark.labels if bounded(mark.labels) == mark.labels else {}
    return SystemEvent(kind, _cut(action), actor, at or time.time_ns(), texts, owner=mark.owner, labels=labels)


class Events:
    """The events of one data root, seen from one engine process. Safe from many threads."""

    def __init__(self, log: EventLog) -> None:
        self._kept = log
        # Protects the set.
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()
        self.network_id: Callable[[str], tuple[str, str]] = lambda name: (name, "bridge")
        """Finds the id and the driver of a network by its name."""

    # writing

    def note(
        self,
        kind: Kind,
        action: str,
        actor: str,
        attributes: Mapping[str, object] | None = None,
        *,
        at: int = 0,
        once: bool = False,
        mark: Mark = _NOBODYS,
    ) -> None:
        """Note that something was done. Never fails: what was done is done, whether or not the disk has room for it.

        Args:
            kind: of object.
            action: in Docker's words (``create``, ``exec_start: COMMAND``).
            actor: the object's id.
            attributes: its name and labels, and what else tells of the event; see ``of_container`` and ``of_image``.
            at: when it happened, in nanoseconds since the epoch; 0 for now.
            once: not when the same (actor, action, time) is there already.
            mark: whose the object is, and its own labels: who sees only some hears of these.
        """
        event = _made(kind, action, actor, attributes or {}, at, mark)
        with _reported(event):
            if self._kept.append(event, once=once):
                self._wake()

    def container(self, action: str, container: Container, /, **attributes: object) -> None:
        """Note what was done to a container."""
        self.note("container", action, container.id, of_container(container) | attributes, mark=mark_of(container))

    def container_all(self, actions: Sequence[str], container: Container, /, **attributes: object) -> None:
        """Note, at once, what was done to a container one after the other."""
        told, mark = of_container(container) | attributes, mark_of(container)
        events = [_made("container", action, container.id, told, 0, mark) for action in actions]
        with _reported(events[-1]):
            self._kept.append_all(events)
            self._wake()

    def image(self, action: str, image: Image, name: str = "", *, owner: int = 0) -> None:
        """Note what was done to an image by an owner, under the name that was used, if any."""
        self.note("image", action, str(image.id), of_image(image, name), mark=Mark(owner))

    def network(self, action: str, name: str, container: Container, *, at: int = 0) -> None:
        """Note that a container was connected to a network or is not any more (``connect``, ``disconnect``)."""
        identity, driver = self.network_id(name)
        told = {"container": container.id, "name": name, "type": driver}
        self.note("network", action, identity, told, at=at, mark=mark_of(container))

    def volume(self, action: str, volume: Volume) -> None:
        """Note that a volume was made or removed (``create``, ``destroy``)."""
        mark = Mark(volume.owner, volume.labels)
        self.note("volume", action, volume.name, {"driver": volume.driver}, mark=mark)

    def volumes(self, action: str, container: Container, *, at: int = 0) -> None:
        """Note that a container got its volumes or has them no more (``mount``, ``unmount``)."""
        for mount in container.options.mounts:
            if mount.type != "volume":
                continue
            told = {"container": container.id, "driver": "local"}
            if action == "mount":
                written = str(not mount.read_only).lower()
                told |= {"destination": mount.target, "propagation": "", "read/write": written}
            self.note("volume", action, mount.source, told, at=at, mark=mark_of(container))

    def ended(self, container: Container, state: ContainerState, started_at: int) -> None:
        """Note a container's end, unless this end is noted already.

        Args:
            container: which.
            state: how it ended.
            started_at: when its record says that it was started last, which names an end that nobody saw.
        """
        # A start that failed is told to its caller, and was no life that could end.
        if state.status != "exited" or (state.error and state.finished_at):
            return
        lasted = max(0, state.finished_at - state.started_at) // _SECOND if state.finished_at else 0
        attributes = of_container(container) | {"exitCode": str(state.exit_code), "execDuration": str(lasted)}
        mark, at = mark_of(container), state.finished_at or time.time_ns()
        event = SystemEvent("container", "die", container.id, at, attributes, owner=mark.owner, labels=mark.labels)
        with _reported(event):
            if self._kept.append_end(event, state.finished_at or -started_at):
                self._wake()
                for endpoint in container.options.networking.endpoints:
                    self.network("disconnect", endpoint.network, container, at=event.time)
                self.volumes("unmount", container, at=event.time)

    def _wake(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for wake in listeners:
            wake()

    # reading

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def last(self) -> int:
        """The place in the log where what happens from now on begins."""
        return self._kept.last()

    def after(self, number: int, *, since: int = 0) -> tuple[SystemEvent, ...]:
        """The next events after the one with this number, some hundreds at most; empty when there are none yet."""
        return self._kept.after(number, since=since)

    @contextlib.contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have ``wake`` called, in whatever thread, after each event that is noted in this process."""
        with self._lock:
            self._listeners.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.discard(wake)

    def iterate(self, *, since: int = 0, until: int = 0) -> Iterator[SystemEvent]:
        """Events as they happen, from ``since`` (0 for now) to ``until`` (0 for no end); waits for the next one.

        Both are nanoseconds since the epoch. With ``until`` alone, all that are kept up to then.
        """
        number = 0 if since or until else self.last()
        woken = threading.Event()
        with self.listening(woken.set):
            while True:
                woken.clear()
                over = bool(until) and time.time_ns() >= until
                while found := self.after(number, since=since):
                    number = found[-1].number
                    yield from (event for event in found if not until or event.time <= until)
                if over:
                    return
                left = (until - time.time_ns()) / _SECOND if until else LOOK_EVERY
                woken.wait(max(0.0, min(left, LOOK_EVERY)))


class SomeEvents(Events):
    """The same events as some readers have them: those that they may hear of.

    A reader's place in the log is after all that was looked at, so nothing is looked at twice: each reader has one.

    Args:
        whole: all of them.
        hears: whether an event is among those.
    """

    def __init__(self, whole: Events, hears: Callable[[SystemEvent], bool]) -> None:
        self.__dict__.update(whole.__dict__)
        self._hears = hears
        self._passed = 0

    def after(self, number: int, *, since: int = 0) -> tuple[SystemEvent, ...]:
        """The next of them after the event with this number; empty when there are none yet."""
        while found := super().after(max(number, self._passed), since=since):
            self._passed = found[-1].number
            if chosen := tuple(event for event in found if self._hears(event)):
                return chosen
        return ()


@contextlib.contextmanager
def _reported(event: SystemEvent) -> Iterator[None]:
    try:
        yield
    except KistError as error:
        _log.warning("the event %s %s %s was not kept: %s", event.kind, event.action, event.actor, error)


def mark_of(container: Container) -> Mark:
    """Whose a container is, and the labels that it was made with itself."""
    return Mark(uid_of(container.owner), container.options.labels)


def of_container(container: Container) -> dict[str, Any]:
    """What a container's events tell of it: its labels, image and name."""
    return {**(container.config.labels or {}), "image": container.options.image, "name": container.name}


def of_image(image: Image, name: str = "") -> dict[str, Any]:
    """What an image's events tell of it: its labels, and the name that was used."""
    return {**(image.config.config.labels or {}), "name": name or str(image.id)}
