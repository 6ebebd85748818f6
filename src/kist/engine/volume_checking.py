"""What ``kist system check`` finds of volumes: directories that are gone, belong to nothing, or were half made."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from kist.errors import NotFound
from kist.spec.check import Problem
from kist.store import Store
from kist.store.volumes import Volumes

Found = tuple[Problem, str, Callable[[], object] | None]


def found(store: Store) -> Iterator[Found]:
    """Each problem, what it says when it has been mended, and how; None where only a person can."""
    volumes = store.volumes
    with volumes.settled():  # while one is removed, its directory is gone before the record
        gone = [
            each for each in volumes.list() if not (volumes.has_directory(each.name) or volumes.is_half_removed(each))
        ]
        removed = volumes.removed()
    for volume in gone:
        problem = Problem("volume", volume.name, "its directory is gone, and what was in it")
        yield problem, "made an empty one", partial(_make, volumes, volume.name)
    for name in volumes.strays():
        hint = f"if it is worth something: kist volume create {name} takes it up again, with what is in it"
        yield Problem("volume", name, "a directory that belongs to no volume", hint=hint), "", None
    for path in volumes.half_filled():
        yield (
            Problem("volume", path, "what an image has, on its way into a volume, by a process that is dead"),
            "settled",
            partial(volumes.settle_filling, path),
        )
    for path in removed:
        yield (
            Problem("volume", path, "of a volume whose removal was interrupted"),
            "removed, or undone",
            volumes.recover,
        )


def _make(volumes: Volumes, name: str) -> None:
    with volumes.kept(), suppress(NotFound):  # somebody may have removed it since
        volumes.ready(volumes.get(name))
