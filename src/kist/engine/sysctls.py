"""Kernel parameters of a container: only those that its own namespaces hold (Docker's and runc's lists)."""

from kist.errors import InvalidInput
from kist.spec.container import ContainerOptions
from kist.spec.runtime import IdMaps

_IPC = frozenset(
    {
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
        "kernel.shmmni", "kernel.shm_rmid_forced",
    }
)  # fmt: skip
_IPC_PREFIX = "fs.mqueue."
_NETWORK_PREFIX = "net."
# As in Docker: with a network of its own, a container may open low ports and ping without privileges.
PINGERS = "net.ipv4.ping_group_range"
ALL_GROUPS = "0 2147483647"
_WITH_NETWORK = {"net.ipv4.ip_unprivileged_port_start": "0", PINGERS: ALL_GROUPS}


def check(options: ContainerOptions) -> None:
    """Refuse parameters that belong to the whole machine, or to a namespace that is not the container's own.

    Raises:
        InvalidInput: in Docker's words.
    """
    for name in options.sysctls:
        key = canonical(name)
        network, ipc = key.startswith(_NETWORK_PREFIX), key in _IPC or key.startswith(_IPC_PREFIX)
        if not (network or ipc) or not _plain(key):
            raise InvalidInput(
                f"sysctl '{name}' is not allowed", hint=f"allowed are net.*, fs.mqueue.*, {', '.join(sorted(_IPC))}"
            )
        if network and options.network == "host":
            raise InvalidInput(f"sysctl '{name}' is not allowed in the host's network namespace")
        if ipc and options.namespaces.ipc == "host":
            raise InvalidInput(f"sysctl '{name}' is not allowed in the host's IPC namespace")


def canonical(name: str) -> str:
    """The name with dots, whichever of the two spellings of sysctl(8) it has.

    The first separator tells which: after a slash, dots are part of names (``net/ipv4/conf/eth0.1/forwarding``).
    """
    separators = [character for character in name if character in "./"]
    return name.replace("/", ".") if separators[:1] == ["/"] and "." not in name else name


def _plain(key: str) -> bool:
    """Whether no part of it leads elsewhere in /proc/sys."""
    return all(part not in {"", "."} for part in key.replace("/", ".").split(".")) and "\0" not in key


def wanted(options: ContainerOptions, *, own_network: bool, ids: IdMaps | None = None) -> dict[str, str]:
    """What is set in a container, with the defaults of one that has a network of its own.

    Args:
        options: with those that are asked for.
        own_network: whether it has one.
        ids: of its user namespace, beyond whose groups none can be named.
    """
    usual = dict(_WITH_NETWORK) if own_network else {}
    if usual and ids is not None:
        first = next(entry for entry in ids.gids if entry.inside == 0)
        usual[PINGERS] = f"0 {min(first.size - 1, 2147483647)}"
    return usual | {canonical(name): value for name, value in options.sysctls.items()}
