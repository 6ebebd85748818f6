"""The same changes, made by every storage, give layers by which the same files come out."""

import io
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import disks
from kist.engine.own_disks import reached
from kist.image.diff import diff, is_unchanged
from kist.image.layers import apply
from kist.kernel import trees
from kist.spec.mount import Mount
from kist.store import Snapshots, choice
from kist.store.database import Database
from seen import seen

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]

LIMIT = 32 << 20
MOMENT = 1_600_000_000
NAMES = ("a", "b", "c", "a/a", "a/b", "b/a", "a/b/a", "a/b/c")
KINDS = ("write", "append", "remove", "directory", "link", "hard link", "mode", "owner", "move", "time", "attribute")
ACTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=12
)


def opened(root: Path, storage: str) -> Snapshots:
    (root / "snapshots").mkdir(parents=True)
    return Snapshots(str(root / "snapshots"), Database(str(root / "kist.db")), storage)


def root_of(mounts: tuple[Mount, ...]) -> int:
    return trees.open_tree_of([(mount.type, mount.source, mount.options) for mount in mounts])


def act(root: str, kind: str, name: str, other: str) -> None:
    """One change; one that cannot be made is none, on every file system."""
    path, second = f"{root}/{name}", f"{root}/{other}"
    if kind in {"write", "append"}:
        with open(path, "w" if kind == "write" else "a", encoding="ascii") as file:
            file.write(f"{kind} {name}")
        os.utime(path, (1_000_000_000, 1_000_000_000))
    elif kind == "remove":
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    elif kind == "directory":
        os.mkdir(path, 0o750)
    elif kind == "link":
        os.symlink(other, path)
    elif kind == "hard link" and not os.path.isdir(path):
        os.link(path, second, follow_symlinks=False)
    elif kind == "mode":
        os.chmod(path, 0o6711)
    elif kind == "owner":
        os.chown(path, 12, 34, follow_symlinks=False)
    elif kind == "move" and not os.path.isdir(path) and not os.path.isdir(second):
        os.rename(path, second)  # a directory of the image cannot be moved by overlayfs, and can by others
    elif kind == "time":
        os.utime(path, (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    elif kind == "attribute" and not os.path.islink(path):
        os.setxattr(path, "user.kist", name.encode())


def change(mounts: tuple[Mount, ...], acts: list[tuple[str, str, str]]) -> None:
    tree = root_of(mounts)
    try:
        for each in acts:
            try:
                act(f"/proc/self/fd/{tree}", *each)
            except OSError:
                continue
    finally:
        os.close(tree)


BASE = [
    ("directory", "a", ""), ("write", "a/a", ""), ("directory", "a/b", ""), ("write", "a/b/a", ""), ("write", "b", ""),
    ("link", "c", "a"),
]  # fmt: skip


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Snapshots, dict[str, int]]]]:
    """For each storage its snapshots, with the same small image, and how a container's is prepared."""
    place = tmp_path_factory.mktemp("agree")
    (place / "tmp").mkdir()
    if why := choice.refusal_of_limits(str(place)):
        pytest.skip(why)
    with disks.file_system("btrfs", place) as btrfs:
        made: dict[str, tuple[Snapshots, dict[str, int]]] = {}
        for storage in ("overlay", "copy", "btrfs", "loop"):
            snapshots = opened((btrfs if storage == "btrfs" else place) / storage, storage)
            change(snapshots.prepare("filled"), BASE)
            snapshots.commit("base", "filled")
            made[storage] = (snapshots, {"size": LIMIT} if storage == "loop" else {})
        yield made
        for snapshots, _ in made.values():
            snapshots._database.close()


@pytest.mark.timeout(900)
@settings(
    max_examples=200 if os.environ.get("KIST_LONG_TESTS") else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=ACTS, exact=st.booleans())
def test_the_same_changes_give_the_same_layer(rooms, acts, exact) -> None:
    """To the byte where times are set, which is what reproducible builds stand on.

    Then what was removed and made again as it was is no change, whichever storage tells it.
    """
    shown, made_again, reproducible = {}, {}, {}
    for storage, (snapshots, limit) in rooms.items():
        key = str(uuid.uuid4())
        mounts = snapshots.prepare(key, "base", **limit)
        change(mounts, acts)
        shown[storage] = seen(mounts)
        layer, timed = io.BytesIO(), io.BytesIO()
        with reached(mounts) as readable:
            diff(readable, layer.write)
            unchanged = is_unchanged(readable, mtime=MOMENT, exact=exact)
            diff(readable, timed.write, mtime=MOMENT, exact=exact)
        assert unchanged == (not timed.getvalue().strip(b"\0"))
        reproducible[storage] = timed.getvalue()
        here = seen(mounts)
        snapshots.remove(key)
        made_again[storage] = applied(rooms, layer.getvalue())
        assert applied(rooms, timed.getvalue()) == here
    assert len({repr(sorted(each.items())) for each in shown.values()}) == 1, shown
    assert made_again == shown
    assert len(set(reproducible.values())) == 1, {storage: members(layer) for storage, layer in reproducible.items()}


def applied(rooms, layer: bytes) -> dict[str, object]:
    """What comes of a layer on top of the base."""
    snapshots, _ = rooms["overlay"]
    key = str(uuid.uuid4())
    apply(io.BytesIO(layer), snapshots.prepare(key, "base"))
    found = seen(snapshots.mounts(key))
    snapshots.remove(key)
    return found


def members(layer: bytes) -> list[tuple[object, ...]]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return [(each.name, each.type, each.mode, each.size, each.mtime, each.linkname) for each in archive]
