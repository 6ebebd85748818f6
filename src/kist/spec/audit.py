"""The audit log's records: who called what, over which socket, and what came of it.

Nothing secret is in one: no body, no header, and of a query only the values of the parameters that are named here.
"""

import time as clock
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote

import msgspec

from kist.errors import InvalidInput

# Parameters whose values tell what was meant, and can hold no secret.
_SHOWN = frozenset(
    {
        "all", "allow", "condition", "container", "copyUIDGID", "detachKeys", "dockerfile", "dry-run", "follow",
        "force", "fromImage", "h", "limit", "link", "logs", "name", "names", "noOverwriteDirNonDir", "nocache",
        "noprune", "one-shot", "path", "pause", "platform", "ps_args", "q", "repo", "repair", "signal", "since",
        "size", "stderr", "stdin", "stdout", "stream", "t", "tag", "tail", "target", "timestamps", "type", "until",
        "v", "verify", "volumes", "w",
    }
)  # fmt: skip
# Those of which only the name is told.
_NAMED = frozenset(
    {
        "author", "buildargs", "bundle", "cachefrom", "changes", "context", "extrahosts", "fields", "filters",
        "fromSrc", "grep", "labels", "message", "networkmode", "outputs", "remote", "term",
    }
)  # fmt: skip
_LONGEST = 1024
_SECOND = 1_000_000_000
FILTERS = frozenset({"container", "method", "path", "pid", "role", "socket", "status", "uid"})


class AuditRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call whose answer has begun, or (``end``) whose stream has ended.

    Attributes:
        time: RFC 3339 in UTC, always with nine digits of a fraction, so that texts are in the order of moments.
        call: its number since this engine's start; the end of a stream has that of its beginning.
        method, path: as they were written; nothing is decoded.
        status: of the answer; 0 where the client had gone before there was one.
        ms: from the request to this record.
        uid, gid, pid: who connected, as the kernel noted it; -1 and 0 where it cannot be known.
        program: what that process was called; empty where the kernel does not tell for sure.
        subject: of the certificate, of a client that has shown one.
        address: of a client that came over TCP.
        socket: where it came in.
        role: what that place gives at most; empty where it is no socket with a role.
        query: the parameters; an ellipsis stands for each value that may be secret.
        container: the one that the path or the query names, as it was written; of one that was made its name.
        made: the id of what the call has made: a container, or a process in one.
        end: this is the end of a stream.
    """

    time: str
    call: int
    method: str
    path: str
    status: int
    ms: float
    uid: int = -1
    gid: int = -1
    pid: int = 0
    program: str = ""
    subject: str = ""
    address: str = ""
    socket: str = ""
    role: str = ""
    query: str = ""
    container: str = ""
    made: str = ""
    end: bool = False


def write_moment(nanoseconds: int) -> str:
    """A moment as records have it."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    return f"{clock.strftime('%Y-%m-%dT%H:%M:%S', clock.gmtime(seconds))}.{fraction:09d}Z"


def shown_query(text: str) -> str:
    """A query as a record has it: the values of those parameters alone that can hold no secret."""
    if not text:
        return ""
    try:
        pairs = parse_qsl(text[:_LONGEST], keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return "…"
    return "&".join(_shown_parameter(name, value) for name, value in pairs)[:_LONGEST]


def _shown_parameter(name: str, value: str) -> str:
    if name in _SHOWN:
        return f"{name}={quote(value, safe='/:,')}"
    return f"{name if name in _NAMED else '…'}=…"


def shown_path(path: str) -> str:
    """A path as a record has it: it may be a part of one that is longer than any that means something."""
    return path if len(path) <= _LONGEST else path[:_LONGEST] + "…"


def container_in(path: str, query: str) -> str:
    """The container that a request names, as it is written: in its path, or as ``container`` of its query."""
    parts = path.split("/")
    if "containers" in parts[1:3]:
        place = parts.index("containers", 1) + 1
        named = parts[place] if place < len(parts) else ""
        if named not in {"", "json", "create", "prune"}:
            return named
        wanted = "name" if named == "create" else ""
    else:
        wanted = "container" if parts[-1] == "commit" else ""
    if not wanted:
        return ""
    return next((value for name, value in parse_qsl(query[:_LONGEST]) if name == wanted), "")


def check_filters(filters: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """The same filters, their names and values checked; raises ``InvalidInput``."""
    for name in filters.keys() - FILTERS:
        raise InvalidInput(f"invalid filter '{name}'", hint="the filters are " + ", ".join(sorted(FILTERS)))
    for name in ("pid", "uid"):
        for value in filters.get(name, ()):
            if not value.isdecimal():
                raise InvalidInput(f"invalid filter '{name}={value}'", hint="it is a number")
    for value in filters.get("status", ()):
        if not (value.isdecimal() or (value[:1].isdecimal() and value[1:].lower() == "xx")):
            raise InvalidInput(f"invalid filter 'status={value}'", hint="write status=403, or status=4xx")
    return filters


class AuditQuery(msgspec.Struct, frozen=True):
    """Which records are wanted.

    Attributes:
        filters: one value of each must match; a path is found by any part of it. Containers are
            ``kist.spec.audit_trail``'s to find.
        since, until: moments as records have them; empty for no bound.
        tail: only so many of the last ones; None for all.
    """

    filters: Mapping[str, Sequence[str]] = {}
    since: str = ""
    until: str = ""
    tail: int | None = None

    def wants(self, record: AuditRecord) -> bool:
        """Whether it is one of them, apart from ``tail`` and containers."""
        if record.time < self.since or (self.until and record.time > self.until):
            return False
        return all(any(_matches(record, name, value) for value in values) for name, values in self.filters.items())


def _matches(record: AuditRecord, name: str, value: str) -> bool:
    if name == "path":
        return value in record.path
    if name == "container":
        return True
    if name == "role":
        return value in {record.role, record.role.partition(" ")[0]}
    if name == "status":
        return str(record.status) == value or (value[1:].lower() == "xx" and str(record.status)[:1] == value[0])
    return str(getattr(record, name)).lower() == value.lower()
