"""Threads that are held at a moment, so that a test can do something just then."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kist.spec.digest import Digest
from kist.store.unsynced import SIDE_BY_SIDE, Unsynced


@contextmanager
def stopped_at(name: str, act: Callable[[], object]) -> Iterator[None]:
    """While another thread does this, and has come to a call of a function of this name; at the end it goes on."""
    there, go_on = threading.Event(), threading.Event()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == name:
            there.set()
            assert go_on.wait(60)

    def run() -> None:
        sys.setprofile(look)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert there.wait(60), f"{name} was not called"
        yield
    finally:
        go_on.set()
        thread.join()


@contextmanager
def held_up(unsynced: Unsynced) -> Iterator[Callable[[], None]]:
    """While no blob is synced; what is given ends that ahead of the block."""
    goes_on = threading.Event()
    for number in range(SIDE_BY_SIDE):
        unsynced.take(Digest.of(f"{number}".encode()), goes_on.wait)
    try:
        yield goes_on.set
    finally:
        goes_on.set()
