"""What a container has changed: its upper directory held against its image, as ``docker diff`` tells it.

An entry counts as changed when its owner, mode or kind is another, or, but for directories, its size or time; a
directory also when something in it changed. Of what was removed only the topmost is told.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from kist.engine.own_disks import reached
from kist.image.comparison import differences
from kist.image.filling import Filling, filling_of
from kist.image.tree import is_whiteout
from kist.kernel import files, trees
from kist.spec.files import Change, ChangeKind
from kist.store import Store

_HOLD = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def changes(store: Store, key: str) -> tuple[Change, ...]:
    """The changes in an active snapshot, sorted by path; it may be in use."""
    parent = store.snapshots.parent(key)
    with ExitStack() as stack:
        filling = filling_of(stack.enter_context(reached(store.snapshots.mounts(key))))
        if filling.copy_of:
            return _of_copy(filling)
        opaque = filling.opaque
        mine = os.open(filling.directory, _READ)
        stack.callback(os.close, mine)
        base = -1
        if parent is not None:
            (mount,) = store.snapshots.mounts(parent)
            base = trees.open_tree_of([(mount.type, mount.source, mount.options)])
            stack.callback(os.close, base)
        found = _below(mine, base, "", opaque)
        return tuple(sorted(found, key=lambda change: change.path))


def _of_copy(filling: Filling) -> tuple[Change, ...]:
    kinds = {"added": ChangeKind.ADDED, "changed": ChangeKind.MODIFIED, "gone": ChangeKind.DELETED}
    found = {f"/{os.fsdecode(each.path)}": each for each in differences(filling)}
    told: list[Change] = []
    above: set[str] = set()
    for path in sorted(found, reverse=True):  # what is in a directory comes before it
        each = found[path]
        # A directory's time alone is no change.
        if each.kind != "changed" or path in above or each.before is None or _differs(each.status, each.before):
            told.append(Change(path, kinds[each.kind]))
            above.add(os.path.dirname(path))
    return tuple(reversed(told))


def _below(mine: int, base: int, path: str, opaque: str) -> Iterator[Change]:
    """The changes in an open directory of the upper one; ``base`` is the image's of the same path, -1 for none."""
    names = os.listdir(mine)
    for name in names:
        with suppress(FileNotFoundError):  # gone since
            yield from _entry(mine, base, name, f"{path}/{name}", opaque)
    if base >= 0 and path and opaque in files.xattr_names(mine):
        listed = os.open(".", _READ, dir_fd=base)
        try:
            for name in set(os.listdir(listed)).difference(names):
                yield Change(f"{path}/{name}", ChangeKind.DELETED)
        finally:
            os.close(listed)


def _entry(mine: int, base: int, name: str, path: str, opaque: str) -> Iterator[Change]:
    status = os.lstat(name, dir_fd=mine)
    before = _status(base, name)
    if is_whiteout(status):
        if before is not None:
            yield Change(path, ChangeKind.DELETED)
        return
    below: list[Change] = []
    if stat.S_ISDIR(status.st_mode):
        below = _inside(mine, base, name, path, opaque, was_directory=_is_directory(before))
    if before is None:
        yield Change(path, ChangeKind.ADDED)
    elif below or _differs(status, before):
        yield Change(path, ChangeKind.MODIFIED)
    yield from below


def _inside(mine: int, base: int, name: str, path: str, opaque: str, *, was_directory: bool) -> list[Change]:
    directory = os.open(name, _READ, dir_fd=mine)
    below = -1
    try:
        below = os.open(name, _HOLD, dir_fd=base) if was_directory else -1
        return list(_below(directory, below, path, opaque))
    finally:
        os.close(directory)
        if below >= 0:
            os.close(below)


def _status(directory: int, name: str) -> os.stat_result | None:
    if directory < 0:
        return None
    try:
        return os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return None


def _is_directory(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _differs(now: os.stat_result, before: os.stat_result) -> bool:
    if (now.st_mode, now.st_uid, now.st_gid, now.st_rdev) != (
        before.st_mode,
        before.st_uid,
        before.st_gid,
        before.st_rdev,
    ):
        return True
    return not stat.S_ISDIR(now.st_mode) and (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)
