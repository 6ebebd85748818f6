"""Which namespaces a container has of its own, which are the host's, and which another container's (Docker's modes)."""

from collections.abc import Callable

from kist.errors import Conflict, InvalidInput, KistError, NotFound
from kist.kernel import process
from kist.kernel.members import Members
from kist.spec.container import Container, ContainerOptions
from kist.spec.runtime import Joined

# What a container may have of the host and others may join, and how /proc/PID/ns calls it.
_FILES = {"network": "net", "pid": "pid"}
_CONTAINER = "container:"
_MODES = {
    "IPC": ("none", "private", "shareable", "host"),
    "PID": ("host",),
    "UTS": ("host",),
    "cgroup namespace": ("host", "private"),
}


def shared_with(mode: str) -> str:
    """The container of ``container:NAME``; empty for other modes."""
    return mode.removeprefix(_CONTAINER) if mode.startswith(_CONTAINER) else ""


def check(options: ContainerOptions) -> None:
    """Refuse modes that there are not, and what contradicts them.

    Raises:
        InvalidInput: in Docker's words, where it has some.
    """
    spaces = options.namespaces
    _check_mode("IPC", spaces.ipc, container=True)
    _check_mode("PID", spaces.pid, container=True)
    _check_mode("UTS", spaces.uts)
    _check_mode("cgroup namespace", spaces.cgroup)
    if spaces.uts == "host" and (options.hostname or options.domainname):
        raise InvalidInput("conflicting options: hostname and the UTS mode")
    if options.network.startswith(_CONTAINER) and not shared_with(options.network):
        raise InvalidInput(
            "invalid container format container:<name|id>", hint="--network container:NAME names a container"
        )


def _check_mode(name: str, mode: str, *, container: bool = False) -> None:
    if not mode or mode in _MODES[name] or (container and shared_with(mode)):
        return
    allowed = ", ".join((*_MODES[name], *(("container:NAME",) if container else ())))
    raise InvalidInput(f"invalid {name} mode: {mode}", hint=f"allowed are {allowed}")


def own(options: ContainerOptions) -> tuple[str, ...]:
    """The namespaces that a container gets of its own, in the runtime specification's words."""
    spaces = options.namespaces
    shared = {
        "pid": spaces.pid,
        "ipc": spaces.ipc == "host" or shared_with(spaces.ipc),
        "uts": spaces.uts,
        "cgroup": spaces.cgroup == "host",
        "network": options.network == "host" or shared_with(options.network),
    }
    return tuple(kind for kind in ("pid", "mount", "ipc", "uts", "cgroup", "network") if not shared.get(kind))


def sharing(container: Container, get: Callable[[str], Container]) -> list[Container]:
    """The containers whose network, IPC and PID namespaces a container has, running or not."""
    spaces = container.options.namespaces
    named = map(shared_with, (container.options.network, spaces.ipc, spaces.pid))
    return [get(name) for name in named if name]


def join(
    container: Container, get: Callable[[str], Container], user_namespace_of: Container | None = None
) -> tuple[Joined, ...]:
    """The namespaces of other containers that a container is to have, which must run.

    Args:
        container: whose they are to be.
        get: finds containers by name.
        user_namespace_of: the container whose user namespace it is in, itself or another.

    Raises:
        Conflict: one does not run, or does not share; Docker's words.
        NotFound: there is no such container.
    """
    options = container.options
    wanted: dict[str, list[str]] = {}
    for kind, mode in (("network", options.network), ("ipc", options.namespaces.ipc), ("pid", options.namespaces.pid)):
        if name := shared_with(mode):
            wanted.setdefault(_sharing(container, kind, name, get).id, []).append(kind)
    if user_namespace_of is not None and user_namespace_of.id != container.id:
        giver = _sharing(container, "user", user_namespace_of.id, get)
        wanted.setdefault(giver.id, []).append("user")
    joined = (_joined(get, identifier, kinds) for identifier, kinds in wanted.items())
    return tuple(other for other in joined if other.kinds)


def _sharing(container: Container, kind: str, name: str, get: Callable[[str], Container]) -> Container:
    try:
        other = get(name)
    except NotFound as error:
        if kind == "network":
            raise
        raise NotFound(f"can't join {kind.upper()} of container {name}: {error}", hint=error.hint) from error
    if other.id == container.id:
        raise InvalidInput(f"cannot join own {kind}")
    if not other.state.running:
        words = "network" if kind == "network" else kind.upper()
        raise Conflict(f"cannot join {words} of a non running container: {name}", hint=f"kist start {other.name}")
    # As in Docker the default is not to share: who shares has said so.
    if kind == "ipc" and other.options.namespaces.ipc != "shareable":
        raise Conflict(
            f"can't join IPC of container {name}: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)",
            hint=f"make {other.name} with --ipc shareable",
        )
    return other


def _joined(get: Callable[[str], Container], identifier: str, kinds: list[str]) -> Joined:
    """Who it is that is joined: looked at again, so that a number that means another process by now is not taken.

    What the other one has of the host is had already, and only the machine's root could enter it.
    """
    try:
        pid, started = first_process(get(identifier), get)
        kinds = [kind for kind in kinds if not (kind in _FILES and process.has_our_namespace(pid, _FILES[kind]))]
    except (ProcessLookupError, FileNotFoundError, PermissionError):  # of a dead process only root may see them
        raise Conflict(f"cannot join {kinds[0]} of a non running container: {identifier}") from None
    return Joined(pid, started, tuple(kinds))


def members(container: Container) -> Members:
    """The processes of a running container that has no control group."""
    return Members(container.state.pid, own_pids=not container.options.namespaces.pid)


def first_process(container: Container, get: Callable[[str], Container]) -> tuple[int, int]:
    """The number of a running container's first process, and when it began: for good, that process and no other.

    Raises:
        ProcessLookupError: it has ended.
    """
    pid = container.state.pid
    try:
        started = process.start_time(pid)
    except FileNotFoundError:
        started = 0
    if not started or get(container.id).state.pid != pid:
        raise ProcessLookupError(f"process {pid} has ended")
    return pid, started


def network_giver(container: Container, get: Callable[[str], Container]) -> Container | None:
    """The container whose network this one has at last (it may have it of a third); None when it has its own.

    Raises:
        KistError: they have it of each other.
    """
    seen = {container.id}
    found = None
    while name := shared_with((found or container).options.network):
        found = get(name)
        if found.id in seen:
            raise KistError("the containers have the network of each other")
        seen.add(found.id)
    return found
