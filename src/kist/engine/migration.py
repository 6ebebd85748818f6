"""``kist system migrate``: the files of a data root, kept by another storage.

Every layer and every container's own files are written anew beside the old ones, under keys of their own. One
transaction of the database then exchanges the keys, and says which storage the data root has: whoever is killed before
it leaves the old files as they were, whoever is killed after it the new ones, whole, and in both cases the others are
rubbish that the next collection takes. What a snapshot has changed travels as the tar of a layer, as for a commit:
owners, modes, links, attributes; times in whole seconds.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import msgspec

from kist.engine import claim, own_disks
from kist.engine.disk_size import asked_size
from kist.engine.own_disks import reached
from kist.errors import Conflict, InvalidInput, KistError, Unavailable, from_os_error, see_doctor
from kist.image.diff import diff
from kist.image.layers import apply
from kist.kernel import faults, trials
from kist.spec.container import Container
from kist.spec.mount import Mount
from kist.store import Store, choice
from kist.store.copies import Copies
from kist.store.loop import Loop
from kist.store.snapshots import Row
from kist.store.storage import NAMES, number_of_layers

MAKING = "migrating-"
"""Keys of what is being made begin so."""
REPLACED = "replaced-"
"""And of what was replaced."""

_SLACK = 1.05
_EMPTY_DISK = 2 << 20


class Migration(msgspec.Struct, frozen=True):
    """What is to be converted.

    Attributes:
        before, after: the storages.
        layers: how many layers are written anew.
        containers: how many containers are.
        needed: bytes that are written while the old files are still there.
        free: bytes that there are.
    """

    before: str
    after: str
    layers: int
    containers: int
    needed: int
    free: int


Progress = Callable[[str, int, int], None]


@contextmanager
def opened(data_root: str, *, running: bool = False) -> Iterator[tuple[Store, list[str]]]:
    """The store of a data root that nobody else has, or comes to have, in the block, and which containers run.

    Args:
        data_root: the data root.
        running: containers may run: for those who only look.

    Raises:
        Conflict: an engine has it, or a container runs that may not.
    """
    with (
        Store(data_root, tried=False) as store,
        claim.unused(data_root, running=running) as living,
        store.unopened(),
        store.quiet() as alone,
    ):
        if not alone:
            raise Conflict(f"{data_root} is in use: something is just written to it", hint="try again in a moment")
        yield store, living


def survey(store: Store, after: str) -> Migration:
    """What a conversion would do; nothing is changed.

    Raises:
        InvalidInput: there is no such storage.
        Unavailable: it does not work here.
    """
    if after not in NAMES:
        raise InvalidInput(f"there is no storage {after!r}", hint=f"storages are {', '.join(NAMES)}")
    if after != store.storage.name and (fault := choice.refusal(store.root, after)):
        raise Unavailable(f"the storage {after} does not work in {store.root}: {fault}")
    todo = _Todo(store, after)
    place = os.statvfs(store.root)
    needed = int(todo.bytes() * _SLACK)
    free = place.f_bavail * place.f_frsize
    return Migration(store.storage.name, after, len(todo.layers), len(todo.containers), needed, free)


def migrate(store: Store, after: str, tell: Progress) -> Migration:
    """Convert everything; ``tell`` hears of each thing that is written: what, the how many-th, of how many.

    Raises:
        Unavailable: there is too little room, or the storage does not work here.
    """
    found = survey(store, after)
    if found.needed > found.free:
        raise Unavailable(
            f"converting to {after} takes {found.needed} bytes, and {found.free} are free in {store.root}",
            hint=see_doctor("space", "make room, or remove images and containers first"),
        )
    tidy(store)
    keys = _Conversion(store, _Todo(store, after), tell).run()
    store.snapshots.another(after).flush()
    faults.point("migrate: wrote everything")
    store.snapshots.exchange(keys, after)
    faults.point("migrate: exchanged the keys")
    choice.remember(store.root, after)
    tidy(store)
    return found


def tidy(store: Store) -> None:
    """Remove what a conversion has replaced, or one that was cut off has made; those on top first.

    The caller holds the store's lock alone.
    """
    for key in store.orphans():
        store.snapshots.remove(key)
    for row in reversed(store.snapshots.table()):
        if row.key.startswith((MAKING, REPLACED)):
            store.snapshots.remove(row.key)


def leftovers(store: Store) -> list[str]:
    """The keys of what ``tidy`` would remove."""
    return [row.key for row in store.snapshots.table() if row.key.startswith((MAKING, REPLACED))]


class _Todo:
    """Which snapshots are written anew, in an order in which each comes after what it stands on."""

    def __init__(self, store: Store, after: str) -> None:
        self._store = store
        self.after = after
        self.rows = {row.number: row for row in store.snapshots.table()}
        own = {container.id: container for container in store.records.containers()}
        self.owners: Mapping[str, Container] = own
        self._target = NAMES[number_of_layers(after)]
        self.containers = [row for row in self.rows.values() if row.key in own and self._changes(row)]
        wanted = {row.number for row in self.rows.values() if row.committed and not _is_rubbish(row)}
        for row in self.rows.values():
            if row.key in own:
                wanted |= set(self._below(row))
        self.layers = [self.rows[each] for each in sorted(wanted) if self.rows[each].storage != self._target]

    def size_of(self, row: Row) -> int:
        """The limit that a container has afterwards."""
        options = self.owners[row.key].options
        return asked_size(options) or (own_disks.DEFAULT_SIZE if self.after == Loop.name else 0)

    def bytes(self) -> int:
        """What is written, at the most."""
        total = 0
        for row in (*self.layers, *self.containers):
            total += self._store.snapshots.measure(row.key).apparent
            if self.after == Loop.name:
                total += _EMPTY_DISK
            if self.after == Copies.name and not self._shares():
                total += self._store.snapshots.usage_below(row.key)
        return total

    def _changes(self, row: Row) -> bool:
        below = self.rows.get(row.parent) if row.parent is not None else None
        storage = Loop.name if self.size_of(row) else self._target
        return row.storage != storage or (below is not None and below.storage != self._target)

    def _below(self, row: Row) -> Iterator[int]:
        parent = row.parent
        while parent is not None:
            yield parent
            parent = self.rows[parent].parent

    def _shares(self) -> bool:
        with tempfile.TemporaryDirectory(dir=os.path.join(self._store.root, "tmp")) as place:
            source, target = f"{place}/source", f"{place}/target"
            with open(source, "wb") as file:
                file.write(b"x" * 4096)
            return trials.attempt(lambda: trials.reflink(source, target)) is None


def _is_rubbish(row: Row) -> bool:
    return row.key.startswith((MAKING, REPLACED, "elsewise-", "unsynced-", "lost-"))


class _Conversion:
    def __init__(self, store: Store, todo: _Todo, tell: Progress) -> None:
        self._old = store.snapshots
        self._new = store.snapshots.another(todo.after)
        self._todo = todo
        self._tell = tell
        self._made: dict[int, str] = {}  # the key of what was made, by the number of what it is made of

    def run(self) -> dict[int, str]:
        """Write everything; the keys that are to be given then, by number."""
        todo = self._todo
        count = len(todo.layers) + len(todo.containers)
        for place, row in enumerate((*todo.layers, *todo.containers), 1):
            self._tell("layer" if row.committed else f"container {todo.owners[row.key].name}", place, count)
            self._write(row)
            faults.point("migrate: wrote a snapshot")
        numbers = {row.key: row.number for row in self._new.table()}
        keys = {number: f"{REPLACED}{number}" for number in self._made}
        for number, made in self._made.items():
            old = todo.rows[number].key
            keys[numbers[made]] = f"lost-{numbers[made]}" if _is_rubbish(todo.rows[number]) else old
        return keys

    def _write(self, row: Row) -> None:
        parent = None
        if row.parent is not None:
            parent = self._made.get(row.parent, self._todo.rows[row.parent].key)
        key = f"{MAKING}{row.number}"
        size = 0 if row.committed else self._todo.size_of(row)
        target = self._new.prepare(f"{key}-active" if row.committed else key, parent, size=size)
        faults.point("migrate: prepared a snapshot")
        with ExitStack() as stack:
            _carry(stack.enter_context(reached(self._old.filling(row.number))), stack.enter_context(reached(target)))
        if row.committed:
            self._new.commit(key, f"{key}-active", size=row.size)
        self._made[row.number] = key


def _carry(source: tuple[Mount, ...], target: tuple[Mount, ...]) -> None:
    """Apply to one snapshot what another one has changed."""
    read_end, write_end = os.pipe()
    failure: list[BaseException] = []

    def read() -> None:
        try:
            with open(write_end, "wb", buffering=1 << 20) as pipe:
                diff(source, pipe.write)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that writes
            failure.append(error)

    reader = threading.Thread(target=read, name="migrate")
    reader.start()
    try:
        with open(read_end, "rb") as pipe:
            apply(pipe, target, what="a snapshot", end_mark=True)
    except KistError:
        reader.join()
        if failure and not isinstance(failure[0], BrokenPipeError):
            raise failure[0] from None
        raise
    except OSError as error:
        raise from_os_error(error, "convert a snapshot") from error
    reader.join()
    if failure:
        raise failure[0]
