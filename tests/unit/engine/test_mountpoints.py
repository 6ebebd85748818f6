"""Mount points that an image lacks: there for containers, not in the image."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kist.engine import mountpoints
from kist.kernel import trees
from kist.spec.mount import Mount
from kist.store import Store
from moments import stopped_at

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="looks through overlay mounts")]

ALL = {"proc", "sys", "dev", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store")) as made:
        yield made


Fill = Callable[[Path], None]


def image(store: Store, *layers: Fill) -> tuple[Mount, ...]:
    """The mounts of a container on an image of these layers."""
    parent = None
    for number, fill in enumerate(layers):
        mounts = store.snapshots.prepare(f"layer-{number}", parent)
        upper = mounts[0].option("upperdir") or mounts[0].source
        fill(Path(upper))
        parent = f"sha256:{number}"
        store.snapshots.commit(parent, f"layer-{number}")
    return store.snapshots.prepare("container", parent)


def seen(root: tuple[Mount, ...]) -> set[str]:
    """All paths in the merged view."""
    found: set[str] = set()
    tree = trees.open_tree_of([(mount.type, mount.source, mount.options) for mount in root])
    try:
        for directory, names, files, _ in os.fwalk(".", dir_fd=tree):
            found |= {os.path.relpath(os.path.join(directory, name)) for name in names + files}
    finally:
        os.close(tree)
    return found


def empty(_: Path) -> None:
    pass


def full(root: Path) -> None:
    for name in ("proc", "sys", "dev", "etc"):
        (root / name).mkdir()
    for name in ("hosts", "hostname", "resolv.conf"):
        (root / "etc" / name).touch()


def some(root: Path) -> None:
    (root / "etc").mkdir(mode=0o711)
    (root / "etc" / "hosts").write_text("mine", encoding="ascii")
    os.chown(root / "etc", 5, 6)


@pytest.mark.parametrize("layers", [(empty,), (some,), (full,), (empty, some), (some, empty), (empty, full, empty)])
def test_every_mount_point_is_there_and_the_snapshot_stays_empty(
    store: Store, tmp_path: Path, layers: tuple[Fill, ...]
) -> None:
    root = image(store, *layers)
    over = mountpoints.with_mountpoints(str(tmp_path / "cache"), store.snapshots.below("container"), root)
    assert seen(over) >= ALL
    assert os.listdir(root[0].option("upperdir") or "") == []
    assert (over == root) == (full in layers)


def without_dev(root: Path) -> None:
    os.mknod(root / "dev", 0o600 | stat.S_IFCHR)


def with_etc(root: Path) -> None:
    (root / "etc").mkdir()


def closed(root: Path) -> None:
    root.chmod(0o700)


def another_file(root: Path) -> None:
    (root / "srv").mkdir()


@pytest.mark.parametrize(
    ("layers", "deciding"),
    [
        ((full, another_file, another_file), 0),
        ((empty, another_file), 0),
        ((full, without_dev, another_file), 1),
        ((empty, another_file, with_etc), 2),
        ((full, closed), 1),
        ((full, closed, another_file), 1),
    ],
)
def test_a_layer_that_has_no_say_in_it_needs_no_mount_points_of_its_own(
    store: Store, tmp_path: Path, layers: tuple[Fill, ...], deciding: int
) -> None:
    root = image(store, *layers)
    over = mountpoints.with_mountpoints(str(tmp_path / "cache"), store.snapshots.below("container"), root)
    assert os.listdir(tmp_path / "cache") == [f"sha256-{deciding}"]
    assert seen(over) >= ALL


def test_what_is_there_keeps_its_content_and_its_looks(store: Store, tmp_path: Path) -> None:
    over = mountpoints.with_mountpoints(str(tmp_path / "cache"), ["sha256:x"], image(store, some))
    tree = trees.open_tree_of([(mount.type, mount.source, mount.options) for mount in over])
    try:
        status = os.stat("etc", dir_fd=tree)
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o711, 5, 6)
        hosts = os.open("etc/hosts", os.O_RDONLY, dir_fd=tree)
        assert os.read(hosts, 10) == b"mine"
        os.close(hosts)
    finally:
        os.close(tree)


def test_everybody_may_enter_what_is_made_whatever_the_umask(store: Store, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        mountpoints.with_mountpoints(str(tmp_path / "cache"), ["sha256:x"], image(store, empty))
    finally:
        os.umask(before)
    made = tmp_path / "cache" / "sha256-x"
    assert made.stat().st_mode & 0o777 == 0o755
    assert all((made / name).stat().st_mode & 0o777 == 0o755 for name in mountpoints.DIRECTORIES)
    assert all((made / name).stat().st_mode & 0o777 == 0o644 for name in mountpoints.FILES)


def test_a_link_in_the_place_of_etc_leads_nowhere_outside(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def links(root: Path) -> None:
        (root / "etc").symlink_to(outside)
        (root / "dev").symlink_to("../../../../../../../.." + str(outside))

    over = mountpoints.with_mountpoints(str(tmp_path / "cache"), ["sha256:x"], image(store, links))
    assert os.listdir(outside) == []
    assert {"proc", "sys", "etc", "dev"} <= seen(over)


def test_a_layer_is_made_once_and_forgotten_with_its_image(store: Store, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    root = image(store, empty)
    first = mountpoints.with_mountpoints(cache, ["sha256:x"], root)
    inode = os.stat(f"{cache}/sha256-x").st_ino
    assert mountpoints.with_mountpoints(cache, ["sha256:x"], root) == first
    assert os.stat(f"{cache}/sha256-x").st_ino == inode
    mountpoints.forget_unused(cache, lambda chain: chain == "sha256:x")
    assert os.listdir(cache) == ["sha256-x"]
    mountpoints.forget_unused(cache, lambda _: False)
    assert os.listdir(cache) == []


def test_a_plain_root_gives_back_what_it_borrowed(tmp_path: Path) -> None:
    root = (Mount("bind", str(tmp_path)),)
    (tmp_path / "dev").mkdir()
    with mountpoints.borrowed(root):
        assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == ALL
        (tmp_path / "etc" / "hosts").write_text("the command's own", encoding="ascii")
    assert sorted(os.listdir(tmp_path)) == ["dev", "etc"]
    assert os.listdir(tmp_path / "etc") == ["hosts"]
    assert mountpoints.with_mountpoints(str(tmp_path / "cache"), [], root) == root


def test_what_another_engine_is_making_stays_and_what_a_killed_one_made_goes(store: Store, tmp_path: Path) -> None:
    cache, root = str(tmp_path / "cache"), image(store, empty)
    os.makedirs(f"{cache}/tmp-of-the-dead/proc")
    os.makedirs(f"{cache}/sha256-gone/proc")
    with stopped_at("_make_files", lambda: mountpoints.with_mountpoints(cache, ["sha256:x"], root)):
        mountpoints.forget_unused(cache, lambda chain: chain == "sha256:x")
        assert len(os.listdir(cache)) == 2, "the dead one's goes when it cannot be the living one's"
    assert set(os.listdir(f"{cache}/sha256-x")) >= {"proc", "etc"}
    mountpoints.forget_unused(cache, lambda chain: chain == "sha256:x")
    assert os.listdir(cache) == ["sha256-x"]
