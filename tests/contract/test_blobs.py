"""What every keeper of blobs does; a further implementation joins ``IMPLEMENTATIONS``."""

import hashlib
import os
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.errors import Corrupt, InvalidInput, KistError, NotFound
from kist.kernel import process
from kist.spec.digest import Digest
from kist.store import Blobs
from kist.store.locks import StoreLock
from moments import held_up


def on_disk(root: str) -> Blobs:
    os.makedirs(f"{root}/blobs/sha256")
    os.mkdir(f"{root}/tmp")
    return Blobs(f"{root}/blobs", f"{root}/tmp", StoreLock(f"{root}/lock"))


IMPLEMENTATIONS: dict[str, Callable[[str], Blobs]] = {"disk": on_disk}


@pytest.fixture(params=IMPLEMENTATIONS)
def blobs(request, tmp_path) -> Blobs:
    return IMPLEMENTATIONS[request.param](str(tmp_path))


def test_what_is_put_is_read(blobs):
    digest = blobs.put(b"hello")
    assert digest == Digest.of(b"hello")
    assert digest in blobs
    assert blobs.read(digest) == b"hello"
    assert blobs.size(digest) == 5
    assert blobs.list() == (digest,)
    with blobs.open(digest) as file:
        assert file.read() == b"hello"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(parts=st.lists(st.binary(max_size=400_000), max_size=6))
def test_pieces_make_one_blob(parts, blobs):
    whole = b"".join(parts)
    with blobs.writer() as writer:
        for part in parts:
            writer.write(part)
        digest, size = writer.commit()
    assert (digest, size) == (f"sha256:{hashlib.sha256(whole).hexdigest()}", len(whole))
    assert blobs.read(digest) == whole


def test_nothing_is_seen_before_the_commit_and_nothing_is_left_without_it(blobs):
    with blobs.writer() as writer:
        writer.write(b"x" * 1_000_000)
        digest = writer.finish()
        assert digest not in blobs
        with writer.reader() as file:
            assert len(file.read()) == 1_000_000
    assert digest not in blobs
    assert blobs.list() == ()
    assert os.listdir(blobs.temporary) == []


def test_a_writer_can_be_read_after_its_commit(blobs):
    with blobs.writer() as writer:
        writer.write(b"data")
        writer.commit()
        with writer.reader() as file:
            assert file.read() == b"data"


@pytest.mark.parametrize("size", [3, 1_000_000])
def test_content_of_another_digest_is_refused(size, blobs):
    expected = Digest.of(b"something else")
    with blobs.writer(expected) as writer:
        writer.write(b"x" * size)
        with pytest.raises(Corrupt, match=f"{expected} does not match its digest"):
            writer.commit()
    assert blobs.list() == ()
    assert os.listdir(blobs.temporary) == []


def test_the_same_content_twice_is_one_blob(blobs):
    assert blobs.put(b"x") == blobs.put(b"x")
    assert len(blobs.list()) == 1
    assert os.listdir(blobs.temporary) == []


def test_many_writers_of_one_blob_at_once_agree(blobs):
    data = os.urandom(300_000)
    threads = [threading.Thread(target=blobs.put, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.list() == (Digest.of(data),)
    assert os.listdir(blobs.temporary) == []


def test_damage_is_found_when_it_is_read(blobs):
    digest = blobs.put(b"hello")
    with open(blobs.path(digest), "wb") as file:
        file.write(b"jello")
    with pytest.raises(Corrupt, match=str(digest)):
        blobs.read(digest)
    with pytest.raises(Corrupt, match=str(digest)):
        blobs.verify(digest)


def test_a_good_blob_verifies(blobs):
    blobs.verify(blobs.put(b"x" * 3_000_000))


@pytest.mark.parametrize("act", ["open", "read", "size", "verify"])
def test_a_missing_blob_is_not_found(act, blobs):
    digest = Digest.of(b"nothing")
    with pytest.raises(NotFound, match=str(digest)):
        getattr(blobs, act)(digest)


def test_reading_has_a_limit(blobs):
    with pytest.raises(InvalidInput, match="larger than 10 bytes"):
        blobs.read(blobs.put(b"x" * 11), limit=10)


def test_removal_is_repeatable(blobs):
    digest = blobs.put(b"x")
    blobs.remove(digest)
    blobs.remove(digest)
    assert digest not in blobs


def test_other_algorithms_are_refused(blobs):
    with pytest.raises(InvalidInput, match="SHA-256"):
        blobs.writer(Digest("sha512:" + "0" * 128))


def test_what_is_committed_soon_is_seen_at_once_and_durable_when_it_was_waited_for(blobs):
    with held_up(blobs.unsynced) as go_on:
        digest = blobs.put(b"hello", soon=True)
        assert digest in blobs
        assert digest in blobs.list()
        assert blobs.read(digest) == b"hello"
        assert blobs.put(b"hello", soon=True) == digest
        assert not os.path.exists(blobs.path(digest))
        with blobs.open(digest) as opened_before:
            go_on()
            blobs.sync([digest])
            assert opened_before.read() == b"hello"
    assert os.path.exists(blobs.path(digest))
    assert blobs.read(digest) == b"hello"
    assert blobs.list() == (digest,)
    assert os.listdir(blobs.temporary) == os.listdir(blobs.unsynced.directory) == []


def test_who_puts_what_is_on_its_way_waits_for_it(blobs):
    with held_up(blobs.unsynced) as go_on:
        digest = blobs.put(b"hello", soon=True)
        putting = threading.Thread(target=blobs.put, args=(b"hello",))
        putting.start()
        putting.join(0.1)
        assert putting.is_alive()
        go_on()
        putting.join(20)
        assert os.path.exists(blobs.path(digest))


def test_who_needs_what_could_not_be_synced_hears_why(blobs):
    with held_up(blobs.unsynced):
        digest = blobs.put(b"hello", soon=True)
        whole = blobs.put(b"whole", soon=True)
        os.mkdir(blobs.path(digest))  # in the way
    blobs.unsynced.settle()
    os.rmdir(blobs.path(digest))
    blobs.sync([whole])
    with pytest.raises(KistError, match="write blob"):
        blobs.sync([whole, digest])
    assert digest not in blobs
    blobs.put(b"hello")
    blobs.sync([digest])
    assert blobs.read(digest) == b"hello"


def test_what_a_killed_process_had_not_synced_yet_is_there_for_the_next_one(blobs):
    with held_up(blobs.unsynced):
        digest = blobs.put(b"hello", soon=True)
        successor = Blobs(blobs.directory, blobs.temporary, blobs.lock)
        assert digest in successor
        assert successor.read(digest) == b"hello"
        successor.sync([digest])
        assert os.path.exists(successor.path(digest))
    blobs.sync([digest])  # in which nothing is left to do
    assert blobs.read(digest) == b"hello"
    assert os.listdir(blobs.unsynced.directory) == []


def test_what_was_not_synced_before_the_machine_crashed_is_not_there(blobs, monkeypatch):
    with held_up(blobs.unsynced):
        digest = blobs.put(b"hello", soon=True)
        monkeypatch.setattr(process, "boot_id", lambda: "another")
        after = Blobs(blobs.directory, blobs.temporary, blobs.lock)
        assert digest not in after
        after.unsynced.remove_lost()
        assert not os.path.exists(blobs.unsynced.directory)
    blobs.unsynced.settle()
