"""Which storage a data root has: the one that it was told, else what works there.

The table ``storage`` keeps what it was told. What was found by trying is kept in the file ``storage`` until the next
boot, for an engine's start is on the way of the first command.
"""

import os
import tempfile
from typing import NamedTuple

from kist.errors import Conflict, InvalidInput, Unavailable, see_doctor
from kist.kernel import marks, process, programs, trees, userns
from kist.store import btrfs, directories, loop, overlay
from kist.store.btrfs import Btrfs
from kist.store.copies import Copies
from kist.store.database import Database
from kist.store.loop import Loop
from kist.store.overlay import Overlay
from kist.store.storage import NAMES, number_of_layers


class Choice(NamedTuple):
    """A storage, and why it is this one."""

    name: str
    why: str


def choose(root: str, database: Database, asked: str, *, tried: bool = True) -> Choice:
    """The storage of a data root.

    Args:
        root: the data root, whose lock is held.
        database: its records.
        asked: what the settings say; empty for what it was told before, else for what works.
        tried: see first whether what it was told before works.

    Raises:
        InvalidInput: there is no such storage.
        Conflict: it has layers of another one.
        Unavailable: it does not work here.
    """
    if asked and asked not in NAMES:
        raise InvalidInput(f"there is no storage {asked!r}", hint=f"storages are {', '.join(NAMES)}")
    told = recorded(database)
    if not asked and not told:
        return _by_trying(root)
    wanted = asked or told
    fault = refusal(root, wanted) if tried and _known(root) != wanted else ""
    if fault:
        raise Unavailable(f"the storage {wanted} does not work in {root}: {fault}", hint=_hint(wanted, told))
    if asked:
        _refuse_mixture(database, asked)
    if tried and _known(root) != wanted:
        remember(root, wanted)
    if wanted != told:
        record(database, wanted)
    return Choice(wanted, "chosen by the settings" if asked else "chosen for this data root before")


def recorded(database: Database) -> str:
    """What the data root was told to have; empty for nothing."""
    row = database.row("SELECT driver FROM storage")
    return str(row[0]) if row else ""


def record(database: Database, name: str) -> None:
    """Tell a data root which storage it has from now on."""
    with database.transaction(durable=True) as db:
        db.execute("DELETE FROM storage")
        db.execute("INSERT INTO storage (driver) VALUES (?)", (name,))


def _refuse_mixture(database: Database, asked: str) -> None:
    rows = "SELECT storage FROM snapshots WHERE committed AND key NOT LIKE 'elsewise-%' AND storage != ?"
    other = database.row(rows, number_of_layers(asked))
    if other is not None:
        raise Conflict(
            f"this data root keeps its files by the storage {NAMES[other[0]]}, and {asked} is asked for",
            hint=f"kist system migrate --storage-driver {asked} converts it; or leave the choice out",
        )


def refusal(root: str, name: str) -> str:
    """Why a storage does not work in a data root, in words; empty where it does."""
    temporary = os.path.join(root, "tmp")
    if name == Overlay.name:
        return "" if overlay_works(temporary) else f"overlayfs does not work on {marks.file_system(root)} here"
    if name == Btrfs.name:
        return _refusal_of_btrfs(root, temporary)
    if name == Loop.name:
        return refusal_of_limits(root)
    return ""


def refusal_of_limits(root: str) -> str:
    """Why a container cannot have a disk of its own, in words; empty where it can."""
    if os.geteuid() or userns.limited_ids() is not None:
        return "loop devices are root's, and this engine is an ordinary user's"
    if not os.path.exists("/dev/loop-control"):
        return "this machine has no loop devices (/dev/loop-control is missing)"
    if programs.find(loop.PROGRAM, os.environ) is None:
        return f"{loop.PROGRAM} is not installed (it is in e2fsprogs)"
    if not overlay_works(os.path.join(root, "tmp")):
        return f"overlayfs does not work on {marks.file_system(root)} here"
    return ""


def _refusal_of_btrfs(root: str, temporary: str) -> str:
    if (kind := marks.file_system(root)) != "btrfs":
        return f"the data root is on {kind}, not on btrfs"
    if error := btrfs.works(temporary):
        return f"subvolumes cannot be made there ({error.strerror})"
    if os.geteuid() or userns.limited_ids() is not None:
        if btrfs.removes_at_once(temporary):
            return ""
        return "an ordinary user may not remove subvolumes there; the mount option user_subvol_rm_allowed allows it"
    return ""


def _hint(wanted: str, told: str) -> str:
    if wanted == told:
        return "kist system migrate --storage-driver copy converts the data root to what works everywhere"
    codes = {Overlay.name: "overlay", Loop.name: "loop"}
    words = "leave the choice out, and what works is taken"
    return see_doctor(codes[wanted], words) if wanted in codes else words


def _by_trying(root: str) -> Choice:
    kind = marks.file_system(root)
    found = _known(root)
    if found not in {Overlay.name, Copies.name}:
        found = Overlay.name if overlay_works(os.path.join(root, "tmp")) else Copies.name
        remember(root, found)
    works = "works" if found == Overlay.name else "does not work"
    return Choice(found, f"overlayfs {works} on {kind} here")


def _known(root: str) -> str:
    """What was found to work since the machine was started; empty for nothing."""
    try:
        with open(f"{root}/storage", encoding="ascii", errors="replace") as file:
            known, _, when = file.read(200).strip().partition(" ")
    except FileNotFoundError:
        return ""
    return known if known in NAMES and when == process.boot_id() else ""


def remember(root: str, name: str) -> None:
    """Note that a storage was found to work."""
    aside = os.path.join(root, "tmp", f"storage-{os.getpid()}-{os.urandom(4).hex()}")
    with open(aside, "w", encoding="ascii") as file:
        file.write(f"{name} {process.boot_id()}\n")
    os.rename(aside, f"{root}/storage")


def overlay_works(place: str) -> bool:
    """Whether this process may mount an overlay on directories in ``place``, and have it hide what is below.

    A mount alone tells too little: without extended attributes one is made, and then a directory cannot be replaced.
    """
    top = tempfile.mkdtemp(dir=place)
    try:
        for name in ("lower/directory/below", "upper", "work"):
            os.makedirs(f"{top}/{name}")
        layers = (f"lowerdir={top}/lower", f"upperdir={top}/upper", f"workdir={top}/work", *overlay.options())
        return _replaces_directory(layers)
    finally:
        directories.remove_tree(top)


def _replaces_directory(layers: tuple[str, ...]) -> bool:
    try:
        tree = trees.open_tree_of([("overlay", "overlay", layers)])
    except OSError:
        return False
    try:
        root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
        try:
            os.rmdir("directory/below", dir_fd=root)
            os.rmdir("directory", dir_fd=root)
            os.mkdir("directory", dir_fd=root)
            return os.listdir(root) == ["directory"]
        finally:
            os.close(root)
    except OSError:
        return False
    finally:
        os.close(tree)
