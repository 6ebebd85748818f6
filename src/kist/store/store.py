"""A data root: where everything that lasts is.

Layout: ``blobs/`` (an OCI image layout's), ``snapshots/<number>``, ``kist.db`` and the room that is kept for it (see
``kist.store.reserve``), ``tmp/`` (what is being written), ``lock`` (see ``kist.store.locks``), ``open.lock`` (held
alone while the database is made or migrated), and ``collect-pending`` (a collection found writers; the last of them
makes up for it). Several processes may have the same data root open at once.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Self

from kist.errors import KistError
from kist.kernel import faults
from kist.store import directories
from kist.store.accounting import Account, Parts, account, parts_of
from kist.store.blobs import Blobs
from kist.store.cache_mounts import CacheMounts
from kist.store.choice import choose
from kist.store.collect import Collected, Condemned, Without, clear, condemn, survey
from kist.store.database import Database
from kist.store.directories import Extent
from kist.store.events import EventLog
from kist.store.failures import reported
from kist.store.inventories import Inventories
from kist.store.locks import StoreLock
from kist.store.networks import Networks
from kist.store.origins import Origins
from kist.store.places import Places
from kist.store.records import Records
from kist.store.referrers import Referrers
from kist.store.snapshots import Snapshots
from kist.store.volumes import Volumes


class Store:
    """The store at ``root``, made when there is none.

    Args:
        root: its directory.
        storage: how snapshots are kept (``storage.NAMES``); empty for what it was told before, else for what works.
        tried: see first whether the storage works; without, the files can be read, and maybe not be mounted.

    Attributes:
        blobs: content by digest.
        events: what happened.
        inventories: what was found in layers.
        origins: which images can be had again.
        places: of which lines of a Dockerfile layers are.
        networks: rows about networks, and who has which address.
        records: rows about images, containers and the build cache.
        referrers: what is attached to images.
        snapshots: layers as file trees.
        database: below the last two.
        storage: which storage the snapshots have, and why.
        volumes: directories that outlive containers.
        cache_mounts: directories that outlive commands of builds.

    Raises:
        Forbidden: ``root`` cannot be written.
        Unavailable: its disk is full.
    """

    def __init__(self, root: str, storage: str = "", *, tried: bool = True) -> None:
        self.root = os.path.abspath(root)
        self._temporary = os.path.join(self.root, "tmp")
        self._pending = os.path.join(self.root, "collect-pending")
        with reported("open data root"):
            for name in (".", "blobs", "blobs/sha256", "snapshots", "tmp", "volumes"):
                directories.make(os.path.join(self.root, name))
        self._lock = StoreLock(f"{self.root}/lock")
        with reported("open data root"), StoreLock(f"{self.root}/open.lock").alone(wait=True):
            self.database = Database(f"{self.root}/kist.db")
        with reported("open data root"):
            with self._lock.alone() as alone:
                left = self._set_temporary_aside() if alone else ()
            _remove(left)
        self.blobs = Blobs(f"{self.root}/blobs", self._temporary, self._lock)
        self.blobs.unsynced.afterwards = self._collect_if_wanted
        with reported("open data root"):
            self.blobs.unsynced.remove_lost()
        self.records = Records(self.database)
        self.networks = Networks(self.database)
        self.origins = Origins(self.database)
        self.inventories = Inventories(self.database)
        self.places = Places(self.database)
        self.referrers = Referrers(self.database)
        self.events = EventLog(self.database)
        with reported("open data root"), self._lock.shared():
            self.storage = choose(self.root, self.database, storage, tried=tried)
        self.snapshots = Snapshots(f"{self.root}/snapshots", self.database, self.storage.name)
        self.volumes = Volumes(f"{self.root}/volumes", self.database)
        self.cache_mounts = CacheMounts(f"{self.root}/cache-mounts", self.records)
        self._flushing = threading.Lock()
        self._flusher: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is being synced, and let go of the files."""
        with self._flushing:
            if self._flusher is not None:
                self._flusher.join()
        self.blobs.close()
        self.database.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While blobs and snapshots are made that no record refers to yet: nothing is collected meanwhile.

        An active snapshot that is no container's needs it from ``prepare`` to ``commit`` or ``remove``.

        A block that fails leaves such things behind; they are collected at its end, so that their space is given back.
        """
        with reported("lock data root"):
            holding = self._lock.shared()
            holding.__enter__()
        try:
            yield
        except BaseException:
            holding.__exit__(None, None, None)
            self.blobs.unsynced.settle()  # who syncs one is writing, too
            with suppress(KistError):  # the block's own failure is what the caller should hear of
                self.collect()
            raise
        holding.__exit__(None, None, None)
        self._collect_if_wanted()

    def _collect_if_wanted(self) -> None:
        """Who writes keeps a collection away, which is made up for."""
        if os.path.exists(self._pending):
            self.collect()

    @contextmanager
    def temporary(self) -> Iterator[str]:
        """A fresh directory on the data root's file system, gone at the end of the block."""
        with self.writing():
            with reported("make temporary directory"):
                path = tempfile.mkdtemp(dir=self._temporary)
            try:
                yield path
            finally:
                directories.remove_tree(path)

    def collect(self) -> Collected | None:
        """Remove blobs and snapshots that nothing refers to; None when somebody writes and nothing was collected."""
        with reported("collect garbage"):
            with self._lock.alone() as alone:
                if not alone:
                    open(self._pending, "wb").close()
                    return None
                if os.path.exists(self._pending):
                    os.unlink(self._pending)
                left = self._set_temporary_aside()
                condemned = self._condemned()
            faults.point("collect: let go of the lock")
            _remove(left)
            return clear(self.snapshots, condemned)

    @contextmanager
    def unopened(self) -> Iterator[None]:
        """While nobody else can open the data root; those who have it open already go on."""
        with reported("lock data root"), StoreLock(f"{self.root}/open.lock").alone(wait=True):
            yield

    def shrink(self, forget: Callable[[], bool]) -> Collected | None:
        """Forget records while nobody is between finding something and using it, and remove what they alone kept.

        Args:
            forget: chooses and forgets; whether there was anything.

        Returns:
            None where nothing was done: somebody writes, or nothing was forgotten.
        """
        with reported("collect garbage"):
            condemned: Condemned | None = None
            with self._lock.alone() as alone:
                if alone and forget():
                    condemned = self._condemned()
            return None if condemned is None else clear(self.snapshots, condemned)

    def _condemned(self) -> Condemned:
        return condemn(self.blobs, self.snapshots, self.cache_mounts, self.records, self.referrers, self.inventories)

    def quiet(self) -> AbstractContextManager[bool]:
        """Hold the lock alone where that is possible at once, and say so: nothing is made that has no record yet."""
        return self._lock.alone()

    def survey(self, without: Without) -> Collected:
        """What ``collect`` would remove if these records were gone."""
        with reported("look for garbage"):
            return survey(self.blobs, self.snapshots, self.cache_mounts, self.records, self.referrers, without)

    def parts(self) -> Parts:
        """What images and the build cache are made of, with the space of each on the disk."""
        with reported("look for what takes space"):
            return parts_of(self.blobs, self.snapshots, self.cache_mounts)

    def account(self, known: Mapping[str, Extent]) -> Account:
        """What lies under the data root, each thing once; ``known`` active snapshots are not gone through again."""
        with reported("look for what takes space"):
            volumes = [volume.name for volume in self.volumes.list()]
            containers = self.records.container_ids()
            return account(self.root, self.blobs, self.snapshots, self.cache_mounts, containers, volumes, known)

    def orphans(self) -> list[str]:
        """Active snapshots that no container has; to be asked while nobody writes."""
        containers = set(self.records.container_ids())
        return [key for key, _, committed in self.snapshots.rows() if not committed and key not in containers]

    def discard_orphans(self) -> None:
        """Remove active snapshots that no container has: of builds and creations that were cut off.

        Whoever makes one holds the lock until it is committed or recorded, so with the lock alone there is no other.
        """
        with reported("discard orphaned snapshots"):
            with self._lock.alone() as alone:
                orphans = [self.snapshots.forget(key) for key in self.orphans()] if alone else []
            for each in orphans:
                self.snapshots.clear(each)

    def flush_soon(self) -> None:
        """Sync committed snapshots in the background (see ``Snapshots``)."""
        with self._flushing:
            if self._flusher is not None:
                self._flusher.join()
            self._flusher = threading.Thread(target=self._flush, name="kist-flush")
            self._flusher.start()

    def _flush(self) -> None:
        with suppress(KistError):  # what is not synced is flushed the next time, or unpacked again after a crash
            self.snapshots.flush()

    def _set_temporary_aside(self) -> tuple[str, ...]:
        """Called with the lock held alone: whoever made these is dead."""
        return directories.set_aside(self._temporary, os.listdir(self._temporary))


def _remove(paths: Iterable[str]) -> None:
    """What was set aside; no lock is needed for that, and nobody is to wait for it."""
    for path in paths:
        directories.remove_tree(path)
