"""Further processes in running containers. What is known of one is on disk, in its container's run directory."""

import json
import os
import secrets
import socket
from typing import Any

from kist.engine import bundle, lifetime, security, starter
from kist.engine.containers import Containers
from kist.engine.events import Events
from kist.errors import Conflict, InvalidInput, NotFound
from kist.kernel import faults
from kist.runtime import plan
from kist.spec import json as spec_json
from kist.spec.container import Container, ExecOptions, ExecState


class Execs:
    """Exec'd processes of this engine's containers."""

    def __init__(self, containers: Containers, events: Events) -> None:
        self._containers = containers
        self._events = events
        # Where an exec was made; others are looked for on disk. Only ever added to, and by one key, so no lock.
        self._owners: dict[str, str] = {}

    def create(self, name: str | Container, options: ExecOptions) -> str:
        """Note what is to be executed; its id."""
        container = self._containers.get(name)
        lifetime.need_process(container)
        if container.state.status == "paused":
            raise Conflict(f"Container {container.name} is paused, unpause the container before exec",
                           hint=f"kist unpause {container.name}")  # fmt: skip
        if not options.command:
            raise InvalidInput("No exec command specified")
        identifier = secrets.token_hex(32)
        with open(self._options_path(container, identifier), "wb") as file:
            file.write(spec_json.encode(options))
        faults.point("exec: wrote the options")
        self._owners[identifier] = container.id
        self._events.container(f"exec_create: {' '.join(options.command)}", container, execID=identifier)
        return identifier

    def start(self, identifier: str, *, detach: bool) -> socket.socket | None:
        """Start it; its streams unless ``detach``.

        Raises:
            CommandNotFound, CommandNotExecutable: the command.
            Conflict: it was started before, or the container has ended.
        """
        container, options = self._find(identifier)
        places = self._containers.places(container)
        if os.path.exists(self._state_path(container, identifier)):
            raise Conflict(f"exec {identifier} was started before")
        linked = self._containers.linked_environment(container)
        process = bundle.exec_process(container, options, linked, self._containers.hostname(container))
        ids = self._containers.ids(container)
        made = plan.make_exec_plan(
            identifier,
            process,
            plan.EXEC_NAMESPACES,
            seccomp=starter.seccomp_filter(
                "" if options.privileged else security.read(container.options).seccomp,
                frozenset(process.capabilities),
            ),
            stdin=options.open_stdin,
            ids=ids,
        )
        message = {
            "op": "exec",
            "id": identifier,
            "plan": {**made.message(), "init": made.init_text()},
            "detach": detach,
        }
        faults.point("exec: about to ask the monitor")
        # Ahead of the start, so that its end comes after it.
        self._events.container(f"exec_start: {' '.join(options.command)}", container, execID=identifier)
        connection, answer = self._containers.guardians.request(places, message)
        faults.point("exec: heard of the start")
        if "failed" in answer:
            connection.close()
            starter.raise_failure(answer["failed"])
        if detach:
            connection.close()
            return None
        return connection

    def inspect(self, identifier: str) -> ExecState:
        """What became of it."""
        container, options = self._find(identifier)
        found: dict[str, Any] = {}
        try:
            with open(self._state_path(container, identifier), encoding="utf-8") as file:
                found = json.load(file)
        except FileNotFoundError:
            found = {"running": False, "exit_code": None, "pid": 0}
        running = bool(found["running"]) and container.state.running
        code = None if running else found["exit_code"]
        return ExecState(identifier, container.id, running, code, found["pid"], options)

    def resize(self, identifier: str, height: int, width: int) -> None:
        """Set the size of its terminal, in characters."""
        container, _ = self._find(identifier)
        message = {"op": "resize", "height": height, "width": width, "exec": identifier}
        self._containers.guardians.ask(self._containers.places(container), message)

    def leave(self, identifier: str) -> None:
        """Let it go on when the client that feeds it goes: it detaches, and has not vanished."""
        container, _ = self._find(identifier)
        message = {"op": "leave", "exec": identifier}
        self._containers.guardians.ask(self._containers.places(container), message)

    def _find(self, identifier: str) -> tuple[Container, ExecOptions]:
        if not identifier.isalnum():
            raise NotFound(f"No such exec instance: {identifier}")
        owner = self._owners.get(identifier)
        candidates = [self._containers.get(owner)] if owner else self._containers.list()
        for container in candidates:
            try:
                with open(self._options_path(container, identifier), "rb") as file:
                    return container, spec_json.decode(file.read(), ExecOptions)
            except FileNotFoundError:
                continue
        raise NotFound(f"No such exec instance: {identifier}")

    def _options_path(self, container: Container, identifier: str) -> str:
        return os.path.join(self._containers.places(container).run, f"exec-{identifier}.options.json")

    def _state_path(self, container: Container, identifier: str) -> str:
        return os.path.join(self._containers.places(container).run, f"exec-{identifier}.json")
