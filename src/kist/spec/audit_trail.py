"""Which container a record of the audit log is about: by name, by id or by its beginning, as the caller wrote it."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from kist.spec.audit import AuditRecord, write_moment

_SUCCESS = range(200, 300)
_HEX = frozenset("0123456789abcdef")
_WHOLE = 64


class _Life:
    """A container's id, and the names that it has had."""

    __slots__ = ("identity", "names", "since")

    def __init__(self, identity: str, name: str, since: str) -> None:
        self.identity = identity
        self.names = [name]
        self.since = since


class Trail:
    """Goes through records in the order of time, and finds those that are about some containers.

    What was made, and what it was called, is in the records of calls that made it; of those that were made before these
    begin, or by no call, what they are called now has to do.

    Args:
        wanted: names, ids or beginnings of ids, one of which is to match; none where every record is wanted.
        known: id, name and moment of creation (nanoseconds) of the containers that there are now.
    """

    def __init__(self, wanted: Sequence[str], known: Iterable[tuple[str, str, int]] = ()) -> None:
        self._wanted = tuple(each.removeprefix("/") for each in wanted)
        self._lives: dict[str, _Life] = {}
        self._sorted: list[str] = []
        self._named: dict[str, _Life] = {}
        self._processes: dict[str, _Life] = {}
        for identity, name, created in known if wanted else ():
            self._begin(_Life(identity, name, write_moment(created)))

    def follow(self, record: AuditRecord) -> bool:
        """Take the next record to notice; whether it is about one of the wanted."""
        if not self._wanted:
            return True
        life = self._made(record) if record.made else self._meant(record)
        if life is None:
            return any(_may_mean(record.container, each) for each in self._wanted)
        self._rename(record, life)
        return any(life.identity.startswith(each) or each in life.names for each in self._wanted)

    def _begin(self, life: _Life) -> None:
        self._lives[life.identity] = life
        self._named[life.names[-1]] = life
        insort(self._sorted, life.identity)

    def _made(self, record: AuditRecord) -> "_Life | None":
        parts = record.path.split("/")
        if parts[-1] == "exec":
            life = self._meant(record)
            if life is not None:
                self._processes[record.made] = life
            return life
        found = self._lives.get(record.made)
        if found is None:
            found = _Life(record.made, record.container, record.time)
            self._begin(found)
        else:  # it is there still; it may have another name by now
            found.since = record.time
            found.names.append(record.container)
            self._named[record.container] = found
        return found

    def _meant(self, record: AuditRecord) -> "_Life | None":
        parts = record.path.split("/")
        if "exec" in parts[1:3] and not record.container:
            return self._processes.get("".join(parts[parts.index("exec", 1) + 1 :][:1]))
        wanted = record.container
        named = self._named.get(wanted)
        if named is not None and named.since <= record.time:
            return named
        place = bisect_left(self._sorted, wanted)
        if not wanted or not self._sorted[place : place + 1] or not self._sorted[place].startswith(wanted):
            return None
        return self._lives[self._sorted[place]]

    def _rename(self, record: AuditRecord, life: _Life) -> None:
        head, _, verb = record.path.rpartition("/")
        if verb != "rename" or record.status not in _SUCCESS or not head:
            return
        name = next((part.removeprefix("name=") for part in record.query.split("&") if part.startswith("name=")), "")
        if name:
            life.names.append(name)
            self._named[name] = life


def _may_mean(written: str, wanted: str) -> bool:
    """Whether what a caller has written is the wanted container, of which nothing else is known."""
    if written == wanted:
        return True
    if not written or not _HEX.issuperset(written + wanted):
        return False
    return written.startswith(wanted) or (len(wanted) == _WHOLE and wanted.startswith(written))
