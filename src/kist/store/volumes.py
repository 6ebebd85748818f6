"""Volumes: ``volumes/NAME/_data`` below the data root, and a record of each.

What is in a volume is somebody's data: a directory goes only when its volume is removed by name, never because a record
is missing. To make one, first the directory, then the record; to remove one, first the record. The lock file beside the
directory (``volumes.lock``) protects the choice of what nobody has: see ``kept`` and ``settled``.
"""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from kist.errors import InvalidInput, NotFound
from kist.spec import json
from kist.spec.volume import Volume
from kist.store import directories
from kist.store.database import Database
from kist.store.failures import reported
from kist.store.locks import StoreLock

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_DATA = "_data"
_NONE: Mapping[str, str] = {}


class Volumes:
    """The volumes of one data root; ``root`` is the directory that holds them."""

    def __init__(self, root: str, database: Database) -> None:
        self.root = root
        self._database = database
        self._lock = StoreLock(f"{root}.lock")

    def create(
        self, name: str = "", *, labels: Mapping[str, str] = _NONE, options: Mapping[str, str] = _NONE, owner: int = 0
    ) -> Volume:
        """The volume of this name, made when there is none; without a name a new, anonymous one.

        Whose it is by then, the caller has to look at: nobody takes one over by its name.

        Raises:
            InvalidInput: a name that no volume can have.
        """
        if name and not _NAME.match(name):
            raise InvalidInput(
                f'"{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
                "allowed",
                hint="to show a host directory, write its absolute path",
            )
        volume = Volume(
            name or secrets.token_hex(32),
            time.time_ns(),
            not name,
            labels=dict(labels),
            options=dict(options),
            owner=owner,
        )
        with reported("make volume"):
            path = self.path(volume.name)
            directories.make(os.path.dirname(path), 0o701)
            if not os.path.isdir(path):
                os.mkdir(path)
                os.chmod(path, 0o755)  # noqa: S103 - whoever the container's users are, they enter it
        with self._database.transaction(durable=True) as db:
            db.execute("INSERT OR IGNORE INTO volumes VALUES (?, ?)", (volume.name, json.encode(volume)))
        return self.get(volume.name)

    def get(self, name: str) -> Volume:
        """One volume.

        Raises:
            NotFound: there is none of this name.
        """
        row = self._database.row("SELECT value FROM volumes WHERE name = ?", name)
        if row is None:
            raise NotFound(f"get {name}: no such volume")
        return self._read(row[0])

    def list(self) -> tuple[Volume, ...]:
        """All volumes, by name."""
        return tuple(self._read(value) for (value,) in self._database.rows("SELECT value FROM volumes ORDER BY name"))

    def remove(self, name: str) -> None:
        """Remove a volume with all that is in it; who uses it, the caller knows.

        Raises:
            NotFound: there is none of this name.
        """
        self.get(name)
        with self._database.transaction(durable=True) as db:
            db.execute("DELETE FROM volumes WHERE name = ?", (name,))
        with reported("remove volume"):
            directories.remove_tree(os.path.dirname(self.path(name)))

    def path(self, name: str) -> str:
        """The directory that a container sees."""
        return os.path.join(self.root, name, _DATA)

    def kept(self) -> AbstractContextManager[None]:
        """While a container is made that is to have volumes and has no record yet: none is removed meanwhile."""
        return self._lock.shared()

    def settled(self) -> AbstractContextManager[bool]:
        """While it is found out which volumes nobody has, and these are removed: no container is made meanwhile."""
        return self._lock.alone(wait=True)

    @contextmanager
    def fresh(self, name: str) -> Iterator[str | None]:
        """For who fills a new volume: an empty directory that takes its place at the end; None when it is not empty.

        Others who would fill the same volume wait.
        """
        above = os.path.dirname(self.path(name))
        descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.listdir(self.path(name)):
                yield None
                return
            aside = os.path.join(above, "new")
            directories.remove_tree(aside)
            os.mkdir(aside)
            yield aside
            os.rename(aside, self.path(name))
        finally:
            os.close(descriptor)

    def _read(self, value: bytes) -> Volume:
        volume = json.decode(value, Volume, what="volume record")
        return Volume(
            volume.name,
            volume.created_at,
            volume.anonymous,
            volume.driver,
            volume.labels,
            volume.options,
            self.path(volume.name),
            volume.owner,
        )
