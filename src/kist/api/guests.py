"""Callers who are not the engine's own user, and what they get: nothing that a route does not give them by name."""

from typing import TYPE_CHECKING

from kist.api.access import Access
from kist.engine.policy import peers
from kist.errors import Forbidden

if TYPE_CHECKING:
    from kist.api.call import Call
    from kist.api.routing import Route


async def admit(call: "Call", route: "Route") -> None:
    """Let a caller take a route.

    Raises:
        Forbidden: the caller cannot be known, or may not; the hint says who could change that.
    """
    peer = peers.look(call.connection)
    if peer is None:
        raise Forbidden("who calls cannot be known", hint="connect by the engine's Unix socket")
    if route.access is not Access.ANYBODY:
        raise Forbidden(
            f"{route.method} {route.pattern} is for the engine's own user", hint="ask the machine's administrator"
        )
