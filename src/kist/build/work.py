"""What a step does to the tree that it stands on, apart from when it is done and where it is kept."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from kist.kernel.trees import open_tree_of
from kist.spec.mount import Mount
from kist.store.overlay import unsynced

Fill = Callable[[str, Sequence[Mount]], None]
"""Does a step's work: gets the key and the mounts of the active snapshot."""


def _nothing() -> tuple[str, ...]:
    return ()


def unknown() -> None:
    """Contents that are not known without looking into files."""
    return


def _held() -> bool:
    return True


class Work(NamedTuple):
    """One step's work.

    Attributes:
        fill: does it; what it raises ends the step, whose snapshot is taken away then.
        contents: digests of the files that it reads, for its cache key. May take long, and is asked only when needed.
        at_hand: the same where that takes no time worth a word, else None.
        origins: identities of the trees that it reads files of, where it reads from no others: where these are the
            same as before, so are the files, and ``contents`` is not asked.
        alone: its layer does not depend on what is below it, and what ``fill`` gets is empty.
        words: the line of the history by which another image may have done it; empty where words do not say it all.
        timeless: the files' times are nobody's word (a checkout's): a reproducible build gives all of them its own.
        logs: what it runs may have written down the moment (``build/fleeting.py``).
        about: which step it is of, for people.
        many: it may make many files at once.
        held: once ``fill`` is done: whether it had what ``contents`` told. Else nobody may find it by its key.
    """

    fill: Fill
    contents: Callable[[], tuple[str, ...]] = _nothing
    at_hand: Callable[[], tuple[str, ...] | None] = unknown
    origins: tuple[str, ...] = ()
    words: str = ""
    alone: bool = False
    timeless: bool = False
    logs: bool = False
    about: str = ""
    many: bool = False
    held: Callable[[], bool] = _held


@contextmanager
def filled(mounts: Sequence[Mount]) -> Iterator[tuple[int, int]]:
    """The tree of a snapshot that becomes a layer, to be written to for the time of the block.

    Yields:
        A descriptor of it; and where it is an overlay, one of its upper directory, else -1.
    """
    upper = mounts[0].option("upperdir") if mounts[0].type == "overlay" else None
    with opened(unsynced(mounts)) as root:
        if upper is None:
            yield root, -1
            return
        lies = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root, lies
        finally:
            os.close(lies)


@contextmanager
def opened(mounts: Sequence[Mount]) -> Iterator[int]:
    """A descriptor of the tree that mounts make, for the time of the block."""
    root = open_tree_of([(mount.type, mount.source, mount.options) for mount in mounts])
    try:
        yield root
    finally:
        os.close(root)
