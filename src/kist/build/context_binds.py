"""Parts of the build context as commands see them (``RUN --mount=type=bind``): looked at and copied once a build.

All commands of a build that name the same part see the same files, whatever happens to the directory meanwhile, and
their keys are made of these. Whoever may change what is mounted gets a copy of the copy.

A key has to tell what the command sees, or another build finds the wrong result by it. Minutes can go by while a
command runs, and the directory is its user's: a part that has no copy by then is looked at anew, and each copy is held
against what was told of it.
"""

import os
import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from kist.build import trees
from kist.build.contents import digest
from kist.build.run_mount import BindMount
from kist.build.selection import Selected
from kist.build.tree import Tree
from kist.engine.step_mounts import StepMounts
from kist.engine.stop import Stop
from kist.errors import Conflict
from kist.store.directories import takes_file_of

if TYPE_CHECKING:
    from kist.engine.engine import Engine


class _Part:
    """One part: what it is, after how many commands that was seen, and where a copy of it is."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.digest = ""
        self.seen = -1
        self.place = ""


class ContextBinds:
    """The parts that one build has come to; its ``close`` takes the copies away. Safe from many threads.

    Args:
        engine: has room for copies.
        tree: the context.
        stop: ends what takes long.
        epoch: of a reproducible build, else None.
    """

    def __init__(self, engine: "Engine", tree: Tree, stop: Stop, epoch: int | None) -> None:
        self._epoch = epoch
        self._engine = engine
        self._tree = tree
        self._stop = stop
        self._takes = partial(takes_file_of, engine.store.root)
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}
        self._commands = 0
        self._stack = ExitStack()

    def close(self) -> None:
        """No command runs any more."""
        self._stack.close()

    def note_command(self) -> None:
        """A command has ended, and the directory may be another one by now."""
        with self._lock:
            self._commands += 1

    def digest(self, source: str) -> str:
        """The identity of a part, by its absolute path in the context: of its copy, else as it is now.

        Raises:
            NotFound: there is none.
        """
        part = self._part(source)
        with part.lock:
            if not part.place and part.seen != self._commands:
                self._look(part, source)
            return part.digest

    def shown(self, mount: BindMount, place: str, told: str, *, apart: bool) -> StepMounts:
        """The mount of a part.

        Args:
            mount: which part, and where.
            place: an empty directory, of a command that sees a copy of its own.
            told: what ``digest`` gave, of which the command's key is made.
            apart: whether it has to, for it could change what is mounted.

        Raises:
            Conflict: the files are other ones by now.
        """
        part = self._part(mount.source)
        with part.lock:
            if not part.place:
                copy = self._stack.enter_context(self._engine.store.temporary())
                trees.copy_part(self._tree, mount.source, copy, self._epoch)
                self._look(part, mount.source)
                part.place = copy
            if part.digest != told:
                what = trees.pattern_of(mount.source)
                raise Conflict(
                    f'"{what}" in the build context changed while it was read',
                    hint="build when nothing writes to the context",
                )
        if not (apart or mount.writable):
            return trees.of_part(part.place, mount)
        copied = os.open(part.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            trees.copy_part(Tree(copied, self._tree.name), f"/{trees.PART}", place, self._epoch)
        finally:
            os.close(copied)
        return trees.of_part(place, mount)

    def _look(self, part: _Part, source: str) -> None:
        commands = self._commands
        found = self._tree.select(trees.pattern_of(source))
        part.digest = digest(self._tree, [Selected(self._tree, each) for each in found], self._stop.check, self._takes)
        part.seen = commands

    def _part(self, source: str) -> _Part:
        with self._lock:
            return self._parts.setdefault(source, _Part())
