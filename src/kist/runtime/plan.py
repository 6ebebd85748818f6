"""What a monitor and its container's init are told of one process: plain values, and printable (``--dry-run``)."""

import binascii
from typing import Any

import msgspec

from kist.runtime.mount_words import ATTRIBUTES, FLAGS, PROPAGATION
from kist.spec import json
from kist.spec.runtime import IdMaps, Joined

# How the printed plan calls the bits of these arguments.
_WORDS = {"flags": FLAGS, "attributes": ATTRIBUTES, "propagation": PROPAGATION}
# A log is bounded: this many bytes in a file, and this many files, the current one included.
LOG_BYTES = 32 << 20
LOG_FILES = 8

_FOR_INIT = ("operations", "command", "outside")
_FOR_FEW = ("joined", "publish", "port_rules", "room", "ids", "runtime", "hierarchies", "own_mounts")
_NOT_HELD = (*_FOR_INIT, "bundle")
# What the monitor reads of the plan of a health check.
_FOR_CHECK = ("namespaces", "terminal", "stdin")

# What an exec'd process enters of a container.
EXEC_NAMESPACES = ("pid", "mount", "ipc", "uts", "cgroup", "network")

Step = tuple[str, dict[str, Any]]


class Log(msgspec.Struct, frozen=True):
    """Where the container's output is kept, and where else it goes.

    Attributes:
        name: of a file in the container's directory.
        max_bytes: it is rotated at this size; 0 for no file at all.
        max_files: how many there may be, the current one included.
        compress: whether rotated ones are packed.
        forward: what ``kist.runtime.logforward`` is told; None where the output stays here.
    """

    name: str = "container.log"
    max_bytes: int = LOG_BYTES
    max_files: int = LOG_FILES
    compress: bool = False
    forward: dict[str, Any] | None = None


class Command(msgspec.Struct, frozen=True):
    """What the first process becomes; with ``init`` it stays as a reaper and has the command as its child."""

    args: tuple[str, ...]
    env: tuple[str, ...]
    init: bool = False


class Restart(msgspec.Struct, frozen=True):
    """The restart policy (see ``kist.runtime.restart``)."""

    name: str = "no"
    maximum_retry_count: int = 0


class Health(msgspec.Struct, frozen=True):
    """A health check; times in nanoseconds.

    Attributes:
        interval, start_interval, start_period, retries: see ``kist.runtime.health``.
        timeout: after which a check is killed, and has failed.
        on_failure: what is done when the container has become unhealthy: ``none``, ``kill``, ``restart`` or ``stop``.
        check: the plan of its process.
    """

    interval: int
    timeout: int
    start_interval: int
    start_period: int
    retries: int
    on_failure: str
    check: "Plan"


class Life(msgspec.Struct, frozen=True):
    """How a container is stopped, and what its monitor does by itself.

    Attributes:
        stop_signal: its number.
        stop_timeout: seconds from there to SIGKILL; negative for no end.
        timeout: seconds that it may run; 0 for no end.
        restart: when it is started again.
        health: None for no health checks.
    """

    stop_signal: int = 15
    stop_timeout: int = 10
    timeout: int = 0
    restart: Restart = Restart()
    health: Health | None = None


class OutsideRuntime(msgspec.Struct, frozen=True):
    """An outside runtime in place of init (see ``kist.runtime.outside``).

    Attributes:
        program: its path.
        network: whether the container has another network namespace than the host's.
    """

    program: str
    network: bool


class Plan(msgspec.Struct, frozen=True):
    """All that a monitor needs to know of one process.

    Attributes:
        id: of the container.
        namespaces: what clone makes (the cgroup namespace is an operation, it begins inside the cgroup).
        joined: namespaces of other containers, entered before the clone.
        ids: of its user namespace; None for the host's.
        outside: what takes the host's root where it has one, done before the clone.
        cgroup: its path below the hierarchies' roots; empty for none.
        hierarchies: other roots than the machine's (``kist.kernel.cgroup_mounts.Hierarchies.told``).
        limits: ``LinuxResources`` as JSON has it.
        wait_for_network: whether an operation waits for the engine to attach the network.
        ends_with_engine: whether the process is killed when the engine that started it has gone, or its monitor (build
            steps, containers of an engine that is a part of another program).
        terminal, stdin, stdin_once: how the standard streams are made.
        log: None for output that is only passed on.
        publish: ports that the monitor carries (see ``kist.runtime.ports``).
        port_rules: for the kernel to carry them (see ``kist.runtime.portrules``); None for the monitor alone.
        room: the file of the network namespace from which it reaches the container; empty for the host's.
        own_mounts: whether nobody else has anything of what is mounted in it: no file of the host's, no volume, no
            file system in a file. Then its end is told before all that is unmounted, which may take long.
        life: None for a process that lives once, and that nobody stops (build steps, exec'd processes).
        operations: what init does, in order.
        command: what it becomes.
        runtime: None where init does all that.
        bundle: what the guard of an outside runtime's container is told (``kist.runtime.outside.run``).
    """

    id: str
    namespaces: tuple[str, ...]
    cgroup: str
    limits: dict[str, Any]
    wait_for_network: bool
    ends_with_engine: bool
    terminal: bool
    stdin: bool
    stdin_once: bool
    log: Log | None
    operations: tuple[Step, ...]
    command: Command
    life: Life | None = None
    joined: tuple[Joined, ...] = ()
    publish: tuple[dict[str, Any], ...] = ()
    port_rules: dict[str, Any] | None = None
    room: str = ""
    ids: IdMaps | None = None
    outside: tuple[Step, ...] = ()
    runtime: OutsideRuntime | None = None
    bundle: dict[str, Any] | None = None
    hierarchies: dict[str, Any] | None = None
    own_mounts: bool = False

    def message(self) -> dict[str, Any]:
        """What the monitor reads, as plain JSON values; it keeps them, so what few plans have is left out."""
        found = {name: value for name, value in json.to_builtins(self).items() if name not in _NOT_HELD}
        if self.health_check is not None:
            check = {name: getattr(self.health_check, name) for name in _FOR_CHECK}
            if self.health_check.ids is not None:
                check["ids"] = json.to_builtins(self.health_check.ids)
            found["life"]["health"]["check"] = check
        return {name: value for name, value in found.items() if value or name not in _FOR_FEW}

    @property
    def health_check(self) -> "Plan | None":
        """The plan of a health check's process."""
        return self.life.health.check if self.life is not None and self.life.health is not None else None

    def init_text(self) -> str:
        """What only init reads, as JSON: the monitor does not even hold it."""
        found = {name: getattr(self, name) for name in _FOR_INIT}
        if self.bundle is not None:
            found = {"bundle": self.bundle}
        return json.encode({name: value for name, value in found.items() if value or name != "outside"}).decode()

    def lines(self) -> tuple[str, ...]:
        """The plan as text, an operation a line."""
        head = [name + _described(arguments) for name, arguments in self.outside]
        if self.ids is not None:
            maps = (("uids", self.ids.uids), ("gids", self.ids.gids))
            words = (
                f"{name}={','.join(f'{m.inside}:{m.outside}:{m.size}' for m in entries)}" for name, entries in maps
            )
            head.append(f"user_namespace {' '.join(words)}")
        head += [f"join pid={other.pid} {' '.join(other.kinds)}" for other in self.joined]
        head.append(f"clone {' '.join(self.namespaces)}")
        if self.cgroup:
            head.insert(
                0, f"make_cgroup {self.cgroup}{_described({k: v for k, v in self.limits.items() if k != 'devices'})}"
            )
        head += [f"publish{_described(port)}" for port in self.publish]
        body = [name + _described(arguments) for name, arguments in self.operations]
        if self.runtime is not None:
            head += [f"{self.runtime.program} {verb} {self.id}" for verb in ("create", "start")]
        return (*head, *body, f"execute {' '.join(map(_quoted, self.command.args))}")


def _described(arguments: dict[str, Any]) -> str:
    return "".join(f" {name}={_value(name, value)}" for name, value in arguments.items())


def _value(name: str, value: Any) -> str:
    if name == "seccomp_filter":
        return f"({len(binascii.a2b_base64(value)) // 8} instructions)"
    if name == "mode":
        return f"{value:o}"
    if name in _WORDS:
        return ",".join(word for word, bit in _WORDS[name].items() if value & bit) or "none"
    if name == "devices":
        return ",".join(device["path"].removeprefix("/dev/") for device in value)
    if isinstance(value, dict):
        return ",".join(f"{each}:{to}" for each, to in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return _quoted(str(value))


def _quoted(text: str) -> str:
    return text if text and not set(text) & set(" \t\n\"'\\$") else repr(text)
