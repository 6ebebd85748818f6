"""Mount points of one build step that its image lacks: there while it runs, and in no layer.

An overlay gets one more lower layer on top with just what is missing, so that nothing is written to the step's own
directory; a root that is a plain directory gets it, and loses it again where it is still empty (BuildKit leaves as
little).
"""

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from kist.engine import mountpoints
from kist.kernel import copying, paths, trees
from kist.spec.mount import Mount

_MAX_LINKS = 40
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def placed(root: Sequence[Mount], points: Sequence[tuple[str, bool]], aside: str) -> Iterator[tuple[Mount, ...]]:
    """The mounts of a root that has these points, for the time of the block.

    Args:
        root: of an active snapshot to which nobody has written yet.
        points: paths, and whether each is a directory.
        aside: a directory on the snapshots' file system.
    """
    if not points:
        yield tuple(root)
        return
    tree = trees.open_tree_of([_view(root[0])])
    try:
        missing = [lack for path, directory in points if (lack := _missing(tree, path, directory=directory))]
        if not missing:
            yield tuple(root)
        elif root[0].type == "overlay":
            yield (_over(root[0], tree, missing, os.path.join(aside, "points")),)
        else:
            with _borrowed(root[0].source, missing):
                yield tuple(root)
    finally:
        os.close(tree)


def _view(root: Mount) -> tuple[str, str, tuple[str, ...]]:
    """A root as it can be looked at without being mounted: its layers alone, of an overlay."""
    if root.type != "overlay":
        return root.type, root.source, root.options
    plain = tuple(each for each in root.options if not each.startswith(("upperdir=", "workdir=", "disk=")))
    layers = (root.option("lowerdir") or "").split(":")
    # A read-only overlay wants two layers; one alone is shown as it is.
    return ("overlay", "overlay", (*plain, "ro")) if len(layers) > 1 else ("bind", layers[0], ("ro",))


class _Lack(NamedTuple):
    """Of one point: the nearest directory that there is, the names below it that are missing, and of what kind."""

    above: str
    names: tuple[str, ...]
    directory: bool


def _missing(tree: int, path: str, *, directory: bool) -> _Lack | None:
    """What a point lacks, its links followed as the root's; None for nothing, or for what only init can tell."""
    names = [name for name in path.split("/") if name]
    at, links = "", 0
    while names:
        name, *names = names
        here = posixpath.normpath(posixpath.join("/", at, name)).lstrip("/") if name == ".." else f"{at}/{name}"
        here = here.lstrip("/")
        status = _status(tree, here)
        if status is None:
            return _Lack(at, (name, *names), directory) if ".." not in names else None
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MAX_LINKS:
                return None
            to = _link(tree, here)
            names = [part for part in to.split("/") if part and part != "."] + names
            at = "" if to.startswith("/") else at
            continue
        at = here
    return None


def _over(root: Mount, tree: int, missing: Sequence[_Lack], layer: str) -> Mount:
    """The overlay with one more layer; what is above a missing point looks there as it does in the image."""
    os.mkdir(layer)
    top = os.open(layer, _DIRECTORY)
    try:
        for above, names, directory in missing:
            _fill(tree, top, above, names, directory=directory)
        _like(tree, top, "")
    finally:
        os.close(top)
    options = tuple(
        option.replace("lowerdir=", f"lowerdir={layer}:", 1) if option.startswith("lowerdir=") else option
        for option in root.options
    )
    return Mount(root.type, root.source, root.target, options)


def _fill(tree: int, top: int, above: str, names: Sequence[str], *, directory: bool) -> None:
    parts = [part for part in above.split("/") if part]
    for count in range(len(parts)):
        path = "/".join(parts[: count + 1])
        if _status(top, path) is None:
            os.mkdir(path, 0o700, dir_fd=top)
    path = above
    for number, name in enumerate(names):
        path = f"{path}/{name}".lstrip("/")
        if _status(top, path) is not None:
            continue
        if directory or number < len(names) - 1:
            os.mkdir(path, dir_fd=top)
            os.chmod(path, 0o755, dir_fd=top)  # noqa: S103 - every user of the image may enter it
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=top))
    # From the lowest up: what is made in a directory changes its time.
    for count in range(len(parts), 0, -1):
        _like(tree, top, "/".join(parts[:count]))


def _like(tree: int, top: int, path: str) -> None:
    """Give a directory of the layer the attributes of the image's."""
    ours = os.open(path or ".", _DIRECTORY, dir_fd=top)
    theirs = paths.open_in_root(tree, path or ".", _DIRECTORY)
    try:
        copying.make_like(ours, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@contextmanager
def _borrowed(directory: str, missing: Sequence[_Lack]) -> Iterator[None]:
    root = os.open(directory, _DIRECTORY)
    made: list[str] = []
    try:
        for above, names, is_directory in missing:
            path = above
            for number, name in enumerate(names):
                path = f"{path}/{name}".lstrip("/")
                if _status(root, path) is None:
                    mountpoints.make_in(root, path, directory=is_directory or number < len(names) - 1)
                    made.append(path)
        try:
            yield
        finally:
            for path in reversed(made):
                mountpoints.remove_if_empty(root, path)
    finally:
        os.close(root)


def _status(tree: int, path: str) -> os.stat_result | None:
    """Of what is at a path whose directories are none of them links."""
    try:
        return os.stat(path or ".", dir_fd=tree, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _link(tree: int, path: str) -> str:
    return os.readlink(path, dir_fd=tree)
