"""Who is at the other end of a connection, also in the words of the audit log (``kist.spec.audit``)."""

import asyncio
import os
from collections.abc import Mapping

from kist.api.places import Callers, FromAfar, Place
from kist.engine.policy import peers


def is_owners(connection: peers.Connection | None, place: Place) -> bool:
    """Whether the engine's own user is at the other end."""
    if place.callers is Callers.PEERS:
        return peers.uid_of(connection) == os.geteuid()
    return place.callers is Callers.OWNER


def look(transport: asyncio.BaseTransport, place: Place, caller: FromAfar | None) -> Mapping[str, object]:
    """Fields of ``AuditRecord``: ids and program of a process on this machine, else address and certificate."""
    connection = transport.get_extra_info("socket")
    found: dict[str, object] = {"socket": place.name, "role": place.scope.words if place.scope is not None else ""}
    if caller is not None:
        return found | {"address": caller.address, "subject": caller.subject}
    if connection is None:
        return found
    pid, uid, gid = peers.credentials(connection)
    return found | {"uid": uid, "gid": gid, "pid": pid, "program": peers.program_of(connection, pid)}
