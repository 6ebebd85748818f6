"""The audit log: a line of JSON for every call of every socket, in bounded space.

A line is written when the answer begins, by one write to a file that is opened for appending: nothing waits in memory,
so nothing is lost when the engine ends, however it ends. A stream has a second line at its end. A log that cannot be
written (the disk is full) stops nobody: the engine's own log says so, once, and once when it can be written again.

The engine's own user has one log (``audit.log``), and so has each other caller (``audit-user-1000.log``): whoever calls
very often pushes out older lines of its own and nobody else's.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping

from kist.api.auditfiles import Family, logs_in, name_of, silent_for
from kist.api.shares import OWNER, Caller
from kist.spec.audit import AuditRecord, container_in, shown_path, shown_query, write_moment
from kist.spec.json import encode

_log = logging.getLogger(__name__)
# Of the engine's own user: one file, of which four older ones are kept. Of any other caller: one of which one is.
_OWNERS = (4 << 20, 4)
_OTHERS = (512 << 10, 1)
# How many users, and how many sockets with a role, have a log of their own at once; the rest of each have one together.
_MOST_CALLERS = 32
_OPEN = 16
_REMEMBERED = 1000
# Seconds of silence after which a caller's log makes room for that of another one.
_SILENT = 7 * 86400.0


class AuditLog:
    """Writes the logs in a directory; from one thread at a time.

    Args:
        directory: of the files, which have mode 0600.
        owners, others: bytes of one file, and how many older ones are kept, of the engine's own user and of others.
    """

    def __init__(self, directory: str, owners: tuple[int, int] = _OWNERS, others: tuple[int, int] = _OTHERS) -> None:
        self._directory = directory
        self._others = others
        self._own = Family(directory, name_of(""), *owners)
        # What other callers' files are called, and those that are open, the one that was written to last at the end.
        self._names: dict[str, str] = {}
        self._open: OrderedDict[str, Family] = OrderedDict()
        self._fails = False
        self._calls = 0

    def number(self) -> int:
        """That of the next call."""
        self._calls += 1
        return self._calls

    def write(self, record: AuditRecord, caller: Caller = OWNER) -> None:
        """Write a record down; never fails."""
        line = encode(record) + b"\n"
        try:
            self._of(caller).append(line)
        except OSError as error:
            if not self._fails:
                _log.error("the audit log cannot be written (%s): calls are answered and not recorded", error)
            self._fails = True
        else:
            if self._fails:
                _log.warning("the audit log can be written again: calls before this were not recorded")
            self._fails = False

    def close(self) -> None:
        """Close the files."""
        for each in (self._own, *self._open.values()):
            each.close()
        self._open.clear()

    def _of(self, caller: Caller) -> Family:
        if caller is OWNER:
            return self._own
        name = self._names.get(caller)
        if name is None:
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            name = self._names[caller] = self._find_name(caller)
        found = self._open.pop(name, None) or Family(self._directory, name, *self._others)
        self._open[name] = found
        if len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return found

    def _find_name(self, caller: str) -> str:
        """Of the caller's files; of those that it shares where so many have their own that there is no more room."""
        wanted, kind = name_of(caller), caller.partition("-")[0]
        shared = name_of(f"{kind}-others")
        there = {name for name in logs_in(self._directory) if name.startswith(f"audit-{kind}-")} - {shared}
        if wanted in there or len(there) < _MOST_CALLERS:
            return wanted
        silence = {name: silent_for(self._directory, name) for name in there}
        oldest = max(silence, key=silence.__getitem__)
        if silence[oldest] < _SILENT:
            return shared
        self._names.clear()
        gone = self._open.pop(oldest, None) or Family(self._directory, oldest, *self._others)
        gone.remove()
        return wanted


class Noted:
    """One call on its way into the log.

    Args:
        log: None where nothing is recorded.
        request: method, path and query, as they were written.
        visitor: of the record, what tells who calls.
        caller: whose share of the log it takes.
    """

    __slots__ = ("_begun", "_caller", "_held", "_log", "_made", "_number", "_request", "_status", "_visitor")

    def __init__(
        self,
        log: AuditLog | None,
        request: tuple[str, str, str],
        visitor: Mapping[str, object],
        caller: Caller = OWNER,
    ) -> None:
        self._log = log
        self._request = request
        self._visitor = visitor
        self._caller = caller
        self._made = ("", "")
        self._begun = time.monotonic_ns()
        self._number = 0
        self._status = 0
        self._held = False

    def made(self, identity: str, container: str = "") -> None:
        """The call has made this: a container, of that name, or a process in one."""
        self._made = (identity, container)

    def answered(self, status: int) -> None:
        """The answer begins; it will end later."""
        self._status = status
        self._write(end=False)

    def hold(self) -> None:
        """The stream outlives the request: whoever carries it calls ``finish``."""
        self._held = True

    def let_go(self) -> None:
        """The stream that outlived the request has ended."""
        self._held = False
        self.finish(self._status)

    def finish(self, status: int) -> None:
        """The answer is there as a whole; ``status`` is its own, or 0 where nobody was left to get one."""
        if self._held:
            return
        begun = bool(self._number)
        self._status = self._status or status
        self._write(end=begun)

    def _write(self, *, end: bool) -> None:
        if self._log is None:
            return
        self._number = self._number or self._log.number()
        method, path, query = self._request
        identity, name = self._made
        self._log.write(
            AuditRecord(
                time=write_moment(time.time_ns()),
                call=self._number,
                method=method,
                path=shown_path(path),
                status=self._status,
                ms=round((time.monotonic_ns() - self._begun) / 1e6, 3),
                query=shown_query(query),
                container=name or container_in(path, query),
                made=identity,
                end=end,
                **self._visitor,  # type: ignore[arg-type] # the fields of who calls
            ),
            self._caller,
        )
