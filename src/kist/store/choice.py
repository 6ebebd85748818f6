"""How a data root keeps snapshots: as it is told, else by looking whether overlayfs works there."""

import os
import tempfile

from kist.kernel import process, trees
from kist.store import directories, overlay
from kist.store.copies import Copies
from kist.store.overlay import Overlay

STORAGES = (Overlay.name, Copies.name)


def choose(root: str, asked: str) -> str:
    """``overlay`` or ``copy``.

    Args:
        root: the data root, whose lock is held. What was found is kept there, in the file ``storage``, until the next
            boot.
        asked: what the settings say; empty for what works.
    """
    if asked:
        return asked
    path, temporary, boot = f"{root}/storage", os.path.join(root, "tmp"), process.boot_id()
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            known, _, when = file.read(200).strip().partition(" ")
    except FileNotFoundError:
        known = when = ""
    if known in STORAGES and when == boot:
        return known
    found = Overlay.name if overlay_works(temporary) else Copies.name
    aside = f"{temporary}/storage-{os.getpid()}-{os.urandom(4).hex()}"
    with open(aside, "w", encoding="ascii") as file:
        file.write(f"{found} {boot}\n")
    os.rename(aside, path)
    return found


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
