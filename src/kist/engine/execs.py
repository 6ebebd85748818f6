"""Further processes in running containers. What is known of one is on disk, in its container's run directory."""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from kist.engine import bundle, exec_room, lifetime, security, starter
from kist.engine.containers import Containers
from kist.engine.events import Events
from kist.engine.exec_room import Noted, Stage
from kist.engine.guardians import Asked
from kist.engine.listing import names_in
from kist.engine.means import Means
from kist.errors import Conflict, InvalidInput, NotFound
from kist.kernel import faults, process
from kist.runtime import plan, planner
from kist.spec import json as spec_json
from kist.spec.container import Container, ExecOptions, ExecState

_REMEMBERED = 1000
# Seconds from an end, and from a creation that no start follows, after which one is forgotten; and between two looks.
_ENDED_SECONDS = 300.0
_UNUSED_SECONDS = 3600.0
_LOOK_SECONDS = 60.0
# Less than a monitor stays ready (``kist.runtime.execs.STAYS``).
_READY_SECONDS = 9.0


class Starting:
    """A process that the monitor has been asked to start.

    Whoever has an event loop waits there for ``connection`` to have something to read, and makes it one that does not
    block; to everybody else ``streams`` waits.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.connection = asked.connection

    def streams(self) -> socket.socket:
        """Its streams, as it runs: the connection, which is closed where there are none.

        Raises:
            CommandNotFound, CommandNotExecutable: the command.
            Conflict: the container has ended.
            BlockingIOError: nothing is known yet, on a connection that does not block.
        """
        answer = self._asked.answer()
        faults.point("exec: heard of the start")
        if "failed" in answer:
            self.connection.close()
            starter.raise_failure(answer["failed"])
        return self.connection


class Execs:
    """Exec'd processes of this engine's containers."""

    def __init__(self, containers: Containers, events: Events, means: Means) -> None:
        self._containers = containers
        self._means = means
        self._events = events
        # Where an exec was made; others are looked for on disk. One key at a time is added or taken away, so no lock.
        self._owners: dict[str, str] = {}
        # When a container's were looked through last for old ones, as time.monotonic has it.
        self._looked: dict[str, float] = {}
        # When a container's monitor was told last to expect one, as above.
        self._announced: dict[str, float] = {}
        # What became of those whose container has ended since: it may have done so by what was executed, and who
        # executed it asks only then. The oldest are forgotten.
        self._ended: OrderedDict[str, ExecState] = OrderedDict()
        self._ended_bytes = 0
        # How many can be made in a container, and of how many bytes, until they are counted again.
        self._spare: dict[str, tuple[int, int]] = {}
        # Protects ``_ended``, ``_ended_bytes`` and ``_spare``.
        self._lock = threading.Lock()
        containers.before_clear(self._keep)

    def create(self, name: str | Container, options: ExecOptions) -> str:
        """Note what is to be executed; its id."""
        container = self._willing(name, options)
        identifier = secrets.token_hex(32)
        self._note(container, identifier, options)
        self._announce(container)
        self._events.container(_told("exec_create", options), container, execID=identifier)
        return identifier

    def run(self, name: str | Container, options: ExecOptions, made: Callable[[str], None]) -> "Starting":
        """The same as ``create`` and ``start`` in one; its streams end with its exit code, if in frames.

        Args:
            name: of the container.
            options: of the process.
            made: called with its id before it is started.

        Raises:
            Conflict: the container does not run, or has ended.
        """
        container = self._willing(name, options)
        self._announce(container)
        identifier = secrets.token_hex(32)
        message = self._request(container, identifier, options, detach=False, tells_end=True)
        self._note(container, identifier, options)
        made(identifier)
        told = (_told("exec_create", options), _told("exec_start", options))
        return self._ask(container, identifier, message, told)

    def _willing(self, name: str | Container, options: ExecOptions) -> Container:
        """The container, which can have a further process now."""
        container = self._containers.get(name)
        lifetime.need_process(container)
        _refuse_paused(container)
        if not options.command:
            raise InvalidInput("No exec command specified")
        return container

    def _note(self, container: Container, identifier: str, options: ExecOptions) -> None:
        """Write its options down, where there is room for them."""
        if time.monotonic() > self._looked.get(container.id, 0.0) + _LOOK_SECONDS:
            self._looked[container.id] = time.monotonic()
            self.forget_old(container)
        written = spec_json.encode(options)
        self._make_room(container, len(written))
        with open(self._options_path(container.id, identifier), "wb") as file:
            file.write(written)
        faults.point("exec: wrote the options")
        self._owners[identifier] = container.id

    def _make_room(self, container: Container, size: int) -> None:
        """Forget what has ended, or refuse one more; they are counted only when there may be too many."""
        with self._lock:
            count, spare = self._spare.get(container.id, (0, 0))
            if count <= 0 or spare < size:
                noted = self._weigh(container)
                for identifier in exec_room.room_for(size, noted, container.name):
                    self._forget(container.id, identifier)
                count = exec_room.MOST_UNSTARTED - sum(each.stage is Stage.MADE for each in noted)
                spare = exec_room.MOST_BYTES - sum(each.size for each in noted if each.stage is not Stage.ENDED)
            self._spare[container.id] = (count - 1, spare - size)

    def _weigh(self, container: Container) -> list[Noted]:
        """All that a container's run directory knows, with their sizes."""
        found = []
        for identifier in self._noted(container):
            with contextlib.suppress(FileNotFoundError):  # it is forgotten meanwhile
                made = os.stat(self._options_path(container.id, identifier))
                stage, since = self._stage(container.id, identifier)
                found.append(Noted(identifier, made.st_size, stage, since or made.st_mtime))
        return found

    def _stage(self, owner: str, identifier: str) -> tuple[Stage, float]:
        """How far one has come, and when; 0 where it has not begun."""
        path = self._state_path(owner, identifier)
        try:
            since = os.stat(path).st_mtime
            return Stage.RUNNING if json.loads(process.read_file(path))["running"] else Stage.ENDED, since
        except FileNotFoundError:
            return Stage.MADE, 0.0

    def _announce(self, container: Container) -> None:
        """Have the monitor get ready meanwhile, unless it has been asked for a process just now and is."""
        now = time.monotonic()
        if now < self._announced.get(container.id, 0.0) + _READY_SECONDS:
            return
        self._announced[container.id] = now
        kinds = planner.exec_namespaces(plan.EXEC_NAMESPACES, self._containers.ids(container))
        self._containers.guardians.tell(self._containers.places(container), {"op": "expect", "namespaces": kinds})

    def forget_old(self, container: Container) -> None:
        """Forget those that ended five minutes ago, as Docker does, and those that nobody has started in an hour.

        What a probe executes every ten seconds would fill the run root otherwise, which is memory.
        """
        for identifier in self._noted(container):
            if self._is_old(container.id, identifier):
                self._forget(container.id, identifier)

    def _forget(self, owner: str, identifier: str) -> None:
        # The state last: where there is one without options, ``forget_old`` goes on.
        for path in (self._options_path(owner, identifier), self._state_path(owner, identifier)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._owners.pop(identifier, None)

    def _noted(self, container: Container) -> set[str]:
        """The ids of those that its run directory knows."""
        names = names_in(self._containers.places(container).run)
        found = {name.removeprefix("exec-").partition(".")[0] for name in names if name.startswith("exec-")}
        return {identifier for identifier in found if identifier.isalnum()}

    def _is_old(self, owner: str, identifier: str) -> bool:
        now = time.time()
        stage, since = self._stage(owner, identifier)
        if stage is not Stage.MADE:
            return stage is Stage.ENDED and now > since + _ENDED_SECONDS
        try:
            return now > os.stat(self._options_path(owner, identifier)).st_mtime + _UNUSED_SECONDS
        except FileNotFoundError:
            return False

    def options(self, identifier: str) -> ExecOptions:
        """What it was made with."""
        return self._find(identifier)[1]

    def start(self, identifier: str, *, detach: bool) -> "Starting | None":
        """Start it; None with ``detach``, when it runs.

        Raises:
            CommandNotFound, CommandNotExecutable: the command, with ``detach``.
            Conflict: it was started before, or the container has ended.
        """
        owner, options = self._find(identifier)
        container = self._containers.get(owner)
        if os.path.exists(self._state_path(owner, identifier)):
            running = self.inspect(identifier).running
            raise Conflict(f"exec command {identifier} {'is already running' if running else 'has already run'}")
        _refuse_paused(container)
        message = self._request(container, identifier, options, detach=detach, tells_end=False)
        starting = self._ask(container, identifier, message, (_told("exec_start", options),))
        if detach:
            starting.streams().close()
            return None
        return starting

    def _request(
        self, container: Container, identifier: str, options: ExecOptions, *, detach: bool, tells_end: bool
    ) -> dict[str, Any]:
        """What a monitor is asked for; one from before an upgrade does not tell the end."""
        linked = self._containers.linked_environment(container)
        hostname = self._containers.hostname(container)
        command = self._means.fit_process(bundle.exec_process(container, options, linked, hostname))
        made = planner.make_exec_plan(
            identifier,
            command,
            plan.EXEC_NAMESPACES,
            seccomp=starter.seccomp_filter(
                "" if options.privileged else security.read(container.options).seccomp,
                frozenset(command.capabilities),
            ),
            stdin=options.open_stdin,
            ids=self._containers.ids(container),
        )
        return {
            "op": "exec",
            "id": identifier,
            "plan": {**made.message(), "init": made.init_text(), "tells_end": tells_end},
            "detach": detach,
        }

    def _ask(self, container: Container, identifier: str, message: dict[str, Any], told: Sequence[str]) -> "Starting":
        """Have the monitor start it, and note these actions ahead of that, so that its end comes after them."""
        faults.point("exec: about to ask the monitor")
        self._events.container_all(told, container, execID=identifier)
        return Starting(self._containers.guardians.begin(self._containers.places(container), message))

    def inspect(self, identifier: str) -> ExecState:
        """What became of it."""
        try:
            found = self._look(identifier)
        except NotFound:
            if identifier not in self._ended:
                raise
            found = self._ended[identifier]
        # Asked last: its files may have gone while they were read, and before they go it is noted.
        return self._ended.get(identifier, found)

    def ended(self, identifier: str) -> ExecState | None:
        """What became of one that has ended; None where that is not known at once, which ``inspect`` finds out.

        Two small files are read, and nothing waits for the records: whoever may not be kept waiting can ask this.
        """
        owner = self._owners.get(identifier)
        if owner is None:
            return self._ended.get(identifier)
        try:
            found: dict[str, Any] = json.loads(process.read_file(self._state_path(owner, identifier)))
            kept = process.read_file(self._options_path(owner, identifier))
        except FileNotFoundError:
            return None
        if found["running"]:
            return None
        options = spec_json.decode(kept, ExecOptions)
        return ExecState(
            identifier, owner, running=False, exit_code=found["exit_code"], pid=found["pid"], options=options
        )

    def _look(self, identifier: str) -> ExecState:
        owner, options = self._find(identifier)
        try:
            found: dict[str, Any] = json.loads(process.read_file(self._state_path(owner, identifier)))
        except FileNotFoundError:
            found = {"running": False, "exit_code": None, "pid": 0}
        running = found["running"] and self._containers.get(owner).state.running
        code = None if running else found["exit_code"]
        return ExecState(identifier, owner, running, code, found["pid"], options)

    def _keep(self, container: Container) -> None:
        """Remember what became of a container's processes, whose files are about to go with its run directory."""
        self._announced.pop(container.id, None)
        self._looked.pop(container.id, None)
        for identifier in self._noted(container):
            with contextlib.suppress(NotFound):
                self._remember(self._look(identifier))
            self._owners.pop(identifier, None)
        with self._lock:
            self._spare.pop(container.id, None)

    def _remember(self, state: ExecState) -> None:
        with self._lock:
            if state.id in self._ended:
                return
            self._ended[state.id] = state
            self._ended_bytes += _size(state)
            while len(self._ended) > _REMEMBERED or self._ended_bytes > exec_room.MOST_BYTES:
                self._ended_bytes -= _size(self._ended.popitem(last=False)[1])

    def resize(self, identifier: str, height: int, width: int) -> None:
        """Set the size of its terminal, in characters; of one without a terminal nothing.

        Raises:
            InvalidInput: it does not run.
        """
        owner, options = self._find(identifier)
        if not self._look(identifier).running:
            raise InvalidInput("exec process is not started")
        if not options.tty:
            return
        message = {"op": "resize", "height": height, "width": width, "exec": identifier}
        self._containers.guardians.ask(self._containers.places_of(owner), message)

    def leave(self, identifier: str) -> None:
        """Let it go on when the client that feeds it goes: it detaches, and has not vanished."""
        owner, _ = self._find(identifier)
        message = {"op": "leave", "exec": identifier}
        self._containers.guardians.ask(self._containers.places_of(owner), message)
        self._events.container("exec_detach", self._containers.get(owner), execID=identifier)

    def _find(self, identifier: str) -> tuple[str, ExecOptions]:
        """The id of its container, and what it was made with; not how the container is."""
        if not identifier.isalnum():
            raise NotFound(f"No such exec instance: {identifier}")
        owner = self._owners.get(identifier)
        for each in [owner] if owner else [container.id for container in self._containers.list()]:
            try:
                kept = process.read_file(self._options_path(each, identifier))
            except FileNotFoundError:
                continue
            return each, spec_json.decode(kept, ExecOptions)
        raise NotFound(f"No such exec instance: {identifier}")

    def _options_path(self, owner: str, identifier: str) -> str:
        return f"{self._containers.places_of(owner).run}/exec-{identifier}.options.json"

    def _state_path(self, owner: str, identifier: str) -> str:
        return f"{self._containers.places_of(owner).run}/exec-{identifier}.json"


def _told(action: str, options: ExecOptions) -> str:
    return f"{action}: {' '.join(options.command)}"


def _size(state: ExecState) -> int:
    return sum(map(len, (*state.options.command, *state.options.env)))


def _refuse_paused(container: Container) -> None:
    if container.state.status == "paused":
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec",
                       hint=f"kist unpause {container.name}")  # fmt: skip
