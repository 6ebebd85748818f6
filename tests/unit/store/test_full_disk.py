"""A full disk and a disk that may not be written, on a small file system in a mount namespace of its own."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]

PRELUDE = """
import io, os, sys, tarfile
from kist.engine.images import Images
from kist.errors import Forbidden, Unavailable
from kist.store import Store

ROOT = sys.argv[1]

def used():
    status = os.statvfs(ROOT)
    return (status.f_blocks - status.f_bfree) * status.f_frsize

def tree(size):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for number in range(8):
            info = tarfile.TarInfo(f"d/f{number}")
            info.size = size // 8
            archive.addfile(info, io.BytesIO(os.urandom(info.size)))
    target.seek(0)
    return target

def refused(act):
    try:
        act()
    except Unavailable as error:
        assert "no space left" in error.message, error.message
        assert "free" in error.hint, error.hint
    else:
        raise AssertionError("it went well")

store = Store(ROOT + "/data")
images = Images(store)
kept = images.import_tar(tree(100_000), "kept")
store.snapshots.flush()
before = used()

def same_as_before():
    assert [image.id for image in images.list()] == [kept.id]
    assert len(store.blobs.list()) == 3, store.blobs.list()
    assert store.snapshots.list() == (images.chain(kept),), store.snapshots.list()
    assert os.listdir(ROOT + "/data/tmp") == []
    assert used() - before < 300_000, used() - before
"""


def run(tmp_path, script: str, options: str = "size=8m") -> None:
    target = tmp_path / "small"
    target.mkdir()
    program = PRELUDE + textwrap.dedent(script)
    command = f'mount -t tmpfs -o {options} tmpfs {target} && exec "$0" -c "$1" {target}'
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", command, sys.executable, program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_records_can_be_written_when_there_is_no_room_left(tmp_path):
    """Else nothing could be removed any more: each removal is written down."""
    run(tmp_path, """
        def fill():
            with open(ROOT + "/filler", "ab", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    assert os.statvfs(ROOT).f_bfree == 0

        def write():
            with store.database.transaction() as connection:
                connection.execute("INSERT INTO filled VALUES (?)", (os.urandom(200_000),))

        with store.database.transaction() as connection:
            connection.execute("CREATE TABLE filled (data)")
        for again in range(3):
            fill()
            write()
            os.unlink(ROOT + "/filler")
            write()  # there is plenty: the room is taken again
    """, options="size=48m")  # fmt: skip


def test_a_blob_that_does_not_fit_leaves_nothing(tmp_path):
    run(tmp_path, """
        refused(lambda: store.blobs.put(bytes(9_000_000)))
        same_as_before()
    """)  # fmt: skip


@pytest.mark.parametrize("size", [5_000_000, 7_800_000, 20_000_000])
def test_an_import_that_does_not_fit_leaves_nothing(size, tmp_path):
    run(tmp_path, f"""
        refused(lambda: images.import_tar(tree({size}), "new"))
        same_as_before()
        images.import_tar(tree(200_000), "small")
    """)  # fmt: skip


def test_a_load_that_does_not_fit_leaves_nothing(tmp_path):
    run(tmp_path, """
        with Store(sys.argv[1] + "/other") as other:
            archive = io.BytesIO()
            there = Images(other)
            there.import_tar(tree(1_000_000), "new")
            there.save(["new"], archive)
        import shutil
        shutil.rmtree(sys.argv[1] + "/other")
        with open(ROOT + "/ballast", "wb") as ballast:
            ballast.write(bytes(8_000_000 - used() - 1_500_000))
        before = used()
        archive.seek(0)
        refused(lambda: images.load(archive))
        same_as_before()
        os.unlink(ROOT + "/ballast")
        archive.seek(0)
        images.load(archive)
    """)  # fmt: skip


def test_a_layer_that_does_not_fit_leaves_the_snapshot_to_its_owner(tmp_path):
    run(tmp_path, """
        with store.writing():
            (mount,) = store.snapshots.prepare("step", images.chain(kept))
            with open(mount.option("upperdir") + "/big", "wb") as file:
                file.write(bytes(5_000_000))
            refused(lambda: images.commit_snapshot("step", images.chain(kept)))
            assert store.snapshots.exists("step")
            images.discard_snapshot("step")
        same_as_before()
    """)  # fmt: skip


def test_records_that_do_not_fit_are_refused_and_the_store_goes_on(tmp_path):
    run(tmp_path, """
        def fill():
            for number in range(1000):
                store.records.cache_put(f"k{number}", os.urandom(100_000))
        refused(fill)
        same = [image.id for image in images.list()]
        assert same == [kept.id]
        store.close()
        store = Store(ROOT + "/data")
        assert [image.id for image in store.records.images()] == [kept.id]
    """)  # fmt: skip


def test_a_store_that_cannot_be_opened_for_want_of_space_says_so(tmp_path):
    run(tmp_path, """
        store.close()
        with open(ROOT + "/ballast", "wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                pass
        refused(lambda: Store(ROOT + "/data"))
        os.unlink(ROOT + "/ballast")
        store = Store(ROOT + "/data")
        assert [image.id for image in store.records.images()] == [kept.id]
    """)  # fmt: skip


def test_the_member_that_did_not_fit_is_named(tmp_path):
    run(tmp_path, """
        try:
            images.import_tar(tree(20_000_000), "new")
        except Unavailable as error:
            assert " 'd/f" in error.message, error.message
        else:
            raise AssertionError("it went well")
    """)  # fmt: skip


def test_a_data_root_that_cannot_be_written_is_forbidden_with_a_hint(tmp_path):
    run(tmp_path, """
        store.close()
        assert os.system(f"mount -o remount,ro {ROOT}") == 0
        for root in ("/data", "/another"):
            try:
                Store(ROOT + root)
            except Forbidden as error:
                assert "KIST_ROOT" in error.hint
            else:
                raise AssertionError("it went well")
    """)  # fmt: skip
