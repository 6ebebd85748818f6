import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from kist.errors import Corrupt, Unsupported
from kist.spec import json
from kist.spec.container import Container, ContainerOptions
from kist.spec.digest import Digest
from kist.spec.image import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    ContainerConfig,
    Descriptor,
    ImageConfig,
    Manifest,
    RootFS,
)
from kist.spec.summary import Image
from kist.store import Store
from kist.store.schema import MIGRATIONS


def make_image(store: Store, name: str) -> Image:
    """An image of one layer, with blob and snapshot."""
    layer = store.blobs.put(f"layer {name}".encode())
    store.snapshots.prepare(f"active {name}")
    store.snapshots.commit(layer, f"active {name}")
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS((layer,)), author=name)
    identity = store.blobs.put(json.encode(config))
    manifest = Manifest(2, OCI_MANIFEST, Descriptor(OCI_CONFIG, identity, 1), (Descriptor(OCI_LAYER, layer, 1),))
    image = Image(identity, store.blobs.put(json.encode(manifest)), (name,), 0, 0, config)
    store.records.add_image(image)
    return image


def make_container(store: Store, key: str) -> str:
    """A container's record and snapshot; its id."""
    identity = key.ljust(64, "0")
    image = Digest.of(b"image")
    options = ContainerOptions(image="x")
    store.records.add_container(Container(identity, key, image, 0, options, ContainerConfig(), ("sh",)))
    return identity


def layer_of(image: Image) -> Digest:
    return image.config.rootfs.diff_ids[0]


def test_what_images_need_stays_and_the_rest_goes(store):
    kept, gone = make_image(store, "kept"), make_image(store, "gone")
    rubbish = store.blobs.put(b"rubbish")
    store.records.remove_image(gone)
    collected = store.collect()
    assert set(collected.blobs) == {gone.id, gone.manifest, layer_of(gone), rubbish}
    assert collected.snapshots == (layer_of(gone),)
    assert collected.size > 0
    assert set(store.blobs.list()) == {kept.id, kept.manifest, layer_of(kept)}
    assert store.snapshots.list() == (layer_of(kept),)
    assert store.collect().blobs == ()


def test_a_container_keeps_the_snapshots_it_stands_on(store):
    image = make_image(store, "x")
    container = make_container(store, "abc")
    store.snapshots.prepare(container, layer_of(image))
    store.records.remove_image(image)
    assert store.collect().snapshots == ()
    store.snapshots.remove(container)
    assert store.collect().snapshots == (layer_of(image),)


def test_cache_entries_keep_what_they_name(store):
    image = make_image(store, "x")
    layer = layer_of(image)
    store.records.cache_put("key", json.encode({"layer": layer}))
    store.records.remove_image(image)
    assert layer not in store.collect().blobs
    assert store.snapshots.exists(layer)
    store.records.cache_clear()
    assert store.collect().snapshots == (layer,)


def test_nothing_is_collected_while_somebody_writes_and_the_last_writer_makes_up_for_it(store, tmp_path):
    with Store(str(tmp_path / "data")) as other:
        with store.writing():
            with other.writing():
                rubbish = store.blobs.put(b"not recorded yet")
                assert store.collect() is None
            assert rubbish in store.blobs
        assert rubbish not in other.blobs


def test_a_writer_that_fails_leaves_nothing(store):
    def fail() -> None:
        with store.writing():
            store.blobs.put(b"half of something")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert store.blobs.list() == ()


def test_a_snapshot_that_a_dead_process_was_filling_goes(store):
    container = make_container(store, "abc")
    store.snapshots.prepare(container)
    with store.writing():
        store.snapshots.prepare("unpack-123")
        assert store.collect() is None
        assert store.snapshots.exists("unpack-123")
    assert store.snapshots.list() == (container,)


def test_a_writer_that_died_leaves_nothing_for_long(tmp_path):
    program = (
        "import os; from kist.store import Store\n"
        f"store = Store({str(tmp_path / 'data')!r})\n"
        "writer = store.blobs.writer()\n"
        "writer.write(b'x' * 1000)\n"
        "temporary = store.temporary()\n"
        "temporary.__enter__()\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    assert len(os.listdir(tmp_path / "data" / "tmp")) == 2
    with Store(str(tmp_path / "data")):
        assert os.listdir(tmp_path / "data" / "tmp") == []


def test_a_second_store_does_not_sweep_what_the_first_one_writes(store, tmp_path):
    with store.temporary() as path, Store(str(tmp_path / "data")):
        assert os.path.isdir(path)
    assert not os.path.exists(path)


def test_everything_is_there_after_reopening(tmp_path):
    root = str(tmp_path / "data")
    with Store(root) as store:
        image = make_image(store, "x")
        store.flush_soon()
    with Store(root) as store:
        assert store.records.images() == (image,)
        assert store.snapshots.exists(layer_of(image))


def test_many_processes_may_make_the_store_at_once(tmp_path):
    program = f"from kist.store import Store; Store({str(tmp_path / 'data')!r}).close()"
    running = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1] for process in running] == [b""] * 4


def test_the_directories_are_the_owners_alone(store):
    for name in ("", "blobs", "snapshots", "tmp"):
        assert os.stat(f"{store.root}/{name}").st_mode & 0o077 == 0


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    root = str(tmp_path / "data")
    Store(root).close()
    with sqlite3.connect(f"{root}/kist.db") as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Unsupported, match="newer version"):
        Store(root)


def test_a_damaged_database_is_corrupt(tmp_path):
    root = tmp_path / "data"
    Store(str(root)).close()
    (root / "kist.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupt, match=r"kist\.db"):
        Store(str(root))


def test_a_transaction_that_fails_changes_nothing(store):
    def fail() -> None:
        with store.database.transaction() as db:
            db.execute("INSERT INTO cache VALUES ('k', 'v', 0)")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert store.records.cache_get("k") is None


def test_threads_share_a_store(store):
    def work(number: int) -> None:
        key = f"k{number}"
        for _ in range(20):
            store.snapshots.prepare(key)
            store.records.cache_put(key, b"v")
            store.snapshots.remove(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.snapshots.list() == ()
    assert len(store.records.cache_entries()) == 6


def test_a_database_of_every_older_version_is_brought_up_to_date(tmp_path):
    for version in range(len(MIGRATIONS)):
        root = tmp_path / str(version)
        root.mkdir()
        connection = sqlite3.connect(root / "kist.db")
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        with Store(str(root)) as store:
            assert store.records.containers() == ()
            make_image(store, "x")
