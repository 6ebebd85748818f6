"""Files that one command sees of other trees: the build context, a stage, an image (``RUN --mount=type=bind``).

Those of a stage or image are shown as they lie, by a mount that no path leads to; a command that may write gets an
overlay, or a copy, that is thrown away. Those of the context are copied, without what ``.dockerignore`` leaves out: the
command is not to see the rest, and what it sees is not to change under it (``context_binds``).
"""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kist.build.copying import copy_files
from kist.build.plan import CopyFiles
from kist.build.result import Result
from kist.build.run_mount import BindMount
from kist.build.selection import select
from kist.build.tree import Tree
from kist.build.work import opened
from kist.engine.step_mounts import StepMounts
from kist.errors import InvalidInput, KistError, NotFound
from kist.image.filling import filling_of
from kist.kernel import copying, mount_holders, paths
from kist.kernel.trees import open_tree_of
from kist.spec.mount import Mount
from kist.spec.volume import VolumeSource
from kist.store import directories

if TYPE_CHECKING:
    from kist.engine.engine import Engine

PART = "files"
"""What a copy of a part is called in its place."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def pattern_of(path: str) -> str:
    """The source of a COPY that names this absolute path of a tree."""
    return path.strip("/") or "."


def copy_part(tree: Tree, source: str, place: str, epoch: int | None) -> None:
    """Copy a part of a tree, by its absolute path there, into the empty directory ``place``, as ``PART``.

    For a reproducible build all of it is of its moment: a command may copy times, too.
    """
    action = CopyFiles(sources=(pattern_of(source),), destination=f"/{PART}", into_directory=False)
    root = os.open(place, _DIRECTORY)
    try:
        copy_files(action, select(action, tree), root, epoch)
        if epoch is not None:
            os.utime(PART, (epoch, epoch), dir_fd=root)
    finally:
        os.close(root)


def of_part(place: str, mount: BindMount) -> StepMounts:
    """The mount of what was copied there."""
    return _of_path(f"{place}/{PART}", mount)


def _of_path(path: str, mount: BindMount) -> StepMounts:
    options = () if mount.writable else ("ro",)
    files = frozenset() if os.path.isdir(path) else frozenset({mount.target})
    return StepMounts((Mount("volume", path, mount.target, options),), {path: VolumeSource(path)}, files=files)


@contextmanager
def of_result(engine: "Engine", origin: Result, mount: BindMount, place: str) -> Iterator[StepMounts]:
    """The mount of a part of what another step has made.

    Args:
        engine: has its layers.
        origin: what was made.
        mount: which part, and where.
        place: an empty directory.

    Raises:
        NotFound: there is no such part.
    """
    if origin.chain is None or engine.catalogue.scope:
        # Nothing is below scratch; and a user namespace of a command's own cannot have an overlay's files as they are.
        path = f"{place}/files"
        copy_of(engine, origin, mount, path)
        yield _of_path(path, mount)
        return
    with _mounted(engine, origin, writable=mount.writable) as mounts, opened(mounts) as root:
        files = frozenset() if _is_directory(root, mount) else frozenset({mount.target})
        tree = open_tree_of([(each.type, each.source, each.options) for each in mounts])
        space = mount_holders.hold(tree, place)
        try:
            name = f"kist-{uuid.uuid4().hex}"
            within = (f"subpath={mount.source.strip('/')}",) if mount.source != "/" else ()
            options = (*(() if mount.writable else ("ro",)), *within)
            source = VolumeSource("", is_held=True)
            yield StepMounts((Mount("volume", name, mount.target, options),), {name: source}, {name: space}, files)
        finally:
            os.close(space)


@contextmanager
def _mounted(engine: "Engine", origin: Result, *, writable: bool) -> Iterator[tuple[Mount, ...]]:
    """The mounts of a result; of one that is written to, which nobody sees afterwards."""
    snapshots = engine.store.snapshots
    assert origin.chain is not None
    if not writable:
        yield snapshots.mounts(origin.chain)
        return
    key = f"build-{uuid.uuid4().hex}"
    mounts = snapshots.prepare(key, origin.chain)
    try:
        yield mounts
    finally:
        with suppress(KistError, OSError):
            directories.remove_tree(filling_of(mounts).directory)
            engine.catalogue.discard_snapshot(key)


def copy_of(engine: "Engine", origin: Result, mount: BindMount, path: str) -> None:
    """Make a copy of a part of a result at a path where there is nothing, with its owners and modes.

    Raises:
        NotFound: there is no such part.
    """
    if origin.chain is None:
        if mount.source != "/":
            raise NotFound(f'"{mount.source}" does not exist in "{mount.origin_name}"')
        os.mkdir(path, 0o755)
        return
    with opened(engine.store.snapshots.mounts(origin.chain)) as root:
        if not _is_directory(root, mount):
            with open(paths.open_in_root(root, mount.source, os.O_RDONLY), "rb") as file, open(path, "xb") as copy:
                while os.sendfile(copy.fileno(), file.fileno(), None, 1 << 24):
                    pass
                copying.make_like(copy.fileno(), file.fileno())
            return
        os.mkdir(path)
        target, source = os.open(path, _DIRECTORY), paths.open_in_root(root, mount.source, _DIRECTORY)
        try:
            copying.copy_tree(source, target)
        finally:
            os.close(target)
            os.close(source)


def _is_directory(root: int, mount: BindMount) -> bool:
    """What the mount's part is.

    Raises:
        NotFound: nothing is there.
        InvalidInput: it is neither a file nor a directory.
    """
    try:
        found = paths.open_in_root(root, mount.source, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f'"{mount.source}" does not exist in "{mount.origin_name}"') from None
    try:
        mode = os.fstat(found).st_mode
    finally:
        os.close(found)
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise InvalidInput(f'"{mount.source}" in "{mount.origin_name}" is neither a file nor a directory')
    return stat.S_ISDIR(mode)
