"""Callers who are not the engine's own user, and what they get: nothing that a route does not give them by name."""

from typing import TYPE_CHECKING

import msgspec

from kist.api.access import Access
from kist.api.needs import NEEDS, Need
from kist.api.visitors import caller_of
from kist.engine.policy import peers
from kist.errors import Forbidden, NotFound
from kist.spec.patterns import check_quick
from kist.spec.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kist.api.call import Call
    from kist.api.routing import Route
    from kist.engine import Engine
    from kist.spec.container import Container


async def admit(call: "Call", route: "Route") -> None:
    """Let a caller take a route: the call gets the caller's view of the engine, and the path's field a whole id.

    Raises:
        Forbidden: the caller cannot be known, or may not; the hint says who could change that.
        NotFound: there is no such container or process.
    """
    # A guest may keep the engine waiting (by a file system of its own, say), but not the threads that root's calls use.
    call.caller = caller_of(call.connection, call.place)
    scope = call.place.scope
    if scope is not None:
        return await _admit_by_role(call, route, scope)
    peer = peers.look(call.connection)
    if peer is None:
        raise Forbidden("who calls cannot be known", hint="connect by the engine's Unix socket")
    own = call.engine
    call.engine = await call.run(_admitted, own, peer)
    if call.engine is own:
        return None  # who is trusted as the engine's user is
    _check_patterns(call)
    if route.access is Access.THEIRS:
        # From here on by its id: a name may come to mean another one.
        call.fields["id"] = (await call.run(call.engine.container, call.fields["id"])).id
    elif route.access is Access.THEIR_EXEC:
        await call.run(_own_exec, call.engine, call.fields["id"])
    elif route.access not in {Access.ANYBODY, Access.CHECKED}:
        raise Forbidden(f"{route.words} is for the engine's own user", hint="ask the machine's administrator")
    return None


async def _admit_by_role(call: "Call", route: "Route", scope: Scope) -> None:
    """The same by a socket with a role, whoever calls: what a route needs is in ``kist.api.needs``."""
    from kist.engine.scoped import ScopedEngine  # noqa: PLC0415 - most engines have no such socket

    need = NEEDS.get((route.method, route.pattern), Need.ALL)
    if not need.given(scope):
        raise Forbidden(
            f"{route.words} is refused by this socket: it gives the role {scope.words}",
            hint=_GIVEN_BY.get(need, "only the engine's own user may do it"),
        )
    _check_patterns(call)
    view = ScopedEngine(call.engine, scope)
    call.engine = view
    find = view.inside if need is Need.INSIDE else view.container
    if route.access is Access.THEIRS:
        call.fields["id"] = (await call.run(find, call.fields["id"])).id
    elif route.access is Access.THEIR_EXEC:
        await call.run(_of_process, view, find, call.fields["id"])


def _of_process(view: "Engine", find: "Callable[[str], Container]", identity: str) -> None:
    """Look for the container of a process; one that is not in sight has none."""
    missing = NotFound(f"No such exec instance: {identity}")
    try:
        find(view.exec_inspect(identity).container)
    except NotFound:
        raise missing from None


def _check_patterns(call: "Call") -> None:
    """Refuse expressions that could hold up everybody, in the two parameters that have some."""
    check_quick(call.text("grep"), "grep")
    for value in _searched(call.text("filters")):
        check_quick(value, "the filter")


def _searched(filters: str) -> "Iterator[str]":
    """The values of those filters that are regular expressions; of what is no filters none, which its reader tells."""
    try:
        found = msgspec.json.decode(filters) if filters else {}
    except (msgspec.DecodeError, RecursionError):
        return
    for name in ("name", "id") if isinstance(found, dict) else ():
        values = found.get(name)
        yield from (each for each in values if isinstance(each, str)) if isinstance(values, list | dict) else ()


_GIVEN_BY = {
    Need.LIFE: "a socket with the role operator would give it",
    Need.MAKE: "a socket with the role operator and labels would give it, for what has these labels",
    Need.INSIDE: "a socket with the role operator and labels would give it, for what has these labels",
}


def _admitted(engine: "Engine", peer: peers.Peer) -> "Engine":
    from kist.engine.guest import admit as admit_guest  # noqa: PLC0415 - most engines have no guests

    return admit_guest(engine, peer)


def _own_exec(engine: "Engine", identity: str) -> None:
    engine.container(engine.exec_inspect(identity).container)
