"""Collections beside others: nobody waits while files go, and a kill leaves what the next one takes."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kist.spec.container import Container, ContainerOptions
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.store import Store
from moments import stopped_at

POINTS = (
    "collect: removed a blob",
    "collect: forgot a snapshot",
    "collect: let go of the lock",
    "collect: removed a snapshot's files",
)


def dead_layer(store: Store) -> None:
    store.snapshots.prepare("active")
    store.snapshots.commit("layer", "active")


def stray(store: Store) -> None:
    os.makedirs(f"{store.root}/snapshots/77/etc")


def temporary(store: Store) -> None:
    os.makedirs(f"{store.root}/tmp/of-the-dead/etc")


def orphan(store: Store) -> None:
    store.snapshots.prepare("of a dead build")


def collect(store: Store) -> None:
    assert store.collect() is not None


def shrink(store: Store) -> None:
    assert store.shrink(lambda: True) is not None


def discard(store: Store) -> None:
    store.discard_orphans()


@pytest.mark.parametrize(
    ("make", "act"),
    [
        (dead_layer, collect),
        (stray, collect),
        (temporary, collect),
        (dead_layer, shrink),
        (stray, shrink),
        (orphan, discard),
        (stray, lambda store: store.snapshots.sweep()),
    ],
)
def test_nobody_waits_while_files_are_removed(store: Store, make: Callable, act: Callable) -> None:
    make(store)
    with stopped_at("remove_tree", lambda: act(store)):
        with store.quiet() as quiet:
            assert quiet, "who begins to write would wait"
        other = sqlite3.connect(f"{store.root}/kist.db", timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        other.close()
        done: list[str] = []
        reader = threading.Thread(target=lambda: done.extend(store.snapshots.list() or ["none"]))
        reader.start()
        reader.join(20)
        assert done, "who reads records waits"
        with store.writing():
            store.snapshots.prepare("of somebody else")
            number = store.snapshots.rows()[-1][1]
    assert os.path.isdir(store.snapshots.directory(number))
    left = {name.partition("-")[0] for name in os.listdir(f"{store.root}/snapshots")}
    assert left == {str(number)}
    assert os.listdir(f"{store.root}/tmp") == []


def test_a_number_that_comes_again_is_not_taken_for_rubbish(store: Store) -> None:
    """Of who died in the transaction that made a snapshot, the directory stays, and the number is given once more."""
    os.makedirs(f"{store.root}/snapshots/1/old")
    with stopped_at("remove_tree", store.collect), store.writing():
        store.snapshots.prepare("new")
        assert store.snapshots.rows() == (("new", 1, False),)
        (mount,) = store.snapshots.mounts("new")
        own = f"{store.root}/snapshots/1"
        assert os.listdir(own) == [], mount
    assert os.path.isdir(own)
    assert store.snapshots.strays() == ()


def test_two_collections_at_once_are_no_harm(store: Store) -> None:
    dead_layer(store)
    stray(store)
    temporary(store)
    with stopped_at("remove_tree", store.collect):
        collect(store)
        assert store.snapshots.strays() == ()
        assert os.listdir(f"{store.root}/tmp") == []


def use(store: Store) -> None:
    """A container on a layer, with a blob that an entry of the build cache keeps."""
    store.snapshots.prepare("active", None)
    store.snapshots.commit("kept-layer", "active")
    identity = "c" * 64
    store.snapshots.prepare(identity, "kept-layer")
    options = ContainerOptions(image="x")
    store.records.add_container(Container(identity, "c", Digest.of(b"x"), 0, options, ContainerConfig(), ("sh",)))
    store.records.cache_put("key", store.blobs.put(b"kept").encode())


_COLLECT = "import sys; from kist.store import Store; Store(sys.argv[1]).collect()"


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_what_is_used_and_nothing_for_good(tmp_path: Path, point: str) -> None:
    root = str(tmp_path / "data")
    with Store(root) as store:
        use(store)
        before = sorted(os.listdir(f"{root}/snapshots"))
        for name in ("one", "two"):
            store.blobs.put(name.encode())
            store.snapshots.prepare(f"active {name}")
            store.snapshots.commit(name, f"active {name}")
        stray(store)
    (tmp_path / "trap").write_text(f"{point}\n")
    environment = {**os.environ, "KIST_FAULTS": str(tmp_path / "trap")}
    killed = subprocess.run([sys.executable, "-c", _COLLECT, root], env=environment, check=False)
    assert killed.returncode == -9
    with Store(root) as store:
        store.collect()
        assert store.snapshots.list() == ("kept-layer", "c" * 64)
        assert sorted(os.listdir(f"{root}/snapshots")) == before
        assert store.blobs.list() == (Digest.of(b"kept"),)
        assert os.listdir(f"{root}/tmp") == []
        assert not os.path.exists(f"{root}/collect-pending")
