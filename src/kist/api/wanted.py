"""Which places an engine is to listen at: its own, and those that its administrator asks for."""

import grp
import logging
import os
from collections.abc import Iterator, Sequence

import msgspec

from kist.api.activation import is_tcp
from kist.api.listener import shared_place
from kist.api.places import Inherited, Tcp, UnixPath, Where
from kist.engine.policy.strictness import check_way, danger_on_the_way
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.listening import Listening, check_tls, handed_name, tcp_address, unix_path

_log = logging.getLogger(__name__)
_DOCKERS_GROUP = "docker"


def own_place(run_root: str) -> UnixPath:
    """The engine's own socket, which every command finds."""
    return UnixPath(os.path.join(run_root, "engine.sock"))


def places_wanted(asked: Listening, inherited: Sequence[Inherited], run_root: str, *, root: bool) -> list[Where]:
    """All places, the engine's own first; where somebody has made a socket already, that one.

    Args:
        asked: what the command line and the settings say.
        inherited: sockets that a service manager has made.
        run_root: of this engine.
        root: whether it is root's.

    Raises:
        Unsupported: an ordinary user's engine is asked for what is root's, or there is no such kind of place.
        NotFound: there is no such group.
        InvalidInput: an address is none; TCP without certificates; nobody has handed over what was asked for; a path
            is to be two sockets.
        Forbidden: a socket with a role is to be where others could put another one.
    """
    made = {os.path.realpath(each.path) for each in inherited if each.path}
    own = [own_place(run_root), *_asked(asked, inherited, run_root, root)]
    _check_paths([where for where in own if isinstance(where, UnixPath)], made)
    return [
        *(where for where in own if not isinstance(where, UnixPath) or os.path.realpath(where.path) not in made),
        *(_secured(each, asked) for each in inherited),
    ]


def _check_paths(wanted: Sequence[UnixPath], made: set[str]) -> None:
    paths: set[str] = set()
    for where in wanted:
        path = os.path.realpath(where.path)
        if path in paths:
            raise InvalidInput(f"the socket {where.path} is asked for twice", hint="each has one path, and one role")
        if where.scope is not None and path in made:  # without the role, it would give all that the callers have
            raise InvalidInput(
                f"the socket {where.path} cannot have a role: it was handed over",
                hint="take its ListenStream= out of the socket's unit: the engine makes it",
            )
        paths.add(path)


def _asked(asked: Listening, inherited: Sequence[Inherited], run_root: str, root: bool) -> Iterator[Where]:
    if asked.group:
        yield UnixPath(os.path.join(shared_place(run_root), "engine.sock"), _group(asked.group, root))
    if asked.docker_socket:
        yield UnixPath(asked.docker_socket, _dockers(asked, run_root, root))
    yield from _with_roles(asked, root)
    for host in asked.hosts:
        if path := unix_path(host):
            if danger := danger_on_the_way(path):  # what it gives is what its callers have; the risk is theirs
                _log.warning("%s: %s, who could put another socket there for clients to call", path, danger)
            yield UnixPath(path)
        elif (name := handed_name(host)) is not None:
            _check_handed(host, name, inherited)
        else:
            address, port = tcp_address(host)
            check_tls(host, asked.tls)
            yield Tcp(address, port, asked.tls)


def _with_roles(asked: Listening, root: bool) -> Iterator[UnixPath]:
    for each in asked.sockets:
        check_way(each.path)
        yield UnixPath(each.path, _group(each.group, root) if each.group else -1, each.mode, each.scope)


def _group(name: str, root: bool) -> int:
    if not root:
        raise Unsupported("an ordinary user's engine serves that user alone", hint="only root's is shared with a group")
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise NotFound(f"there is no group {name!r}", hint=f"make it: groupadd --system {name}") from None


def _dockers(asked: Listening, run_root: str, root: bool) -> int:
    """The group of Docker's socket: whose members are guests; nobody's where there is no group of that name."""
    if not root:
        raise Unsupported(
            f"{asked.docker_socket} is for root's engine: every user of the machine finds it",
            hint=f"export DOCKER_HOST=unix://{own_place(run_root).path} has Docker's clients use yours, and so does "
            "`kist context`",
        )
    if asked.group:
        return _group(asked.group, root)
    try:
        return grp.getgrnam(_DOCKERS_GROUP).gr_gid
    except KeyError:
        return -1


def _check_handed(host: str, name: str, inherited: Sequence[Inherited]) -> None:
    if not any(name in {"", each.name, str(each.descriptor)} for each in inherited):
        raise InvalidInput(
            f"{host}: no such socket was handed over",
            hint="that is for a service manager, or systemd-socket-activate, to do: `kist engine units`",
        )


def _secured(given: Inherited, asked: Listening) -> Inherited:
    if not is_tcp(given):
        return given
    check_tls(f"{given} (TCP)", asked.tls)
    return msgspec.structs.replace(given, tls=asked.tls)
