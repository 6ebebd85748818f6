"""Callers who are not the engine's own user, and what they get: nothing that a route does not give them by name."""

from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.engine.policy import peers
from kist.errors import Forbidden

if TYPE_CHECKING:
    from kist.api.call import Call
    from kist.api.routing import Route
    from kist.engine import Engine


async def admit(call: "Call", route: "Route") -> None:
    """Let a caller take a route: the call gets the caller's view of the engine, and the path's field a whole id.

    Raises:
        Forbidden: the caller cannot be known, or may not; the hint says who could change that.
        NotFound: there is no such container or process.
    """
    peer = peers.look(call.connection)
    if peer is None:
        raise Forbidden("who calls cannot be known", hint="connect by the engine's Unix socket")
    own = call.engine
    # A guest may keep the engine waiting (by a file system of its own, say), but not the threads that root's calls use.
    call.patient = True
    call.engine = await call.run(_admitted, own, peer)
    if call.engine is own:
        return  # who is trusted as the engine's user is
    if route.access is Access.THEIRS:
        # From here on by its id: a name may come to mean another one.
        call.fields["id"] = (await call.run(call.engine.container, call.fields["id"])).id
    elif route.access is Access.THEIR_EXEC:
        await call.run(_own_exec, call.engine, call.fields["id"])
    elif route.access not in {Access.ANYBODY, Access.CHECKED}:
        raise Forbidden(
            f"{route.method} {route.pattern} is for the engine's own user", hint="ask the machine's administrator"
        )


def _admitted(engine: "Engine", peer: peers.Peer) -> "Engine":
    from kist.engine.guest import admit as admit_guest  # noqa: PLC0415 - most engines have no guests

    return admit_guest(engine, peer)


def _own_exec(engine: "Engine", identity: str) -> None:
    engine.container(engine.exec_inspect(identity).container)
