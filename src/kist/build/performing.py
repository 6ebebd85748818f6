"""Each action of a plan as the work that it is: what RUN, COPY and WORKDIR do to the tree that they stand on.

A further action is a method here and its line in ``_ACTIONS``; the work itself is in a room of its own (``running``,
``copying``). When it is done, and whether at all, is not decided here (``executor``, ``making``).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from kist.build.contents import digest, is_still, known_digest
from kist.build.context_binds import ContextBinds
from kist.build.contexts import NamedContexts
from kist.build.copying import copy_files
from kist.build.fetching import Fetching
from kist.build.owners import has_ids, resolve
from kist.build.plan import Checkout, CopyFiles, Download, MakeDirectory, Run, Step
from kist.build.result import Result
from kist.build.run_mounts import RunMounts
from kist.build.running import Command
from kist.build.selection import Selected, select, without
from kist.build.target import Target
from kist.build.tree import Tree
from kist.build.work import Work, filled, opened, unknown
from kist.engine.step_series import StepSeries
from kist.engine.stop import Stop
from kist.spec.build import BuildOptions
from kist.spec.interface import Progress
from kist.spec.mount import Mount
from kist.spec.progress import StepOutput
from kist.spec.provision import Provision
from kist.store.directories import takes_file_of

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_FEW = 1000  # files, of which stat(2) tells in some milliseconds
Results = Mapping[str, Result]
_LONGEST_TITLE = 200  # characters that the cache keeps


class Performer:
    """Knows how each action is performed; a context manager, at whose end what was fetched is gone.

    Args:
        engine: runs commands and keeps layers.
        context: what COPY and ADD see.
        options: what commands have.
        progress: told what a step prints and how far it is; from many threads.
        stop: when it is given, all work ends.
        given: what the client gives.
        contexts: the named ones.
        series: the build's commands, which end with it.
        epoch: of a reproducible build, else None.
    """

    def __init__(
        self,
        engine: "Engine",
        context: Tree,
        options: BuildOptions,
        progress: Progress,
        stop: Stop,
        given: Provision,
        contexts: NamedContexts,
        series: StepSeries,
        epoch: int | None = None,
    ) -> None:
        self._contexts = contexts
        self._engine = engine
        self._context = context
        self._options = options
        self._progress = progress
        self._stop = stop
        self._given = given
        self._binds = ContextBinds(engine, context, stop, epoch)
        self._fetching = Fetching(engine, stop, anew=options.no_cache)
        self._series = series
        self._takes = partial(takes_file_of, engine.store.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._series:
            try:
                self._binds.close()
            finally:
                self._fetching.__exit__(kind, value, trace)

    @property
    def fetched(self) -> Mapping[Download | Checkout, str]:
        """What ADD has asked for, and what it was."""
        return self._fetching.identities

    def work(self, step: Step, results: Results) -> Work | None:
        """The work of a step, None where its action changes no files.

        Args:
            step: which.
            results: of the steps that it requires.
        """
        work = self._ACTIONS.get(type(step.action))
        return work(self, step, step.action, results)._replace(about=step.title[:_LONGEST_TITLE]) if work else None

    def _run(self, step: Step, action: Run, results: Results) -> Work:
        """RUN: the command in a container on the snapshot."""

        def complain(why: str) -> None:
            self._progress(StepOutput(step.id, "stderr", f"{why}\n"))

        mounts = RunMounts(self._engine, self._binds, action, results, self._given, self._stop, complain)
        command = Command(
            self._engine, step, action, self._options.steps, self._progress, self._stop, mounts, self._series
        )
        words = "" if action.mounts else step.created_by
        at_hand = unknown if mounts.reads else mounts.contents
        return Work(command.fill, mounts.contents, at_hand, words=words, logs=True)

    def _make_directory(self, step: Step, action: MakeDirectory, results: Results) -> Work:
        """WORKDIR: the directory, where it does not exist."""
        del results

        def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
            del snapshot
            with filled(mounts) as (root, _):
                os.close(Target(root).open_directory(action.path))

        return Work(fill, at_hand=lambda: (), words=step.created_by)

    def _copy(self, step: Step, action: CopyFiles, results: Results) -> Work:
        """COPY and ADD."""
        origin = results[action.origin] if action.origin else None
        if action.link and action.owner and not has_ids(action.owner):
            action = self._with_ids(action, results[step.requires[0]])

        told: list[str] = []

        def contents() -> tuple[str, ...]:
            with self._tree(action, origin) as tree:
                told[:] = [digest(tree, select(action, tree), self._stop.check, self._takes)]
            return ("files", *told, *map(self._fetching.identity, action.remotes))

        def held() -> bool:
            tree = self._context
            if tree.settled or is_still(tree, lambda: select(action, tree), told[0], self._stop.check):
                return True
            why = "files of the build context changed while they were copied: this step is not kept in the cache"
            self._progress(StepOutput(step.id, "stderr", f"{why}\n"))
            return False

        def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
            del snapshot
            with self._tree(action, origin) as tree, filled(mounts) as (root, upper):
                copy_files(action, [*select(action, tree), *self._fetched(action)], root, upper=upper)

        def at_hand() -> tuple[str, ...] | None:
            if origin or action.context or action.remotes:
                return None
            known = known_digest(self._context, select(action, self._context), _FEW)
            return None if known is None else ("files", known)

        origins = (origin.identity,) if origin else ()
        made = Work(fill, contents, at_hand, origins, alone=action.link, timeless=origin is None, many=True)
        return made if origin or action.context else made._replace(held=held)

    def _fetched(self, action: CopyFiles) -> list[Selected]:
        """What ADD has fetched."""
        found = []
        for remote in action.remotes:
            tree, path = self._fetching.place(remote)
            found.append(Selected(tree, path, unpack=isinstance(remote, Download) and remote.unpack))
        return without(action.excludes, found)

    def _with_ids(self, action: CopyFiles, below: Result) -> CopyFiles:
        """The action with the owner's ids in place of names: there are no names in a layer that is made on nothing."""
        with self._root(below) as root:
            uid, gid = resolve(action.owner, root)
        return msgspec.structs.replace(action, owner=f"{uid}:{gid}")

    @contextmanager
    def _tree(self, action: CopyFiles, origin: Result | None) -> Iterator[Tree]:
        """Where the files come from."""
        if action.context:
            with self._contexts.tree(action.context, self._stop) as tree:
                yield tree
            return
        if origin is None:
            yield self._context
            return
        with self._root(origin) as root:
            yield Tree(root, f'"{action.origin_name}"')

    @contextmanager
    def _root(self, result: Result) -> Iterator[int]:
        """A descriptor of the tree that a step has made."""
        if result.chain is not None:
            with opened(self._engine.store.snapshots.mounts(result.chain)) as root:
                yield root
            return
        with self._engine.store.temporary() as empty, opened([Mount.bind(empty, "", read_only=True)]) as root:
            yield root

    _ACTIONS: ClassVar[Mapping[type, Callable[["Performer", Step, Any, Results], Work]]] = {
        Run: _run,
        MakeDirectory: _make_directory,
        CopyFiles: _copy,
    }
