"""Volumes: ``volumes/NAME/_data`` below the data root, and a record of each.

What is in a volume is somebody's data: a directory goes only when its volume is removed by name, never because a record
is missing. To make one, first the record, then the directory, which whoever needs it makes where it is missing; to
remove one, first its directory is moved aside, then the record goes, then the directory. Where the record cannot be
deleted, the directory comes back, and ``recover`` finishes or undoes what a kill has interrupted. The lock file beside
the directory (``volumes.lock``) protects the choice of what nobody has: see ``kept`` and ``settled``.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

import msgspec

from kist.errors import InvalidInput, KistError, NotFound, Unsupported, see_doctor
from kist.kernel import copying, faults, files, project_quota
from kist.spec import json
from kist.spec.volume import Volume, VolumeSource
from kist.spec.volume_options import LocalOptions, read_local_options
from kist.store import directories
from kist.store.database import Database
from kist.store.failures import reported
from kist.store.locks import FairLock

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
_LONGEST_NAME = 255
_DATA = "_data"
# Beside the volume's own directory: what is being filled, and what is whole and on its way there.
_ASIDE, _WHOLE = "new", "filled"
# No volume's name begins so. What follows says of which volume it was, in its old age too: see ``_aside``.
_REMOVED = ".removed-"
_LIMITED = "-limited"
_NONE: Mapping[str, str] = {}


class Taken(NamedTuple):
    """What is left of a volume that has no record any more.

    Attributes:
        path: its directory, moved aside.
        held: a descriptor of that, whose lock tells others that somebody is at it; -1 where there is none.
    """

    path: str
    held: int


class Volumes:
    """The volumes of one data root; ``root`` is the directory that holds them."""

    def __init__(self, root: str, database: Database) -> None:
        self.root = root
        self._database = database
        self._lock = FairLock(f"{root}.lock")

    def create(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] = _NONE,
        options: Mapping[str, str] = _NONE,
        owner: int = 0,
        inherited: bool = False,
    ) -> tuple[Volume, bool]:
        """The volume of this name, made when there is none, and whether it was; without a name a new, anonymous one.

        Whose it is by then, and with which options, the caller has to look at: nobody takes one over by its name.
        An anonymous one is so no longer once its owner names it: it goes with no container any more.

        Args:
            name: of the volume.
            labels: of one that is made.
            options: of one that is made.
            owner: the uid of who asks.
            inherited: its name comes from another container's mounts, and not from whoever asks.

        Raises:
            InvalidInput: a name that no volume can have.
        """
        check_name(name)
        volume = Volume(
            name or secrets.token_hex(32),
            time.time_ns(),
            not name,
            labels=dict(labels),
            options=dict(options),
            owner=owner,
        )
        with self._database.transaction(durable=True) as db:
            written = db.execute("INSERT OR IGNORE INTO volumes VALUES (?, ?)", (volume.name, json.encode(volume)))
            made = written.rowcount == 1
            if not made:
                db.execute("DELETE FROM leaving WHERE volume = ?", (volume.name,))
                if not inherited:
                    _be_named(db, volume.name, owner)
        faults.point("volume create: wrote the record")
        found = self.get(volume.name)
        try:
            self.ready(found)
        except KistError:
            if made:  # it cannot be what it was to be, so it is not
                self.remove(volume.name)
            raise
        return found, made

    def get(self, name: str) -> Volume:
        """One volume.

        Raises:
            NotFound: there is none of this name.
        """
        row = self._database.row("SELECT value FROM volumes WHERE name = ?", name)
        if row is None:
            raise NotFound(f"get {name}: no such volume", hint="`kist volume ls` lists what there is")
        return self._read(row[0])

    def list(self) -> tuple[Volume, ...]:
        """All volumes, by name."""
        return tuple(self._read(value) for (value,) in self._database.rows("SELECT value FROM volumes ORDER BY name"))

    def remove(self, name: str) -> None:
        """Remove a volume with all that is in it: ``take`` it, which raises what that raises, and ``discard`` it."""
        self.discard(self.take(name))

    def take(self, name: str) -> "Taken":
        """Take a volume away: it has no record any more; who uses it, the caller knows, and holds ``settled``.

        Its files are left to ``discard``, which takes longer and needs no lock. Where the record cannot be deleted, the
        volume is as before.

        Raises:
            NotFound: there is none of this name.
            Unavailable: its record cannot be deleted: the disk is full, or the database stayed locked.
        """
        volume = self.get(name)
        aside = self._aside(volume)
        with reported("remove volume"):
            self._move_aside(volume, aside)
        faults.point("volume rm: moved the directory aside")
        try:
            with self._database.transaction(durable=True) as db:
                db.execute("DELETE FROM volumes WHERE name = ?", (name,))
        except BaseException:
            with suppress(OSError):  # whoever needs it next puts it back
                self._undo_removal(volume)
            raise
        faults.point("volume rm: removed the record")
        return Taken(aside, _marked(aside))

    def discard(self, taken: "Taken") -> None:
        """Remove what was in a volume that was taken away; what a kill leaves of it ``recover`` finds."""
        try:
            with reported("remove volume"):
                _discard(taken.path)
        finally:
            if taken.held >= 0:
                os.close(taken.held)

    def leaving(self) -> tuple[str, ...]:
        """The names of those that are to go with a container that is gone, and that nobody has named since."""
        return tuple(name for (name,) in self._database.rows("SELECT volume FROM leaving ORDER BY volume"))

    def stay(self, name: str) -> None:
        """Not this one, after all."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM leaving WHERE volume = ?", (name,))

    def _aside(self, volume: Volume) -> str:
        """Where the directory of this volume is while it is removed, and of no other one that has its name later."""
        identity = hashlib.sha256(f"{volume.created_at} {volume.name}".encode()).hexdigest()[:32]
        limited = _LIMITED if read_local_options(volume.options).size else ""
        return os.path.join(self.root, f"{_REMOVED}{identity}{limited}")

    def _move_aside(self, volume: Volume, aside: str) -> None:
        try:
            os.rename(self._above(volume.name), aside)
        except FileNotFoundError:
            return  # somebody was there before, by hand
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            # By hand there is another one since a removal that was interrupted: both are to go.
            directories.remove_tree(aside)
            os.rename(self._above(volume.name), aside)

    def _undo_removal(self, volume: Volume) -> bool:
        """Put the directory back of a volume whose record is still there; whether there was one to put back."""
        above = self._above(volume.name)
        if os.path.lexists(above):
            return False
        try:
            os.rename(self._aside(volume), above)
        except FileNotFoundError:
            return False
        return True

    def recover(self) -> None:
        """Finish what a kill has interrupted: removals (one that had only begun is undone), and fillings."""
        for path in self.half_filled():
            with reported("finish filling a volume"):
                self.settle_filling(path)
        if self.removed():
            with self.settled(), reported("remove volume"):
                self._undo_begun()
                over = self._without_record()
            with reported("remove volume"):
                for path in over:
                    _discard(path)

    def _undo_begun(self) -> None:
        """Undo the removals that had only begun: the record is there."""
        for volume in self.list():
            self._undo_removal(volume)

    def _without_record(self) -> tuple[str, ...]:
        """Of the removals that had come further: the record is gone, though there may be another volume of the name."""
        # By hand there may be both directories of one volume, and nobody knows then which one is wanted: nothing goes.
        begun = {self._aside(volume) for volume in self.list()}
        return tuple(path for path in self.removed() if path not in begun)

    def is_half_removed(self, volume: Volume) -> bool:
        """Whether its directory is aside, for a removal that did not come to its record."""
        return os.path.lexists(self._aside(volume))

    def removed(self) -> tuple[str, ...]:
        """The directories of volumes whose removal was interrupted; asked for under ``settled``, of no other ones."""
        found = (os.path.join(self.root, name) for name in os.listdir(self.root) if name.startswith(_REMOVED))
        return tuple(path for path in found if self._is_left(path))

    def strays(self) -> tuple[str, ...]:
        """Names of directories that have no record."""
        known = {name for (name,) in self._database.rows("SELECT name FROM volumes")}
        return tuple(name for name in sorted(os.listdir(self.root)) if name not in known and _NAME.match(name))

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """What these volumes have on the disk here, in bytes; what is mounted in one is elsewhere."""
        return {name: directories.measure(f"{self.root}/{name}", one_device=True).disk for name in names}

    def path(self, name: str) -> str:
        """The directory that a container sees."""
        return os.path.join(self.root, name, _DATA)

    def source(self, volume: Volume) -> VolumeSource:
        """What of the host a container sees of it."""
        options = read_local_options(volume.options)
        if options.kind == "bind":
            return VolumeSource(options.device, options.words, is_host=True)
        return VolumeSource(self.path(volume.name), is_held=options.is_mounted)

    def has_directory(self, name: str) -> bool:
        """Whether a volume's directory is there."""
        return os.path.isdir(self.path(name))

    def ready(self, volume: Volume) -> bool:
        """Make a volume's directory where it is missing; whether it was.

        The caller holds ``kept``, or a container has the volume: nobody is removing it.

        Raises:
            InvalidInput: its owner has no id here.
            Unsupported: it is to have a limit, and this file system keeps none.
        """
        options = read_local_options(volume.options)
        with reported("make volume"):
            path = self.path(volume.name)
            if os.path.isdir(path) or (self._undo_removal(volume) and os.path.isdir(path)):
                return False
            directories.make(self._above(volume.name), 0o701)
            with self.alone(volume.name):
                if os.path.isdir(path):
                    return False
                if options.size:
                    _limit(self._above(volume.name), options.size)
                aside = self._new(volume.name)
                os.chmod(aside, 0o755)  # noqa: S103 - whoever the container's users are, they enter it
                _set_attributes(aside, options)
                os.rename(aside, path)
            return True

    def kept(self) -> AbstractContextManager[None]:
        """While a container is made that is to have volumes and has no record yet: none is removed meanwhile."""
        return self._lock.shared()

    def settled(self) -> AbstractContextManager[None]:
        """While it is found out which volumes nobody has, and these are removed: no container is made meanwhile."""
        return self._lock.alone()

    @contextmanager
    def fresh(self, name: str) -> Iterator[str | None]:
        """For who fills a new volume: an empty directory whose content is put into it at the end; None when it has any.

        Others who would fill the same volume wait. Where filling fails, the volume is empty as before, and nothing of
        the attempt takes space. The volume's directory stays the one that it is: a container that runs may have it.
        """
        with self.alone(name):
            self._finish_filling(name)
            if os.listdir(self.path(name)):
                yield None
                return
            aside = self._new(name)
            try:
                yield aside
                # What it was made with goes before what the image's directory has.
                _set_attributes(aside, read_local_options(self.get(name).options))
                faults.point("volume fill: filled it aside")
                if os.listdir(aside):  # after a power cut, too, it is to be whole: nobody fills it once more
                    directories.sync_tree(aside)
                os.rename(aside, os.path.join(self._above(name), _WHOLE))
            except BaseException:
                directories.remove_tree(aside)
                raise
            faults.point("volume fill: it is whole")
            self._finish_filling(name)

    def _finish_filling(self, name: str) -> None:
        """Move what is whole into the volume: whoever comes after a kill goes on with it. What is there stays."""
        whole = os.path.join(self._above(name), _WHOLE)
        try:
            source = os.open(whole, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            target = os.open(self.path(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # First whose it is: it may be closed to others.
                copying.make_like(target, source)
                status = os.fstat(source)
                # Containers that run may make something there at any moment.
                for entry in sorted(os.listdir(source)):
                    files.move_unless_there(entry, source, target)
                    faults.point("volume fill: moved a part")
                os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)
        directories.remove_tree(whole)

    def half_filled(self) -> tuple[str, ...]:
        """Directories that somebody was filling who was killed."""
        parts = (_ASIDE, _WHOLE)
        found = (os.path.join(self.root, name, part) for name in sorted(os.listdir(self.root)) for part in parts)
        return tuple(path for path in found if os.path.isdir(path) and self._is_left(os.path.dirname(path)))

    def settle_filling(self, path: str) -> None:
        """Finish what one of these says was whole, and remove the half."""
        above, part = os.path.split(path)
        name = os.path.basename(above)
        with self.alone(name):
            if part == _WHOLE and self.has_directory(name):
                self._finish_filling(name)
            else:
                directories.remove_tree(path)

    def _above(self, name: str) -> str:
        return os.path.join(self.root, name)

    def _new(self, name: str) -> str:
        """An empty directory beside the volume's own, for who holds ``alone``."""
        aside = os.path.join(self._above(name), _ASIDE)
        directories.remove_tree(aside)
        os.mkdir(aside)
        return aside

    def _is_left(self, above: str) -> bool:
        """Whether nobody is at work in a volume's directory."""
        try:
            descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False  # somebody was, and is done
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keep out others who would make, fill or mount a volume whose directory is there."""
        descriptor = os.open(self._above(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
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


def _be_named(db: sqlite3.Connection, name: str, owner: int) -> None:
    """Have an anonymous volume of this owner's be one that has a name."""
    (value,) = db.execute("SELECT value FROM volumes WHERE name = ?", (name,)).fetchone()
    volume = json.decode(value, Volume, what="volume record")
    if volume.anonymous and volume.owner == owner:
        named = msgspec.structs.replace(volume, anonymous=False)
        db.execute("UPDATE volumes SET value = ? WHERE name = ?", (json.encode(named), name))


def _set_attributes(directory: str, options: LocalOptions) -> None:
    """Owner and mode, as far as the options say them."""
    if options.uid is not None or options.gid is not None:
        owner = -1 if options.uid is None else options.uid, -1 if options.gid is None else options.gid
        try:
            os.chown(directory, *owner)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.EPERM}:
                raise
            shown = ":".join("" if number < 0 else str(number) for number in owner)
            raise InvalidInput(
                f"invalid option: the owner {shown} has no id in this engine's user namespace",
                hint=see_doctor("subids", "choose an id that containers here can have"),
            ) from error
    if options.mode is not None:
        os.chmod(directory, options.mode)


def _marked(aside: str) -> int:
    try:
        held = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    with suppress(OSError):  # somebody looks, and would tell of it: no more than that
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return held


def _discard(aside: str) -> None:
    """Remove what was moved aside of a volume whose record is gone, and what limited it."""
    if aside.endswith(_LIMITED):
        with suppress(OSError):  # it has no limit any more, or is gone
            project_quota.unlimit(aside)
    directories.remove_tree(aside)


def _limit(directory: str, size: int) -> None:
    try:
        project_quota.limit(directory, size)
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise Unsupported(
                "the option size of a volume takes root's engine: only root sets quotas",
                hint="a volume in memory has a size for everybody: -o type=tmpfs -o size=…",
            ) from error
        if error.errno not in project_quota.UNSUPPORTED:
            raise
        raise Unsupported(
            f"the option size of a volume: the file system of {directory} keeps no project quotas",
            hint="it can be had on xfs mounted with prjquota, on ext4 with the features project and quota mounted with "
            "prjquota, and for a volume in memory (-o type=tmpfs)",
        ) from error


def check_name(name: str) -> None:
    """Refuse a name that no volume can have; an empty one is to be chosen.

    Raises:
        InvalidInput: with the characters that are allowed.
    """
    hint = "with -v or --mount, a directory of the host is named by its absolute path"
    if len(name) == 1:
        raise InvalidInput(
            f'the volume name "{name}" is too short: names have two or more letters, digits, "_", "." or "-"', hint=hint
        )
    if name and not _NAME.match(name):
        raise InvalidInput(
            f'create {name}: "{name}" includes invalid characters for a local volume name, '
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
            "If you intended to pass a host directory, use absolute path",
            hint=hint,
        )
    if len(name) > _LONGEST_NAME:
        raise InvalidInput(f"the volume name {name[:20]}… is longer than {_LONGEST_NAME} characters", hint=hint)
