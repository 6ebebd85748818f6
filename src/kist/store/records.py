"""Images, containers and the build cache, as rows of the database.

Image records are durable when a method returns. Container rows and cache entries are atomic, and reach the
disk with the next checkpoint. Each method is one transaction; nothing here needs another lock.
"""

import difflib
import functools
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from kist.errors import Conflict, Forbidden, InvalidInput, NotFound
from kist.spec import json
from kist.spec.container import Container, ContainerState
from kist.spec.digest import Digest
from kist.spec.image import ImageConfig
from kist.spec.summary import Image
from kist.store.database import Database, Row

_ADD_CONTAINER = "INSERT INTO containers (id, name, image, created_at, value) VALUES (?, ?, ?, ?, ?)"
_USERS = "SELECT id FROM containers WHERE image = ?1 UNION SELECT container FROM mounted_images WHERE image = ?1"
_IS_HERE = "SELECT 1 FROM images WHERE id = ?1 UNION ALL SELECT 1 FROM mounted_images WHERE image = ?1"
_LEAVES = (
    "INSERT OR IGNORE INTO leaving SELECT name FROM volumes "
    "WHERE name = ? AND json_extract(CAST(value AS TEXT), '$.anonymous')"
)
_LIKE_AN_ID = re.compile(r"docker\.io/library/[0-9a-f]+:latest\Z")
_IMAGE = "SELECT id, manifest, created_at, size, config FROM images"
_STANDING = """
    SELECT manifest, created_at, size, images.owner, name, names.owner
    FROM images LEFT JOIN names ON names.image = images.id WHERE images.id = ?
"""


class Standing(NamedTuple):
    """What is kept of an image besides its config: ``names`` has each reference with who gave it."""

    manifest: Digest
    created_at: int
    size: int
    owner: int
    names: dict[str, int]


class Records:
    """The records of one data root."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listed: tuple[tuple[int, int], tuple[tuple[Container, int], ...]] | None = None  # and when that was
        self._decoded: dict[str, tuple[bytes, Container]] = {}  # as the last list had them; replaced as a whole

    # images and their names

    def add_image(self, image: Image, owner: int = 0) -> None:
        """Keep an image and point its references at it, away from whatever they named before.

        Args:
            image: with its references.
            owner: whose these are; others' names are taken by the engine's user (0) alone.

        Raises:
            Forbidden: a reference is somebody else's.
        """
        config = json.encode(image.config)
        with self._database.transaction(durable=True) as db:
            db.execute(
                "INSERT INTO images (id, manifest, created_at, size, config, owner) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, size = excluded.size, "
                "owner = min(owner, excluded.owner) WHERE excluded.owner IN (0, images.owner)",
                (image.id, image.manifest, image.created_at, image.size, config, owner),
            )
            db.execute("DELETE FROM origins WHERE image = ?", (image.id,))  # who can have it again, notes it (Origins)
            for name in image.references:
                _name(db, name, image.id, owner)

    def images(self) -> tuple[Image, ...]:
        """All images, the newest first."""
        rows = self._database.rows(f"{_IMAGE} ORDER BY created_at DESC, id")
        names: dict[str, list[str]] = {}
        for name, image in self._database.rows("SELECT name, image FROM names ORDER BY name"):
            names.setdefault(image, []).append(name)
        return tuple(_image(row, names.get(row[0], ())) for row in rows)

    def image(self, identity: Digest) -> Image | None:
        """The image whose config has this digest."""
        row = self._database.row(f"{_IMAGE} WHERE id = ?", identity)
        if row is None:
            return None
        names = self._database.rows("SELECT name FROM names WHERE image = ? ORDER BY name", identity)
        return _image(row, [name for (name,) in names])

    def standing(self, identity: Digest) -> Standing | None:
        """Of the image whose config has this digest, all but the config."""
        rows = self._database.rows(_STANDING, identity)
        if not rows:
            return None
        manifest, created_at, size, owner = rows[0][:4]
        return Standing(Digest(manifest), created_at, size, owner, {row[4]: row[5] for row in rows if row[4]})

    def image_ids(self, prefix: str) -> tuple[Digest, ...]:
        """The ids that begin with ``prefix`` (``sha256:`` and hexadecimal digits)."""
        rows = self._database.rows("SELECT id FROM images WHERE id >= ? AND id < ?", prefix, prefix + "g")
        return tuple(Digest(identity) for (identity,) in rows)

    def references(self) -> dict[str, Digest]:
        """Every reference, and the id of the image that it names."""
        return {name: Digest(image) for name, image in self._database.rows("SELECT name, image FROM names")}

    def reference(self, name: str) -> Digest | None:
        """The id of the image that a full reference names."""
        row = self._database.row("SELECT image FROM names WHERE name = ?", name)
        return Digest(row[0]) if row else None

    def set_reference(self, name: str, identity: Digest, owner: int = 0) -> None:
        """Point a full reference at an image, which must exist (``NotFound``); ``owner`` as in ``add_image``."""
        try:
            with self._database.transaction(durable=True) as db:
                _name(db, name, identity, owner)
        except sqlite3.IntegrityError as error:
            raise NotFound(f"No such image: {identity}") from error

    def set_platforms(self, name: str, images: Mapping[str, Digest], owner: int = 0) -> None:
        """Say which images a full reference has for further platforms, and that it has no others.

        Args:
            name: the reference, which names an image.
            images: by platform; none of them need have a reference.
            owner: whose these are.

        Raises:
            Forbidden: the reference is somebody else's.
        """
        with self._database.transaction(durable=True) as db:
            row = db.execute("SELECT owner FROM names WHERE name = ?", (name,)).fetchone()
            if row is None:
                return  # it was taken away just now
            if owner not in {0, row[0]}:
                raise _not_own(name)
            db.execute("DELETE FROM platform_names WHERE name = ?", (name,))
            db.executemany(
                "INSERT OR IGNORE INTO platform_names (name, platform, image) SELECT ?, ?, id FROM images WHERE id = ?",
                [(name, platform, image) for platform, image in images.items()],
            )

    def platforms(self, name: str) -> dict[str, Digest]:
        """The images that a full reference has for further platforms than that of the image that it names."""
        rows = self._database.rows("SELECT platform, image FROM platform_names WHERE name = ?", name)
        return {platform: Digest(image) for platform, image in rows}

    def of_platforms(self) -> frozenset[Digest]:
        """The images that some reference has for a further platform: they are not nameless."""
        return frozenset(Digest(image) for (image,) in self._database.rows("SELECT image FROM platform_names"))

    def check_name(self, name: str, owner: int) -> None:
        """Refuse a full reference that ``owner`` could not give to a new image.

        What takes long and ends with a name asks first; the name itself is given, or not, in a transaction.

        Raises:
            Forbidden: it is somebody else's, or could be meant as the beginning of an id.
        """
        _check_like_no_id(name, owner)
        row = self._database.row("SELECT owner FROM names WHERE name = ?", name)
        if row and owner not in {0, row[0]}:
            raise _not_own(name)

    def name_owner(self, name: str) -> int:
        """The user who gave an image this full reference; 0 for the engine's own, also where there is none."""
        row = self._database.row("SELECT owner FROM names WHERE name = ?", name)
        return int(row[0]) if row else 0

    def image_owner(self, identity: Digest) -> int:
        """The user who made an image; 0 for the engine's own, also where there is none."""
        row = self._database.row("SELECT owner FROM images WHERE id = ?", identity)
        return int(row[0]) if row else 0

    def remove_reference(self, image: Image, name: str) -> bool:
        """Forget one reference of an image that has just these; False, and nothing is done, where it has others now."""
        with self._database.transaction(durable=True) as db:
            if not _is_as_seen(db, image):
                return False
            db.execute("DELETE FROM names WHERE name = ?", (name,))
        return True

    def remove_image(self, image: Image, containers: Collection[str] = ()) -> bool:
        """Forget an image and all its references, if it still is as somebody has seen it who decided that it goes.

        Args:
            image: as it was seen.
            containers: the ids of those that were seen of it or to have it mounted, and that do not keep it.

        Returns:
            False, and nothing is done, where it has other references now, or a further container, or is gone.
        """
        with self._database.transaction(durable=True) as db:
            rows = db.execute(_USERS, (image.id,)).fetchall()
            if not _is_as_seen(db, image) or any(identity not in containers for (identity,) in rows):
                return False
            return db.execute("DELETE FROM images WHERE id = ?", (image.id,)).rowcount > 0

    # containers

    def add_container(self, container: Container, *, needs: Digest | None = None) -> None:
        """Keep a new container, without its state, and the images that are mounted in it.

        Args:
            container: which.
            needs: the image that it is made of, which must still be there: who removes it looks for its containers.

        Raises:
            Conflict: its name is taken.
            NotFound: the image, or one that is mounted, was removed meanwhile.
        """
        try:
            with self._database.transaction() as db:
                if needs is not None and not db.execute("SELECT 1 FROM images WHERE id = ?", (needs,)).fetchone():
                    raise NotFound(f"No such image: {needs}", hint="it was removed just now")
                mounted = _mounted(container)
                for image in mounted:
                    if not db.execute(_IS_HERE, (image,)).fetchone():
                        raise NotFound(f"No such image: {image}", hint="it was removed just now")
                db.execute(_ADD_CONTAINER, _container_row(container))
                rows = [(container.id, image, snapshot) for image, snapshot in mounted.items()]
                db.executemany("INSERT INTO mounted_images (container, image, snapshot) VALUES (?, ?, ?)", rows)
        except sqlite3.IntegrityError as error:
            raise self._name_taken(container.name) from error

    def replace_container(self, container: Container) -> None:
        """Change a container that is kept (``NotFound`` otherwise), its name too (``Conflict`` when that is taken)."""
        identity, *values = _container_row(container)
        try:
            with self._database.transaction() as db:
                done = db.execute(
                    "UPDATE containers SET name = ?, image = ?, created_at = ?, value = ? WHERE id = ?",
                    (*values, identity),
                )
        except sqlite3.IntegrityError as error:
            raise self._name_taken(container.name) from error
        if not done.rowcount:
            raise NotFound(f"No such container: {container.id}")

    def container(self, name: str) -> Container:
        """The container with this id, this name, or an id that alone begins so.

        Raises:
            NotFound: there is none.
            InvalidInput: several ids begin so.
        """
        name = name.removeprefix("/")
        row = self._database.row(
            "SELECT value FROM containers WHERE id = ? OR name = ? ORDER BY id = ? DESC", name, name, name
        )
        if row is None:
            row = self._container_by_prefix(name)
        return _container(row[0])

    def note_start(self, identity: str) -> None:
        """Remember that a container is started now."""
        with self._database.transaction() as db:
            db.execute("UPDATE containers SET started_at = ? WHERE id = ?", (time.time_ns(), identity))

    def started_at(self, identity: str) -> int:
        """When a container was started last, in nanoseconds since the epoch; 0 for never."""
        row = self._database.row("SELECT started_at FROM containers WHERE id = ?", identity)
        return int(row[0]) if row is not None else 0

    def ever_started(self) -> tuple[str, ...]:
        """The ids of the containers that were started at least once."""
        return tuple(identity for (identity,) in self._database.rows("SELECT id FROM containers WHERE started_at > 0"))

    def containers(self) -> tuple[Container, ...]:
        """All containers, the newest first."""
        rows = self._database.rows("SELECT value FROM containers ORDER BY created_at DESC, id")
        return tuple(json.decode(value, Container, what="container record") for (value,) in rows)

    def containers_and_starts(self) -> tuple[tuple[Container, int], ...]:
        """All containers, the newest first, each with when it was started last (0 for never); kept as they were read.

        Where nothing has changed they are not read again, and a record is decoded again only when it is another one.
        """
        # Looked at before they are read: a change meanwhile has them read once more.
        version = self._database.version()
        if self._listed is not None and self._listed[0] == version:
            return self._listed[1]
        rows = self._database.rows("SELECT id, value, started_at FROM containers ORDER BY created_at DESC, id")
        before, now = self._decoded, {}
        found = []
        for identity, value, started_at in rows:
            known = before.get(identity)
            if known is None or known[0] != value:
                known = (value, _container(value))
            now[identity] = known
            found.append((known[1], started_at))
        self._decoded = now
        self._listed = version, tuple(found)
        return self._listed[1]

    def container_ids(self) -> tuple[str, ...]:
        """The ids of all containers."""
        return tuple(identity for (identity,) in self._database.rows("SELECT id FROM containers"))

    def containers_of_image(self, identity: Digest) -> tuple[str, ...]:
        """The ids of the containers that were made from an image, or have it mounted."""
        return tuple(found for (found,) in self._database.rows(f"{_USERS} ORDER BY 1", identity))

    def mounted_snapshots(self, without: Collection[str] = ()) -> frozenset[str]:
        """The snapshots that show images in containers, but for containers of these ids."""
        rows = self._database.rows("SELECT container, snapshot FROM mounted_images WHERE snapshot != ''")
        return frozenset(snapshot for container, snapshot in rows if container not in without)

    def remove_container(self, identity: str, volumes: Iterable[str] = ()) -> None:
        """Forget a container; no complaint when it is not there.

        Args:
            identity: of the container.
            volumes: those that are to go with it; of these, what nobody named is ``Volumes.leaving`` from here on.
        """
        with self._database.transaction() as db:
            if db.execute("DELETE FROM containers WHERE id = ?", (identity,)).rowcount:
                db.executemany(_LEAVES, [(name,) for name in volumes])

    def _container_by_prefix(self, name: str) -> Row:
        query = "SELECT value FROM containers WHERE id >= ? AND id < ? LIMIT 2"
        found = self._database.rows(query, name, name + "g") if name else []
        if len(found) > 1:
            raise InvalidInput(f"multiple IDs found with provided prefix: {name}", hint="write more digits of the id")
        if not found:
            raise NotFound(f"No such container: {name}", hint=self._meant(name))
        return found[0]

    def _meant(self, name: str) -> str:
        """The names that are most like one that is not there."""
        known = [known for (known,) in self._database.rows("SELECT name FROM containers")]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        return "did you mean " + ", ".join(near) + "?" if near else "`kist ps -a` lists the containers"

    def _name_taken(self, name: str) -> Conflict:
        row = self._database.row("SELECT id FROM containers WHERE name = ?", name)
        return Conflict(
            f'Conflict. The container name "/{name}" is already in use by container "{row[0] if row else ""}". '
            "You have to remove (or rename) that container to be able to reuse that name.",
            hint=f"`kist rm {name}` removes it, with -f also while it runs",
        )

    # ranges of ids

    def lease_ids(
        self, container: str, choose: Callable[[Sequence[tuple[int, int]]], tuple[int, int]]
    ) -> tuple[int, int]:
        """Give a container a range of the host's ids, ``(start, size)``, or the one that it has.

        It stays the container's until ``release_ids``. ``choose`` gets the ranges of all others, and runs inside the
        transaction: no two containers get ids in common, in whatever processes they are made.
        """
        if (known := self.id_range(container)) is not None:
            return known
        with self._database.transaction() as db:
            # Of a container whose engine died while it removed it.
            db.execute("DELETE FROM id_ranges WHERE container NOT IN (SELECT id FROM containers)")
            rows = db.execute("SELECT container, start, size FROM id_ranges").fetchall()
            for holder, start, size in rows:
                if holder == container:
                    return int(start), int(size)
            start, size = choose([(start, size) for _, start, size in rows])
            db.execute("INSERT INTO id_ranges VALUES (?, ?, ?)", (container, start, size))
        return start, size

    def id_range(self, container: str) -> tuple[int, int] | None:
        """The range that a container has."""
        row = self._database.row("SELECT start, size FROM id_ranges WHERE container = ?", container)
        return None if row is None else (int(row[0]), int(row[1]))

    def release_ids(self, container: str) -> None:
        """Give a container's range back."""
        if self.id_range(container) is not None:
            with self._database.transaction() as db:
                db.execute("DELETE FROM id_ranges WHERE container = ?", (container,))

    # the build cache, and leases

    def cache_get(self, key: str) -> bytes | None:
        """The value of a key; marks it as used now."""
        if (value := self.cache_find(key)) is not None:
            self.cache_used([key])
        return value

    def cache_find(self, key: str) -> bytes | None:
        """The value of a key; who has used it tells so later, of many at once (``cache_used``)."""
        row = self._database.row("SELECT value FROM cache WHERE key = ?", key)
        return None if row is None else bytes(row[0])

    def cache_used(self, keys: Iterable[str]) -> None:
        """Mark the entries of these keys as used now."""
        now = int(time.time())
        with self._database.transaction() as db:
            db.executemany(
                "UPDATE cache SET used_at = ? WHERE key = ? AND used_at < ?", [(now, key, now) for key in keys]
            )

    def cache_put(self, key: str, value: bytes) -> None:
        """Keep a value. Every digest that is spelled in it keeps its blob and its snapshot from being collected."""
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO cache VALUES (?, ?, ?)", (key, value, int(time.time())))

    def cache_entries(self) -> tuple[tuple[str, bytes, int], ...]:
        """Key, value and time of the last use (seconds since the epoch) of all entries, the longest unused first."""
        rows = self._database.rows("SELECT key, value, used_at FROM cache ORDER BY used_at, key")
        return tuple((str(key), bytes(value), int(used_at)) for key, value, used_at in rows)

    def cache_remove(self, keys: Iterable[str]) -> None:
        """Forget these entries."""
        with self._database.transaction() as db:
            db.executemany("DELETE FROM cache WHERE key = ?", [(key,) for key in keys])

    def cache_clear(self, *, used_before: int | None = None) -> int:
        """Forget all entries, or those last used before a time (seconds since the epoch); how many."""
        with self._database.transaction() as db:
            if used_before is None:
                return db.execute("DELETE FROM cache").rowcount
            return db.execute("DELETE FROM cache WHERE used_at < ?", (used_before,)).rowcount


def _name(db: sqlite3.Connection, name: str, identity: Digest, owner: int) -> None:
    """Point a name at an image; in a transaction, so that nobody else can have taken it meanwhile."""
    _check_like_no_id(name, owner)
    before = db.execute("SELECT image FROM names WHERE name = ?", (name,)).fetchone()
    done = db.execute(
        "INSERT INTO names (name, image, owner) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
        "SET image = excluded.image, owner = excluded.owner WHERE excluded.owner IN (0, names.owner)",
        (name, identity, owner),
    )
    if done.rowcount:
        db.execute("DELETE FROM given_names WHERE name = ?", (name,))
        if before and before[0] != identity:  # those for other platforms were of that one
            db.execute("DELETE FROM platform_names WHERE name = ?", (name,))
    known = db.execute("SELECT image FROM names WHERE name = ?", (name,)).fetchone()
    if not done.rowcount and known[0] != identity:
        raise _not_own(name)


def _check_like_no_id(name: str, owner: int) -> None:
    if owner and _LIKE_AN_ID.match(name):
        raise Forbidden(f"the name {name} could be meant as the beginning of an id", hint="choose another name")


def _not_own(name: str) -> Forbidden:
    return Forbidden(f"the name {name} belongs to somebody else", hint="choose a name of your own")


def _is_as_seen(db: sqlite3.Connection, image: Image) -> bool:
    """Whether an image has the references that were seen, and no others."""
    rows = db.execute("SELECT name FROM names WHERE image = ?", (image.id,)).fetchall()
    return {name for (name,) in rows} == set(image.references)


# A container is looked for again and again while it is made, started and removed, and its record stays as it is.
@functools.lru_cache(maxsize=32)
def _container(value: bytes) -> Container:
    return json.decode(value, Container, what="container record")


@functools.lru_cache(maxsize=32)
def _config(value: bytes) -> ImageConfig:
    return json.decode(value, ImageConfig, what="image record")


def _image(row: Row, names: Iterable[str]) -> Image:
    identity, manifest, created_at, size, config = row
    return Image(
        id=Digest(identity),
        manifest=Digest(manifest),
        references=tuple(names),
        created_at=created_at,
        size=size,
        config=_config(config),
    )


def _mounted(container: Container) -> dict[str, str]:
    """The ids of the images that are mounted in a container, each with the snapshot that shows it."""
    found = ((mount.option("image"), mount.option("snapshot")) for mount in container.options.mounts)
    return {image: snapshot or "" for image, snapshot in found if image}


def _container_row(container: Container) -> tuple[object, ...]:
    value = json.encode(msgspec.structs.replace(container, state=ContainerState()))
    return container.id, container.name, container.image_id, container.created_at, value
