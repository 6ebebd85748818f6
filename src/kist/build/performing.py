"""Each action of a plan as the work that it is: what RUN, COPY and WORKDIR do to the tree that they stand on.

A further action is a method here and its line in ``_ACTIONS``; the work itself is in a room of its own (``running``,
``copying``). When it is done, and whether at all, is not decided here (``executor``, ``making``).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from kist.build.contents import digest
from kist.build.copying import copy_files
from kist.build.plan import CopyFiles, MakeDirectory, Run, Step
from kist.build.result import Result
from kist.build.running import Command
from kist.build.target import Target
from kist.build.tree import Tree
from kist.build.work import Work, opened
from kist.engine.stop import Stop
from kist.spec.build import BuildOptions
from kist.spec.interface import Progress
from kist.spec.mount import Mount

if TYPE_CHECKING:
    from kist.engine.engine import Engine

Results = Mapping[str, Result]


class Performer:
    """Knows how each action is performed.

    Args:
        engine: runs commands and keeps layers.
        context: what COPY and ADD see.
        options: what commands have.
        progress: told what a step prints and how far it is; from many threads.
        stop: when it is given, all work ends.
    """

    def __init__(self, engine: "Engine", context: Tree, options: BuildOptions, progress: Progress, stop: Stop) -> None:
        self._engine = engine
        self._context = context
        self._options = options
        self._progress = progress
        self._stop = stop

    def work(self, step: Step, results: Results) -> Work | None:
        """The work of a step, None where its action changes no files.

        Args:
            step: which.
            results: of the steps that it requires.
        """
        work = self._ACTIONS.get(type(step.action))
        return work(self, step, step.action, results) if work else None

    def _run(self, step: Step, action: Run, results: Results) -> Work:
        """RUN: the command in a container on the snapshot."""
        del results
        command = Command(self._engine, step.id, action, self._options.steps, self._progress, self._stop)
        return Work(command.fill, words=step.created_by)

    def _make_directory(self, step: Step, action: MakeDirectory, results: Results) -> Work:
        """WORKDIR: the directory, where it does not exist."""
        del results

        def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
            del snapshot
            with opened(mounts) as root:
                os.close(Target(root).open_directory(action.path))

        return Work(fill, words=step.created_by)

    def _copy(self, step: Step, action: CopyFiles, results: Results) -> Work:
        """COPY and ADD."""
        del step
        origin = results[action.origin] if action.origin else None

        def contents() -> tuple[str, ...]:
            with self._tree(action, origin) as tree:
                paths = [path for pattern in action.sources for path in tree.select(pattern)]
                return ("files", digest(tree, paths, self._stop.check))

        def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
            del snapshot
            with self._tree(action, origin) as tree, opened(mounts) as root:
                copy_files(action, tree, root)

        return Work(fill, contents, origins=(origin.identity,) if origin else ())

    @contextmanager
    def _tree(self, action: CopyFiles, origin: Result | None) -> Iterator[Tree]:
        """Where the files come from."""
        if origin is None:
            yield self._context
            return
        name = f'"{action.origin_name}"'
        if origin.chain is not None:
            with opened(self._engine.store.snapshots.mounts(origin.chain)) as root:
                yield Tree(root, name)
            return
        with self._engine.store.temporary() as empty, opened([Mount.bind(empty, "", read_only=True)]) as root:
            yield Tree(root, name)

    _ACTIONS: ClassVar[Mapping[type, Callable[["Performer", Step, Any, Results], Work]]] = {
        Run: _run,
        MakeDirectory: _make_directory,
        CopyFiles: _copy,
    }
