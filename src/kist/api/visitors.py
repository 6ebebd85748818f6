"""Who is at the other end of a connection, in the words of the audit log (``kist.spec.audit``)."""

import asyncio
import socket
from collections.abc import Mapping

from kist.api.places import Place
from kist.engine.policy import peers


def look(transport: asyncio.BaseTransport, place: Place) -> Mapping[str, object]:
    """Fields of ``AuditRecord``: ids and program of a process on this machine, else address and certificate."""
    connection = transport.get_extra_info("socket")
    found: dict[str, object] = {"socket": place.name}
    if connection is None:
        return found
    if connection.family == socket.AF_UNIX:
        pid, uid, gid = peers.credentials(connection)
        return found | {"uid": uid, "gid": gid, "pid": pid, "program": peers.program_of(connection, pid)}
    found["address"] = _address(transport.get_extra_info("peername"))
    if certificate := transport.get_extra_info("peercert"):
        found["subject"] = _subject(certificate)
    return found


def _address(name: tuple[object, ...] | None) -> str:
    return f"{name[0]}:{name[1]}" if name and len(name) >= 2 else ""


def _subject(certificate: Mapping[str, tuple[tuple[tuple[str, str], ...], ...]]) -> str:
    """``ssl.SSLSocket.getpeercert``'s subject on one line: ``commonName=ada, organizationName=lab``."""
    return ", ".join(f"{name}={value}" for part in certificate.get("subject", ()) for name, value in part)
