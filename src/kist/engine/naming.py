"""What a container's name server is told, and what the container is told of it: ``names.json`` and resolv.conf.

The container's monitor is the server (``kist.runtime.names``); it reads what is written here, and needs no engine.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kist.engine import links
from kist.kernel import files as kernel_files
from kist.kernel import members
from kist.network import files, nameserver, plan
from kist.runtime import messages
from kist.runtime.names import served
from kist.spec import jsontext
from kist.spec.container import Container
from kist.spec.network import Network
from kist.spec.networking import NetworkAttachment, Networking

_log = logging.getLogger(__name__)
_HOST_NAMES = ("host.docker.internal", "host.kist.internal")


class NamePlaces:
    """Where it is told who is on which network: a directory for each, with a file for each container that runs there.

    Args:
        run_root: the engine's.
        apart: whether this process's networks are in a network namespace of an ordinary user's own: another process may
            have the same ones in another.
    """

    def __init__(self, run_root: str, *, apart: bool) -> None:
        self._root = os.path.join(run_root, "networks")
        self._apart = apart

    def directory(self, network: Network) -> str:
        """The directory of a network; empty for one without names, as Docker's default one is."""
        return "" if network.predefined else os.path.join(self._root, self._name(network.id))

    def _name(self, identifier: str) -> str:
        return f"{identifier}-{members.own_mount_namespace()}" if self._apart else identifier

    def withdraw(self, container: str, network: str = "") -> None:
        """Nobody finds the container by a name any more, on one network (its id) or on all."""
        for name in [self._name(network)] if network else self._names():
            with contextlib.suppress(OSError):  # its monitor was first, it was not there, or the network has gone
                os.unlink(os.path.join(self._root, name, container))

    def forget(self, network: Network) -> None:
        """A network has been removed."""
        with contextlib.suppress(OSError):  # it has never been used
            os.rmdir(os.path.join(self._root, self._name(network.id)))

    def tidy(self, holders: Callable[[], Iterable[str]]) -> None:
        """Take away what killed processes have left of containers that are on no network.

        Args:
            holders: gives the containers that have addresses, and with them those that are about to start.
        """
        found = [(name, each) for name in self._names() for each in os.listdir(os.path.join(self._root, name))]
        here = frozenset(holders())
        for name, each in found:
            if each.removeprefix(".") not in here:
                with contextlib.suppress(OSError):  # its monitor was first
                    os.unlink(os.path.join(self._root, name, each))

    def close(self) -> None:
        """An ordinary user's own networks end with their last container."""
        if self._apart:
            for name in self._names():
                if name == self._name(name.partition("-")[0]):
                    with contextlib.suppress(OSError):  # somebody is on it
                        os.rmdir(os.path.join(self._root, name))

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._root)
        except FileNotFoundError:
            return []


def resolv_conf(wanted: Networking) -> str:
    """The text of /etc/resolv.conf of a container with a name server of its own."""
    return files.served_resolv_file(kernel_files.read_text(files.RESOLV_CONF), nameserver.ADDRESS, wanted)


def host_of(attachments: Sequence[NetworkAttachment]) -> str:
    """The host's own address as a container reaches it; empty where it does not."""
    return next((each.host for each in plan.in_order(attachments) if each.host), "")


def host_names(wanted: Networking) -> tuple[str, ...]:
    """What the host is called in the container, but for names that it was given for something else."""
    given = {files.read_extra_host(text)[1] for text in wanted.extra_hosts}
    return tuple(name for name in _HOST_NAMES if name not in given)


def tell(run_directory: str, container: Container, attachments: Sequence[NetworkAttachment], *, inside: bool) -> None:
    """Write what the monitor of a container that is about to start answers from.

    Args:
        run_directory: of the container.
        container: its ``dns`` servers are asked in place of the host's.
        attachments: the networks that it is on.
        inside: whether the monitor lives in an ordinary user's own network, not in the host's.
    """
    servers = files.servers_outside(container.options.networking.dns)
    asked = {
        "servers": servers or None,
        "resolver": attachments[0].resolver if inside and not servers else None,
    }
    messages.write_json(_file(run_directory), {**_where(container, attachments), **asked})


def tell_again(run_directory: str, container: Container, attachments: Sequence[NetworkAttachment]) -> None:
    """Write the same of a container that runs, if it is not what is there; its monitor heeds it with the next question.

    Who was started on no network has no name server, and nothing is written.
    """
    if not has_server(run_directory):
        return
    before = messages.read_json(_file(run_directory))
    after = before | _where(container, attachments)
    if before != after:
        messages.write_json(_file(run_directory), after)
    announce(run_directory, container.id)


def announce(run_directory: str, identifier: str) -> None:
    """Have the container found by its names on all of its networks, as ``tell`` has written them."""
    if not has_server(run_directory):
        return
    for network in messages.read_json(_file(run_directory))["networks"]:
        if network["entry"]["names"]:
            os.makedirs(network["directory"], 0o700, exist_ok=True)
            aside = os.path.join(network["directory"], f".{identifier}")
            with open(aside, "w", encoding="utf-8") as file:
                file.write(jsontext.dumps(network["entry"]))
            os.rename(aside, os.path.join(network["directory"], identifier))


def _where(container: Container, attachments: Sequence[NetworkAttachment]) -> dict[str, Any]:
    """What changes with the networks that a container is on."""
    host = host_of(attachments)
    named = [each for each in plan.in_order(attachments) if each.names]
    return {
        "networks": [_network(container, each) for each in named],
        "fixed": {name: [host] for name in host_names(container.options.networking)} if host else {},
        "forwards": any(not each.internal for each in attachments),
    }


def _network(container: Container, attachment: NetworkAttachment) -> dict[str, Any]:
    wanted = container.options.networking
    endpoint = wanted.endpoint(attachment.network)
    hostname = container.options.hostname
    # A build step has no name, and nobody looks for it.
    names = [container.name, *endpoint.aliases, container.id[:12], hostname] if container.name else []
    pairs = (links.read_link(text) for text in (*wanted.links, *endpoint.links))
    held = (attachment.address, attachment.address6)
    return {
        "name": attachment.network,
        "directory": attachment.names,
        "links": {alias: target for target, alias in pairs},
        "entry": {
            "names": list(dict.fromkeys(name for name in names if name)),
            "addresses": [address.partition("/")[0] for address in held if address],
        },
    }


def _file(run_directory: str) -> str:
    return os.path.join(run_directory, served.FILE)


def has_server(run_directory: str) -> bool:
    """Whether the container is to have a name server."""
    return os.path.exists(_file(run_directory))


def open_sockets(netns_fd: int) -> dict[str, int]:
    """Descriptors for the monitor, by the names that it knows them by; empty where it has some, or can have none.

    Args:
        netns_fd: the container's network namespace.
    """
    try:
        udp, tcp = nameserver.open_sockets(netns_fd)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            _log.warning("a container has no name server: %s", error)
        return {}
    return {served.UDP: udp, served.TCP: tcp}
