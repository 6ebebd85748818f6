"""Links between containers (``--link``): the old way to tell one container of another, by environment and /etc/hosts.

Docker's documentation calls them legacy; the scripts of many archives still use them.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from msgspec import structs

from kist.engine import publishing
from kist.errors import Conflict, InvalidInput, NotFound
from kist.network.plan import DEFAULT
from kist.spec.container import Container
from kist.spec.networking import Networking

# Of a container's environment, what says nothing about its service.
_NOT_TOLD = frozenset({"PATH", "HOME", "HOSTNAME", "TERM"})


def read_link(text: str) -> tuple[str, str]:
    """``CONTAINER[:ALIAS]`` as both; a container is its own alias.

    Raises:
        InvalidInput: a part is empty, or there are three.
    """
    name, colon, alias = text.removeprefix("/").partition(":")
    alias = alias.rpartition("/")[2] if colon else name
    if not name or not alias or ":" in alias:
        raise InvalidInput(f"bad format for links: {text!r}", hint="write CONTAINER or CONTAINER:ALIAS")
    return name, alias


def led_to(new: str, old: str, networking: Networking) -> Networking:
    """The same with the links to a container called ``old`` leading to ``new``, under the aliases that they had."""

    def led(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{new}:{read_link(text)[1]}" if read_link(text)[0] == old else text for text in texts)

    endpoints = tuple(structs.replace(each, links=led(each.links)) for each in networking.endpoints)
    return structs.replace(networking, links=led(networking.links), endpoints=endpoints)


class Link(NamedTuple):
    """A linked container: as it is now, what it is called here, and where it is."""

    target: Container
    alias: str
    address: str


def resolve(texts: Iterable[str], get: Callable[[str], Container]) -> tuple[Link, ...]:
    """The links of a container that is about to start on the default network.

    Raises:
        Conflict: a linked container does not run, or has no address to be reached at.
        NotFound: it is gone.
    """
    found = []
    for text in texts:
        name, alias = read_link(text)
        target = get(name)
        if not target.state.running:
            raise Conflict(
                f"Cannot link to a non running container: /{target.name} AS {alias}", hint=f"kist start {target.name}"
            )
        address = address_on(target, {DEFAULT})
        if not address:
            raise _no_way(target)
        found.append(Link(target, alias, address))
    return tuple(found)


def _no_way(target: Container) -> Conflict:
    others = ", ".join(each.network for each in target.networks)
    if not others:
        return Conflict(f"cannot link to {target.name}: it is on no network (--network {target.options.network})")
    return Conflict(
        f"cannot link to {target.name}: this container is on the default network, and that one on {others}",
        hint=f"kist network connect {DEFAULT} {target.name}, or --network with one of its networks",
    )


def known(texts: Iterable[str], get: Callable[[str], Container], networks: Collection[str]) -> tuple[Link, ...]:
    """The links of a container on networks of the user's own: those that run there now, the others when they do."""
    found = []
    for text in texts:
        name, alias = read_link(text)
        with contextlib.suppress(NotFound):
            target = get(name)
            if address := address_on(target, networks):
                found.append(Link(target, alias, address))
    return tuple(found)


def address_on(target: Container, networks: Collection[str]) -> str:
    """Where a container is on one of these networks; empty where it is on none of them now."""
    held = (each.address or each.address6 for each in target.networks if each.network in networks)
    return next((address.partition("/")[0] for address in held), "")


def hosts_entry(link: Link) -> tuple[str, str]:
    """What /etc/hosts says of a linked container: its address, and its alias, host name and name."""
    hostname = link.target.options.hostname or link.target.id[:12]
    return link.address, " ".join(dict.fromkeys((link.alias, hostname, link.target.name)))


def environment(name: str, links: Iterable[Link]) -> tuple[str, ...]:
    """The variables that the container ``name`` gets of its links (Docker's manual, "Legacy container links")."""
    return tuple(line for link in links for line in _variables(name, link))


def _variables(name: str, link: Link) -> Iterator[str]:
    prefix = link.alias.upper().replace("-", "_")
    yield f"{prefix}_NAME=/{name}/{link.alias}"
    for index, (port, protocol) in enumerate(sorted(_exposed(link.target), key=lambda port: (port[1], port[0]))):
        url = f"{protocol}://{link.address}:{port}"
        if not index:
            yield f"{prefix}_PORT={url}"
        own = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield from (f"{own}={url}", f"{own}_ADDR={link.address}", f"{own}_PORT={port}", f"{own}_PROTO={protocol}")
    for entry in link.target.config.env or ():
        if entry.partition("=")[0] not in _NOT_TOLD:
            yield f"{prefix}_ENV_{entry}"


def _exposed(target: Container) -> set[tuple[int, str]]:
    return set(publishing.exposed(target)) | {(port.port, port.protocol) for port in target.options.networking.ports}
