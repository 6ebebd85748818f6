"""Starting: from a plan to a running process with a network, for containers, build steps and exec'd processes."""

import contextlib
import errno
import functools
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from kist.engine import naming, publishing
from kist.engine.kept_network import Connected
from kist.engine.networks import Networks
from kist.engine.publishing import Neighbours
from kist.errors import (
    CommandNotExecutable,
    CommandNotFound,
    InvalidInput,
    KistError,
    NotFound,
    Unavailable,
    Unsupported,
    see_doctor,
)
from kist.kernel import faults, userns
from kist.runtime import launch, messages, seccomp
from kist.runtime.launch import Attachment, Line, Spawner
from kist.runtime.plan import Plan
from kist.runtime.seccomp.pretence import pretending
from kist.spec.networking import NetworkAttachment
from kist.spec.platform import Platform
from kist.spec.runtime import RuntimeSpec


class Places(msgspec.Struct, frozen=True):
    """A container's directories.

    Attributes:
        data: outlives the machine's restarts: the log, how it ended; and what the container may write to: the files
            of /etc.
        run: need not: the plan, the monitor's socket, the state while it runs.
        root: an empty directory, the same for all, that the root file system is mounted over, each time in the
            container's own mount namespace.
    """

    data: str
    run: str
    root: str

    def make(self) -> None:
        """Make the directories where they are missing."""
        for directory in (self.data, self.run, self.root):
            try:
                os.mkdir(directory, 0o700)
            except FileExistsError:
                continue
            except FileNotFoundError:
                os.makedirs(directory, 0o700, exist_ok=True)


class Starter:
    """Has monitors made and containers connected."""

    def __init__(self, spawner: Spawner, networks: Networks) -> None:
        self.spawner = spawner
        self._networks = networks
        # Of the container with this id: whom an error about it may name.
        self.neighbours: Callable[[str], Neighbours] = lambda _: Neighbours()

    def start(
        self,
        plan: Plan,
        places: Places,
        *,
        networks: Sequence[NetworkAttachment] = (),
        attached: Sequence[Attachment] = (),
        volumes: Mapping[str, int] | None = None,
        kept: Connected | None = None,
        meanwhile: Callable[[], None] | None = None,
        line: Line | None = None,
    ) -> socket.socket:
        """Start the plan's process, and connect its network namespace.

        Args:
            plan: what is started.
            places: its directories.
            networks: what it is connected to.
            attached: its streams, from the start.
            volumes: held ones.
            kept: the namespace that it has, or that becomes of its own one when it has ended.
            meanwhile: done while the process is on its way to its program, which takes some milliseconds.
            line: of a monitor of which more is asked afterwards, and maybe was before.

        Returns:
            The control socket of the monitor, which tells the end.

        Raises:
            CommandNotFound, CommandNotExecutable: the command.
            NotFound: a bind source that does not exist.
            KistError: an operation failed; the message names it.
        """
        network = kept.network if kept is not None else -1
        control = self.spawner.launch(plan, places.data, places.run, attached, volumes or {}, network, line)
        try:
            self._converse(control, plan, places, networks, kept, meanwhile)
        except BaseException:
            _give_up(control)
            self.spawner.settle(places.run)
            raise
        return control

    def settle(self, places: Places) -> None:
        """Wait until an earlier run in these places is over for everybody, also for who took over from its monitor."""
        self.spawner.settle(places.run)

    def _converse(
        self,
        control: socket.socket,
        plan: Plan,
        places: Places,
        networks: Sequence[NetworkAttachment],
        kept: Connected | None,
        meanwhile: Callable[[], None] | None,
    ) -> None:
        while True:
            message, descriptors = messages.receive(control)
            if message is None:
                raise Unavailable(
                    "the container's monitor died while it started the container", hint="try again: nothing was started"
                )
            try:
                if message["event"] == "created":
                    faults.point("start: heard of the clone")
                    if networks and descriptors:
                        names = self._connected(descriptors, networks, plan.id, kept)
                        naming.announce(places.run, plan.id)
                        _go(control, names)
                    if meanwhile is not None:
                        _do_meanwhile(meanwhile, places)
                elif message["event"] == "failed":
                    # Its end is on disk when the monitor says so: who hears of the failure sees a stopped container.
                    _await_end(control)
                    raise_failure(message["failure"], lambda: self.neighbours(plan.id))
                elif message["event"] == "started":
                    return
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _connected(
        self, descriptors: list[int], networks: Sequence[NetworkAttachment], identifier: str, kept: Connected | None
    ) -> Mapping[str, int]:
        """Connect the namespace ``descriptors[0]``, unless it is one that was kept; sockets for its name server.

        What of them is nobody's comes to be among the descriptors.
        """
        if kept is not None and kept.network >= 0:
            return kept.names
        self._networks.attach(descriptors[0], networks, kept.holder if kept is not None else identifier)
        faults.point("start: connected the network")
        names = naming.open_sockets(descriptors[0])
        faults.point("start: made the name server's sockets")
        if kept is not None:
            kept.take(os.dup(descriptors[0]), names)
        else:
            descriptors += names.values()
        return names


def _do_meanwhile(call: Callable[[], None], places: Places) -> None:
    """Do something while a process is on its way; where that fails, it is not to run to its end."""
    try:
        call()
    except BaseException:
        kill_quietly(places)
        raise


def _go(control: socket.socket, names: Mapping[str, int]) -> None:
    """Let init go on, and have the monitor serve names by these sockets."""
    with contextlib.suppress(BrokenPipeError):  # it failed meanwhile; the next message tells why
        messages.send(control, {"go": True}, list(names.values()))


def _give_up(control: socket.socket) -> None:
    """Let init end that waits for a network, and wait for it: its directory is about to be taken away."""
    with control, contextlib.suppress(OSError):
        messages.send(control, {"go": False})
        _await_end(control)


def _await_end(control: socket.socket) -> None:
    message, _ = messages.receive(control)
    while message is not None and message["event"] != "exited":
        message, _ = messages.receive(control)


# Operations that show files mapped.
_MAPPED = frozenset({"open_for", "open_tree", "open_volume", "map_layers", "open_root"})


def raise_failure(failure: dict[str, Any], neighbours: Callable[[], Neighbours] = Neighbours) -> NoReturn:
    """Turn what init reported into the error that a user understands; ``neighbours`` are those that it may name."""
    exit_code = failure.get("exit_code")
    message, hint = failure.get("message", ""), failure.get("hint", "")
    if exit_code == CommandNotFound.exit_code:
        raise CommandNotFound(message, hint=hint)
    if exit_code == CommandNotExecutable.exit_code:
        raise CommandNotExecutable(message, hint=hint)
    if failure["operation"] == "runtime":
        raise KistError(message, hint=hint or "these are the runtime's own words")
    operation, arguments, path = failure["operation"], failure["arguments"], failure["path"]
    reason = os.strerror(failure["errno"]).lower() if failure["errno"] else message
    if failure["errno"] == errno.EOPNOTSUPP and operation in _MAPPED:
        raise Unsupported(
            f"the file system of {path} cannot show its files to a user namespace of the container's own",
            hint=see_doctor(
                "mapped-mounts", "run with --userns host, or keep the files on ext4, xfs or btrfs (tmpfs: Linux 6.3)"
            ),
        )
    if operation in {"open_for", "open_tree", "open_volume"} and failure["errno"]:
        raise _bind_failure(failure, reason)
    if operation == "user" and not failure["errno"]:
        file = "/etc/group" if "group" in message.split(":")[0] else "/etc/passwd"
        raise InvalidInput(message, hint=f"use a name of the image's {file}, or a number")
    if operation == "privileges" and failure["errno"] == errno.EINVAL and path:
        raise InvalidInput(
            f"the user {path} that the container is to run as has no id in this engine's user namespace",
            hint=see_doctor(
                "subids",
                "run it as root, which is you, or ask the administrator for a range of ids for you in /etc/subuid and "
                "/etc/subgid",
            ),
        )
    if operation == "publish":
        raise publishing.failure(path, failure["errno"], arguments.get("protocol", "tcp"), neighbours())
    if operation == "attach":
        raise InvalidInput(f"cannot mount on {arguments.get('target', path)} in the container: {reason}")
    if operation == "directory":
        raise _directory_failure(arguments, reason)
    if option := _option_of(operation, arguments, path):
        raise InvalidInput(f"the kernel refuses the value of {option}: {reason}")
    place = f" {path}" if path else ""
    hint = "`kist run --dry-run` shows all operations"
    code = _cause_of(operation, arguments, path, failure["errno"])
    raise KistError(
        f"failed to start the container: {operation}{place}: {reason}", hint=see_doctor(code, hint) if code else hint
    )


# Operations that fail where the machine lacks something, and the doctor's code for that.
_CAUSES = {
    "mount_root": "overlay", "join_cgroup": "cgroups", "open_cgroup": "cgroups", "user_namespace": "userns",
    "privileges": "seccomp", "open_disk": "loop",
}  # fmt: skip


def _cause_of(operation: str, arguments: dict[str, Any], path: str, number: int) -> str:
    """The doctor's code for what may be lacking; empty where it is hardly the machine's."""
    if number in {errno.ENOSPC, errno.EDQUOT} and "cgroup" not in path:
        return "space"
    if operation == "prepare" and "cgroup" in path:
        return "cgroups"
    if operation == "mount" and arguments.get("type") == "proc":
        return "proc"
    return _CAUSES.get(operation, "")


def _directory_failure(arguments: dict[str, Any], reason: str) -> KistError:
    message = f"cannot enter the working directory {arguments.get('path')}: {reason}"
    if arguments.get("make", True):
        return InvalidInput(message)
    # Of an exec'd process, for which none is made.
    return CommandNotExecutable(message, hint="make it first, or choose another with -w")


def _bind_failure(failure: dict[str, Any], reason: str) -> KistError:
    if failure["operation"] == "open_for":
        from kist.engine.policy import binds  # noqa: PLC0415 - for guests only

        return binds.refusal(failure["errno"], reason, failure["arguments"])
    source = failure["arguments"].get("source") or failure["arguments"].get("volume") or failure["path"]
    if within := failure["arguments"].get("within"):
        name = os.path.basename(os.path.dirname(source)) if source.startswith("/") else source
        what = "does not exist" if failure["errno"] == errno.ENOENT else f"cannot be mounted: {reason}"
        return NotFound(
            f"the subpath {within} of the volume {name} {what}",
            hint="make it first, by a container that has the whole volume",
        )
    return NotFound(
        f"bind source path does not exist: {source}"
        if reason == "no such file or directory"
        else f"bind source {source}: {reason}",
        hint="create it first, or correct the path after -v or --mount",
    )


# Files of control groups, and whose values they get.
_LIMITS = (
    ("memory.memsw.", "--memory or --memory-swap"), ("memory.swap.", "--memory-swap"),
    ("memory.soft_", "--memory-reservation"), ("memory.low", "--memory-reservation"),
    ("memory.swappiness", "--memory-swappiness"), ("memory.", "--memory"), ("pids.", "--pids-limit"),
    ("cpu.rt_runtime", "--cpu-rt-runtime"), ("cpu.rt_period", "--cpu-rt-period"), ("cpu.shares", "--cpu-shares"),
    ("cpu.", "--cpus, --cpu-period or --cpu-quota"), ("cpuset.cpus", "--cpuset-cpus"), ("cpuset.mems", "--cpuset-mems"),
    ("blkio.throttle.", "--device-read-bps or its kin"), ("blkio.", "--blkio-weight"),
    ("io.", "--blkio-weight or its kin"),
)  # fmt: skip


def _option_of(operation: str, arguments: dict[str, Any], path: str) -> str:
    """The option, with its value where that is known, that an operation failed for; empty when none is to blame."""
    if operation == "sysctl":
        return f"--sysctl {arguments.get('name', '')}={arguments.get('value', '')}"
    if operation == "mount" and arguments.get("type") == "tmpfs" and arguments.get("data"):
        return f"--tmpfs {arguments.get('target', path)}:{arguments['data']}"
    if operation == "prepare":
        name = os.path.basename(path)
        return next((option for start, option in _LIMITS if name.startswith(start)), "")
    return {"domainname": "--domainname", "hostname": "--hostname", "oom_score": "--oom-score-adj"}.get(operation, "")


def kill_quietly(places: Places) -> None:
    """Kill what runs in these places, if anything does."""
    with contextlib.suppress(KistError):
        launch.ask(places.run, {"op": "signal", "number": signal.SIGKILL})


@functools.lru_cache(maxsize=64)
def seccomp_filter(profile: str, capabilities: frozenset[str]) -> bytes:
    """The compiled filter for processes with these capabilities; empty for none.

    Args:
        profile: ``default``, a profile in Docker's JSON, or empty.
        capabilities: of the bounding set.

    Raises:
        InvalidInput: the profile is none, or too long.
    """
    machine = Platform.of_machine(os.uname().machine).architecture
    found = _profile(profile, machine)
    if found is None:
        return b""
    ids = userns.limited_ids()
    if ids is not None and ids.alone:
        found = pretending(found)
    return seccomp.compile(found, architecture=machine, capabilities=capabilities)


def seccomp_document(profile: str, capabilities: frozenset[str]) -> dict[str, Any] | None:
    """The same filter as the runtime specification's ``linux.seccomp``; None for none."""
    from kist.runtime.seccomp import oci  # noqa: PLC0415 - for outside runtimes only

    machine = Platform.of_machine(os.uname().machine).architecture
    found = _profile(profile, machine)
    return oci.document(found, architecture=machine, capabilities=capabilities) if found is not None else None


def _profile(profile: str, machine: str) -> seccomp.Profile | None:
    return seccomp.DEFAULT if profile == "default" else _read_profile(profile, machine)


def _read_profile(text: str, machine: str) -> seccomp.Profile | None:
    if not text:
        return None
    from kist.runtime.seccomp import docker  # noqa: PLC0415 - few containers bring a profile

    version, patch_level = os.uname().release.split(".")[:2]
    return docker.read(text, architecture=machine, kernel=(int(version), _digits(patch_level)))


def _digits(text: str) -> int:
    """The number that a text begins with (``18`` of ``18-rc1``)."""
    end = next((place for place, character in enumerate(text) if not character.isdecimal()), len(text))
    return int(text[:end] or 0)


def filter_for(spec: RuntimeSpec) -> bytes:
    """The filter of a container; empty when it is to have none."""
    return seccomp_filter(spec.linux.seccomp, frozenset(spec.process.capabilities))
