"""What is done to containers that run: stopped where they are, given other limits, looked at."""

from collections.abc import Collection
from typing import Any

import msgspec

from kist.engine import namespaces, state, top
from kist.engine.containers import Containers
from kist.engine.events import Events
from kist.engine.lifetime import need_process
from kist.engine.limits import cgroup_limits, merge, with_lifted, without_devices
from kist.engine.machine import MachineLimits
from kist.errors import Conflict
from kist.spec.container import Container, RestartPolicy
from kist.spec.json import to_builtins
from kist.spec.resources import Resources
from kist.store import Store


class Controls:
    """Pause, update and top."""

    def __init__(self, containers: Containers, store: Store, events: Events, machine: MachineLimits) -> None:
        self._containers = containers
        self._store = store
        self._events = events
        self._machine = machine

    def pause(self, name: str | Container) -> None:
        """Stop all processes of a running container where they are."""
        container = self._containers.get(name)
        need_process(container)
        if container.state.status == "paused":
            raise Conflict(f"container {container.id} is already paused", hint=f"kist unpause {container.name}")
        self._containers.ask(container, {"op": "freeze", "frozen": True})
        self._events.container("pause", container)

    def unpause(self, name: str | Container) -> None:
        """Let the processes of a paused container go on."""
        container = self._containers.get(name)
        if container.state.status != "paused":
            raise Conflict(f"Container {container.id} is not paused")
        self._containers.resume(container)

    def update(
        self,
        name: str | Container,
        changes: Resources,
        restart: RestartPolicy | None = None,
        *,
        emptied: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Change limits, at once where the container runs, and its restart policy.

        Args:
            name: of the container.
            changes: what is at its default stays as it is.
            restart: None leaves it.
            emptied: those of the lists of block devices (``read_bps``, …) of which nothing is to be left.

        Returns:
            A sentence for each limit that this machine does not keep.

        Raises:
            InvalidInput, Conflict: a value that cannot be right, or that what is set stands against.
        """
        container = self._containers.get(name)
        changes, warnings = self._machine.verify(changes, update=True)
        kept = container.options.resources
        resources = merge(msgspec.structs.replace(kept, **dict.fromkeys(emptied, ())), changes)
        # What the two say together is checked as a whole; of what the machine lacks nothing is left here.
        self._machine.verify(_settled(resources))
        if restart is not None and restart.name != "no" and container.options.auto_remove:
            raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container",
                           hint="a container of run --rm is gone when it has ended")  # fmt: skip
        message: dict[str, Any] = {"op": "update"}
        if changes != Resources() or emptied:
            # Of the running container what was limited and is not any more, is told: at a rate of 0, it has none.
            message["limits"] = without_devices(cgroup_limits(with_lifted(resources, kept, emptied)))
        if restart is not None:
            message["restart"] = to_builtins(restart)
        if container.state.running and len(message) > 1:
            warnings += tuple(self._containers.ask(container, message).get("warnings", ()))
        options = msgspec.structs.replace(
            container.options, resources=resources, restart=restart or container.options.restart
        )
        self._store.records.replace_container(msgspec.structs.replace(container, options=options))
        self._events.container("update", container)
        return warnings

    def top(self, name: str | Container, arguments: str = "") -> top.Table:
        """Titles and rows of a container's processes, as ps shows them on the host."""
        container = self._containers.get(name)
        need_process(container)
        group = state.group(self._containers.places(container).run)
        pids = sorted(namespaces.members(container).pids()) if group.is_none else group.pids()
        return top.table(pids, arguments)


def _settled(resources: Resources) -> Resources:
    return msgspec.structs.replace(resources, pids=max(resources.pids, 0))
