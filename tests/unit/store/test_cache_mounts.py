"""Cache mounts: who gets which copy, who waits, and what is kept."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kist.errors import KistError, Unavailable
from kist.store import Store

KEY = "mount pip:0123"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path), "copy", tried=False) as made:
        yield made


def nothing(_path: str) -> None:
    """The directory stays empty."""


def never(_event: threading.Event) -> None:
    pytest.fail("there is nothing to wait for")


def wait_for(event: threading.Event) -> None:
    assert event.wait(30)


def copy_of(path: str) -> str:
    return os.path.basename(path)


def test_shared_copies_are_one_and_private_ones_are_not(store: Store) -> None:
    with ExitStack() as stack:

        def take(sharing: str) -> str:
            return copy_of(stack.enter_context(store.cache_mounts.taken(KEY, sharing, nothing, never)).path)  # type: ignore[arg-type]

        assert [take(each) for each in ("shared", "shared", "private", "private", "shared")] == [
            "0",
            "0",
            "1",
            "2",
            "0",
        ]
    with store.cache_mounts.taken(KEY, "private", nothing, never) as taken:
        assert copy_of(taken.path) == "0"


def test_a_locked_one_waits_for_who_has_it(store: Store) -> None:
    order: list[str] = []
    waits = threading.Event()

    def wait(event: threading.Event) -> None:
        waits.set()
        event.wait(30)

    def second() -> None:
        with store.cache_mounts.taken(KEY, "locked", nothing, wait) as taken:
            order.append(f"second has {copy_of(taken.path)}")

    thread = threading.Thread(target=second)
    with store.cache_mounts.taken(KEY, "shared", nothing, never):
        thread.start()
        assert waits.wait(30)
        order.append("first ends")
    thread.join(30)
    assert order == ["first ends", "second has 0"]


def test_waiting_can_be_given_up_and_leaves_no_lock(store: Store) -> None:
    def give_up(_event: threading.Event) -> None:
        raise Unavailable("cancelled")

    with (
        store.cache_mounts.taken(KEY, "locked", nothing, never),
        pytest.raises(Unavailable),
        store.cache_mounts.taken(KEY, "locked", nothing, give_up),
    ):
        pytest.fail("somebody else has it")
    # Who has given up may have got the lock at last, for a moment.
    with store.cache_mounts.taken(KEY, "locked", nothing, wait_for) as taken:
        assert copy_of(taken.path) == "0"


def test_the_lock_lasts_as_long_as_any_duplicate(store: Store) -> None:
    """A monitor has one: where the engine is killed, the command that uses the cache may live a moment longer."""
    with store.cache_mounts.taken(KEY, "locked", nothing, never) as taken:
        held = os.dup(taken.lock)
    # At its end in order it is given up for all.
    with store.cache_mounts.taken(KEY, "locked", nothing, never):
        pass
    os.close(held)


@pytest.mark.parametrize("fails", [True, False])
def test_a_directory_is_made_whole_or_not_at_all(store: Store, fails: bool) -> None:
    def make(path: str) -> None:
        Path(path, "begun").write_text("x")
        if fails:
            raise OSError("the disk, perhaps")

    def take(fill: Callable[[str], None]) -> list[str]:
        with store.cache_mounts.taken(KEY, "shared", fill, never) as taken:
            return os.listdir(taken.path)

    if fails:
        with pytest.raises(KistError, match="disk"):
            take(make)
    assert take(nothing if fails else make) == ([] if fails else ["begun"])
    assert take(never_filled) == ([] if fails else ["begun"])


def never_filled(_path: str) -> None:
    pytest.fail("it is there")


def test_what_has_a_record_is_kept_and_counted(store: Store) -> None:
    def make(path: str) -> None:
        Path(path, "big").write_bytes(b"x" * 100_000)

    with store.writing(), store.cache_mounts.taken(KEY, "shared", make, never) as taken:
        path = taken.path
    (size,) = store.cache_mounts.sizes().values()
    assert size > 100_000
    store.collect()
    assert os.path.exists(path)
    store.records.cache_remove([KEY])
    collected = store.collect()
    assert collected is not None
    assert collected.size >= size
    assert store.cache_mounts.names() == []


def test_the_size_is_that_after_the_last_use(store: Store) -> None:
    with store.cache_mounts.taken(KEY, "shared", nothing, never) as taken:
        before = sum(store.cache_mounts.sizes().values())
        Path(taken.path, "big").write_bytes(b"x" * 200_000)
    assert sum(store.cache_mounts.sizes().values()) > before + 200_000
