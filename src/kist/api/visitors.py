"""Who is at the other end of a connection, also in the words of the audit log (``kist.spec.audit``)."""

import asyncio
import hashlib
import os
import re
from collections.abc import Mapping

from kist.api.places import Callers, FromAfar, Place
from kist.api.shares import OWNER, Caller
from kist.engine.policy import peers

_OTHER = re.compile(r"[^A-Za-z0-9.-]+")
_LONGEST = 40


USER, SOCKET = "user", "socket"
"""What the names of callers begin with."""


def is_owners(connection: peers.Connection | None, place: Place) -> bool:
    """Whether the engine's own user is at the other end."""
    if place.callers is Callers.PEERS:
        return peers.uid_of(connection) == os.geteuid()
    return place.callers is Callers.OWNER


def caller_of(connection: peers.Connection | None, place: Place) -> Caller:
    """Who shares with the others: a guest by the user's number, and all who come by one socket with a role.

    Who is root in a container there is any user of it; such a socket is one caller, whoever connects.
    """
    if is_owners(connection, place):
        return OWNER
    if place.callers is Callers.ROLE:
        path = place.name.removeprefix("unix://")
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
        return f"{SOCKET}-{_OTHER.sub('_', os.path.basename(path))[:_LONGEST]}-{digest}"
    uid = -1 if connection is None else peers.credentials(connection)[1]
    return f"{USER}-{uid}" if uid >= 0 else f"{USER}-unknown"


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
