"""Which ports of a container are published, where on the host they may be, and why not."""

import errno
import os
import pwd
import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from kist.errors import Conflict, Forbidden, InvalidInput, KistError, Unsupported, see_doctor
from kist.kernel import listeners, processes, sysctl
from kist.kernel.listeners import Holder, Listener
from kist.spec.container import Container, ContainerOptions
from kist.spec.networking import PortBinding, read_exposed

_LARGEST = 0xFFFF
_FIRST = "net.ipv4.ip_unprivileged_port_start"
_CARRIED = frozenset({"tcp", "udp"})
_MONITOR = re.compile(r"kist-monitor ([0-9a-f]{12})\b")


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be published.

    Raises:
        InvalidInput: a port or an address that is none, or a host port that two ports of the container want.
        Unsupported: a protocol that is not carried.
    """
    taken: set[tuple[str, str, int]] = set()
    for binding in options.networking.ports:
        if binding.protocol not in _CARRIED:
            raise Unsupported(
                f"publishing {binding.port}/{binding.protocol} is not supported", hint="tcp and udp can be published"
            )
        choice = host_ports(binding)
        key = (host_address(binding.host_ip), binding.protocol, choice[0])
        if len(choice) == 1 and choice[0]:
            if key in taken:
                raise InvalidInput(f"port {choice[0]}/{binding.protocol} of the host is published twice")
            taken.add(key)


def host_address(text: str) -> str:
    """The address of the host to listen on; empty for all.

    A name is none: it would be looked up by the container's monitor, which does nothing else meanwhile.

    Raises:
        InvalidInput: it is no address.
    """
    if not text:
        return ""
    try:
        return str(ip_address(text))
    except ValueError:
        raise InvalidInput(
            f"invalid IP address: {text}",
            hint="write an address of this machine, such as 127.0.0.1 or ::1, or leave it out for all of them",
        ) from None


def host_ports(binding: PortBinding) -> Sequence[int]:
    """The ports of the host to choose from; ``[0]`` stands for any that is free.

    Raises:
        InvalidInput: it is neither a port nor a range.
    """
    if not binding.host_port:
        return [0]
    first, dash, last = binding.host_port.partition("-")
    numbers = [first, last if dash else first]
    if not all(number.isascii() and number.isdecimal() and 0 <= int(number) <= _LARGEST for number in numbers):
        raise InvalidInput(
            f"Invalid hostPort: {binding.host_port}", hint=f"a number up to {_LARGEST}, or a range such as 8000-8010"
        )
    low, high = int(first), int(numbers[1])
    if low > high:
        raise InvalidInput(f"Invalid hostPort: {binding.host_port}: the range ends before it begins")
    return range(low, high + 1)


def asked(container: Container) -> bool:
    """Whether any port of the container may be published."""
    return bool(container.options.networking.ports) or container.options.networking.publish_all


def wanted(container: Container, address: str, address6: str = "", host_ip: str = "") -> list[dict[str, Any]]:
    """What the monitor of a container at these addresses is to publish (see ``kist.runtime.ports``).

    Args:
        container: whose ports.
        address: its IPv4 address; empty for none.
        address6: its IPv6 address; empty for none.
        host_ip: where ports are published that name no address; empty for everywhere.
    """
    found = list(container.options.networking.ports)
    if container.options.networking.publish_all:
        named = {(binding.port, binding.protocol) for binding in found}
        found += [PortBinding(*port) for port in exposed(container) if port not in named and port[1] in _CARRIED]
    return [
        {
            "port": binding.port,
            "protocol": binding.protocol,
            "host_ip": host_address(binding.host_ip or host_ip),
            "host_ports": list(host_ports(binding)),
            "address": address,
            **({"address6": address6} if address6 else {}),
        }
        for binding in found
    ]


def exposed(container: Container) -> Iterable[tuple[int, str]]:
    """The ports that image and options expose, in order."""
    return sorted(set(read_exposed(container.config.exposed_ports or ())))


class Neighbours(NamedTuple):
    """Who may have a port, as far as whoever wants it may know.

    Attributes:
        containers: of this engine.
        processes: whether processes may be named.
    """

    containers: Sequence[Container] = ()
    processes: bool = True


def neighbours(container: Container, every: Iterable[Container]) -> Neighbours:
    """Those that the owner of a container may know of; a guest of root's engine knows of the guest's own alone."""
    if container.owner is None:
        return Neighbours(tuple(every))
    return Neighbours(tuple(each for each in every if each.owner == container.owner), processes=False)


def failure(path: str, number: int, protocol: str = "tcp", known: Neighbours | None = None) -> KistError:
    """The error for a port that a monitor could not have.

    Args:
        path: ``ADDRESS:PORT``.
        number: the errno of bind(2).
        protocol: of the port.
        known: who may be named.
    """
    if number == errno.EADDRINUSE:
        return _taken(path, protocol, known or Neighbours())
    if number == errno.EADDRNOTAVAIL:
        return InvalidInput(f"Bind for {path} failed: this machine has no such address", hint="`ip addr` shows them")
    if number in {errno.EACCES, errno.EPERM}:
        port = path.rpartition(":")[2].partition("-")[0]
        return Forbidden(
            f"Bind for {path} failed: ports below {_first_free()} are the administrator's",
            hint=see_doctor("low-ports", f"choose a higher one, or ask for: sysctl -w {_FIRST}={port}"),
        )
    return KistError(f"Bind for {path} failed: {os.strerror(number).lower()}")


def _taken(path: str, protocol: str, known: Neighbours) -> Conflict:
    said = f"Bind for {path} failed: port is already allocated"
    address, _, port = path.rpartition(":")
    if not port.isdecimal():
        return Conflict(said, hint=f"choose others, or find who has them: ss -ln{protocol[0]}p")
    wanted = (protocol, address.strip("[]"), int(port))
    for container in known.containers:
        for told in container.state.ports if container.state.running else ():
            if Listener(told.protocol, told.host_ip, told.host_port, 0).holds(*wanted):
                return _taken_by(said, container)
    inodes = [each.inode for each in listeners.listening() if each.holds(*wanted)] if known.processes else []
    found = listeners.holder(inodes)
    if found is None:
        return Conflict(said, hint=f"choose another, or find who has it: ss -ln{protocol[0]}p 'sport = :{port}'")
    if monitor := _MONITOR.match(found.command):
        return _taken_by_monitor(said, found, monitor[1], known)
    return Conflict(
        f"{said} by process {found.pid} ({found.command})", hint="choose another port, or stop that process"
    )


def _taken_by(said: str, container: Container) -> Conflict:
    name = container.name
    return Conflict(f"{said} by the container {name}", hint=f"choose another port, or: kist stop {name}")


def _taken_by_monitor(said: str, found: Holder, identifier: str, known: Neighbours) -> Conflict:
    """The monitor would only be followed by another one: it is its container that has the port."""
    for container in known.containers:
        if container.id.startswith(identifier):  # it has just started
            return _taken_by(said, container)
    process = processes.look(found.pid)
    uid = process.uid if process else os.getuid()
    whose = "yours" if uid == os.getuid() else _user_name(uid)
    own = "" if whose == "yours" else f"as {whose} and "
    return Conflict(
        f"{said} by the container {identifier} of another engine ({whose})",
        hint=f"choose another port, or stop it there, {own}with that engine's KIST_ROOT and KIST_RUN: "
        f"kist stop {identifier}",
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _first_free() -> str:
    """From which port on everybody may listen."""
    try:
        return sysctl.get(_FIRST)
    except OSError:
        return "1024"
