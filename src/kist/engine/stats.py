"""What containers use, measured once a second: one reader for each container, however many watch it."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import msgspec

from kist.engine import namespaces, state
from kist.engine.containers import Containers
from kist.errors import KistError
from kist.kernel import cgroup, cgroup_stats, consumption, processes
from kist.spec.container import Container, Usage
from kist.spec.stats import Sample

Tell = Callable[[Sample], None]
_EVERY = 1.0


class Watch:
    """Somebody's interest in one container; close it when it ends."""

    def __init__(self, stats: "Stats", container: str, tell: Tell) -> None:
        self._stats = stats
        self.container = container
        self.tell = tell

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more of it."""
        self._stats.forget(self)


class Stats:
    """Measurements of this engine's containers. Safe from many threads."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._hierarchies = cgroup.detect()
        # Protects what follows; held for moments only.
        self._lock = threading.Lock()
        self._watches: dict[str, list[Watch]] = {}
        self._last: dict[str, Sample] = {}
        self._thread: threading.Thread | None = None

    def once(self, name: str | Container) -> Sample:
        """One measurement now, without one before it."""
        return self._measure(self._containers.get(name), None)

    def iterate(self, name: str | Container, *, follow: bool) -> Iterator[Sample]:
        """Measurements as they are made; without ``follow`` a single one."""
        if not follow:
            return iter((self.once(name),))
        container = self._containers.get(name)
        return self._follow(container)

    def _follow(self, container: Container) -> Iterator[Sample]:
        made: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        with self.watch(container, made.put):
            while True:
                yield made.get()

    def watch(self, name: str | Container, tell: Tell) -> Watch:
        """Have ``tell`` called, in the reader's thread, at once and then every second."""
        container = self._containers.get(name)
        watch = Watch(self, container.id, tell)
        first = self._measure(container, None)
        with self._lock:
            self._last.setdefault(container.id, first)
            self._watches.setdefault(container.id, []).append(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="kist-stats", daemon=True)
                self._thread.start()
        tell(first)
        return watch

    def forget(self, watch: Watch) -> None:
        """End a watch; the last one for a container ends its measurements."""
        with self._lock:
            left = self._watches.get(watch.container, [])
            if watch in left:
                left.remove(watch)
            if not left:
                self._watches.pop(watch.container, None)
                self._last.pop(watch.container, None)

    def _read(self) -> None:
        """The reader's thread: ends when nobody watches."""
        due = time.monotonic()
        while True:
            due = max(due + _EVERY, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            with self._lock:
                if not self._watches:
                    self._thread = None
                    return
                watched = {identity: (self._last.get(identity), tuple(w)) for identity, w in self._watches.items()}
            for identity, (before, watches) in watched.items():
                self._tell(identity, before, watches)

    def _tell(self, identity: str, before: Sample | None, watches: tuple[Watch, ...]) -> None:
        try:
            sample = self._measure(self._containers.get(identity), before)
        except KistError:
            sample = _nothing(identity)  # it was removed, and those who watch have to be told so
        with self._lock:
            if identity in self._watches:
                self._last[identity] = sample
        for watch in watches:
            watch.tell(sample)

    def _counted(self, container: Container) -> dict[str, Any]:
        if self._hierarchies.mode == "none":
            return _looked_at(container)
        return cgroup_stats.read(state.group(self._containers.places(container).run, self._hierarchies))

    def _measure(self, container: Container, before: Sample | None) -> Sample:
        if not container.state.running:
            return _of_usage(container)
        found = self._counted(container)
        memory = found.get("memory", {})
        if memory and not 0 < memory["limit"] < processes.total_memory():
            memory["limit"] = processes.total_memory()
        return Sample(
            container=container.id,
            name=container.name,
            time=time.time_ns(),
            before=before.time if before else 0,
            running=True,
            cpu=found.get("cpu", {}),
            cpu_before=before.cpu if before else {},
            machine_cpu=cgroup_stats.system_cpu(),
            machine_cpu_before=before.machine_cpu if before else 0,
            cpus=os.cpu_count() or 1,
            memory=memory,
            blocks=found.get("blocks", {}),
            processes=found.get("pids", {}),
            networks=_networks(container),
            version=found["version"],
        )


def _looked_at(container: Container) -> dict[str, Any]:
    """What the processes of a container without a control group use, in the shape of ``cgroup_stats.read``."""
    used = consumption.read(namespaces.members(container).pids())
    blocks = [("0:0", "Read", used["block_read"]), ("0:0", "Write", used["block_write"])]
    total = used["cpu_user"] + used["cpu_system"]
    return {
        "version": 2,
        "cpu": {"total": total, "user": used["cpu_user"], "system": used["cpu_system"]},
        "memory": {"usage": used["memory"], "limit": container.options.resources.memory, "stats": {}},
        "blocks": {"bytes": blocks, "operations": []},
        "pids": {"current": used["pids"], "limit": 0},
    }


def _networks(container: Container) -> dict[str, dict[str, int]]:
    """None for a container without a network of its own: the host's counters are not its."""
    if container.options.network in {"host", "none"} or not container.state.pid:
        return {}
    return cgroup_stats.network(container.state.pid)


def _nothing(identity: str) -> Sample:
    return Sample(identity, "", time.time_ns(), 0, False, {}, {}, 0, 0, 0, {}, {}, {}, {}, 0)


def _of_usage(container: Container) -> Sample:
    """What the last run used, in a sample's shape."""
    usage = container.state.usage or Usage()
    counters: dict[str, Any] = dict.fromkeys(cgroup_stats.COUNTERS, 0)
    networks = {}
    if usage.network_received or usage.network_sent:
        networks["eth0"] = counters | {"rx_bytes": usage.network_received, "tx_bytes": usage.network_sent}
    blocks = [("0:0", "Read", usage.block_read), ("0:0", "Write", usage.block_write)]
    return msgspec.structs.replace(
        _nothing(container.id),
        name=container.name,
        cpu={"total": usage.cpu_ns} if usage.cpu_ns else {},
        memory={"peak": usage.memory_peak} if usage.memory_peak else {},
        blocks={"bytes": [each for each in blocks if each[2]]},
        networks=networks,
    )
