"""Carries a plan out, over the engine: step by step, from the cache where it can."""

import codecs
import hashlib
import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kist.build import cache
from kist.build.bases import Bases
from kist.build.cache import Made, StepCache
from kist.build.contents import digest
from kist.build.copying import copy_files
from kist.build.donors import Donors
from kist.build.plan import Action, CopyFiles, MakeDirectory, Plan, Run, Scratch, Step, UseImage, UseStage
from kist.build.result import Result
from kist.build.target import Target
from kist.build.tree import Tree
from kist.errors import KistError, StepFailed, from_os_error
from kist.image.filling import filling_of
from kist.kernel.trees import open_tree_of
from kist.spec.build import BuildOptions
from kist.spec.image import ContainerConfig
from kist.spec.interface import Progress
from kist.spec.json import encode
from kist.spec.mount import Mount
from kist.spec.progress import StepFinished, StepOutput, StepProgress, StepRuns, StepStarted
from kist.store import directories

if TYPE_CHECKING:
    from kist.engine.engine import Engine

Fill = Callable[[str, Sequence[Mount]], None]
"""Does a step's work: gets the key and the mounts of the active snapshot."""


class Executor:
    """Carries out one plan.

    Args:
        engine: runs commands and keeps layers.
        context: what COPY and ADD see.
        bases: finds images.
        donors: images whose steps are taken where they are the same.
        options: what commands have, and whether every step is done.
        progress: told of every step.
    """

    def __init__(
        self, engine: "Engine", context: Tree, bases: Bases, donors: Donors, options: BuildOptions, progress: Progress
    ) -> None:
        self._engine = engine
        self._context = context
        self._bases = bases
        self._donors = donors
        self._cache = StepCache(engine, bypass=options.no_cache)
        self._options = options.steps
        self._progress = progress
        self._results: dict[str, Result] = {}
        self._fresh: set[str] = set()
        self._containers: dict[str, str] = {}

    def run(self, plan: Plan) -> Result:
        """Carry out all steps, each after those it requires.

        Returns:
            What the plan's last stage made.

        Raises:
            StepFailed: a command ended with a code other than 0.
            KistError: a step could not be carried out. The snapshot that it was filling is gone then, the steps before
                it stay in the cache.
        """
        for number, step in enumerate(plan.steps, 1):
            self._progress(StepStarted(step.id, step.title, number, len(plan.steps)))
            begin = time.monotonic()
            try:
                self._results[step.id], cached = self._step(step)
            except BaseException as error:
                text = str(error) or type(error).__name__
                self._progress(StepFinished(step.id, time.monotonic() - begin, error=text))
                raise
            if not cached:
                self._fresh.add(step.id)
            finished = StepFinished(
                step.id,
                time.monotonic() - begin,
                cached=cached,
                result=self._image_id(plan, step),
                container=self._containers.get(step.id, ""),
                base=isinstance(step.action, Scratch | UseImage | UseStage),
            )
            self._progress(finished)
        return self._results[plan.result]

    def _image_id(self, plan: Plan, step: Step) -> str:
        """The id of the image that a build of the steps up to this one would make."""
        if isinstance(step.action, UseImage):
            return self._bases.image(step.action.reference).id
        if isinstance(step.action, Scratch):
            return ""
        config = plan.config if step.id == plan.result else step.config  # with the labels of the build
        image = self._results[step.id].as_image(config, plan.platform, plan.author)
        return "sha256:" + hashlib.sha256(encode(image)).hexdigest()

    def _step(self, step: Step) -> tuple[Result, bool]:
        """The step's result, and whether nothing had to be done for it."""
        action = step.action
        if isinstance(action, Scratch):
            return Result(identity="scratch"), True
        if isinstance(action, UseImage):
            return self._bases.result(action.reference), True
        below = self._results[step.requires[0]]
        if isinstance(action, Run):
            made, cached = self._made(below, action, self._command(step.id, action), step.created_by)
        elif isinstance(action, MakeDirectory):
            with _told(step):
                made, cached = self._made(below, action, _directory(action), step.created_by)
        elif isinstance(action, CopyFiles):
            with _told(step):
                made, cached = self._copied(below, action)
        else:
            # A setting takes no work; it is as new as what it is set on.
            return below.configured(step.created_by), step.requires[0] not in self._fresh
        unchanged = cache.after(below.identity, cache.key(below.identity, action))
        return below.with_made(made, step.created_by, unchanged), cached

    def _made(
        self, below: Result, action: Action, fill: Fill, created_by: str = "", contents: Sequence[str] = ()
    ) -> tuple[Made, bool]:
        """What is in the cache, or in a donor under these words, else what ``fill`` makes; and whether it was there."""
        key = cache.key(below.identity, action, contents)
        made = self._cache.get(key, below.layers)
        if made is not None:
            return made, True
        made = self._donors.find(below, created_by) if created_by else None
        if made is not None:
            self._cache.put(key, made)
            return made, True
        snapshot = f"build-{uuid.uuid4().hex}"
        mounts = self._engine.store.snapshots.prepare(snapshot, below.chain)
        try:
            fill(snapshot, mounts)
            layer = self._engine.catalogue.commit_snapshot(snapshot, below.chain)
        except BaseException:
            self._discard(snapshot, mounts)
            raise
        made = Made(created=datetime.now(UTC).isoformat().replace("+00:00", "Z"), layer=layer)
        self._cache.put(key, made)
        return made, False

    def _discard(self, snapshot: str, mounts: Sequence[Mount]) -> None:
        """Take away what a failed step left; what went wrong before is what counts, so nothing is raised."""
        with suppress(KistError, OSError):
            # The files first: a full disk has no room even for the note that the snapshot is gone.
            directories.remove_tree(filling_of(mounts).directory)
            self._engine.catalogue.discard_snapshot(snapshot)

    def _command(self, step_id: str, action: Run) -> Fill:
        """RUN: the command in a container on the snapshot."""
        config = ContainerConfig(
            env=(*action.environment, *action.proxies), user=action.user, working_dir=action.working_dir
        )

        def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
            del mounts
            identifier = self._containers[step_id] = secrets.token_hex(32)
            self._progress(StepRuns(step_id, identifier))
            output = _Output(step_id, self._progress)
            try:
                code = self._engine.run_step(
                    snapshot,
                    action.argv,
                    config=config,
                    options=self._options,
                    output=output,
                    identifier=identifier,
                )
            finally:
                output.end()
            if code:
                raise StepFailed(
                    f"The command '{' '.join(action.argv)}' returned a non-zero code: {code}",
                    hint="the steps before it are kept; correct the command and build again",
                    exit_code=code,
                )

        return fill

    def _copied(self, below: Result, action: CopyFiles) -> tuple[Made, bool]:
        """COPY and ADD. Files of another stage are not even looked at where that stage is the same as last time."""
        quick = ""
        if action.origin:
            origin = self._results[action.origin]
            quick = cache.key(below.identity, action, ("tree", origin.identity))
            made = self._cache.get(quick, below.layers)
            if made is not None:
                return made, True
        with self._tree(action) as tree:
            contents = digest(tree, [path for pattern in action.sources for path in tree.select(pattern)])

            def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
                del snapshot
                with opened(mounts) as root:
                    copy_files(action, tree, root)

            made, cached = self._made(below, action, fill, contents=("files", contents))
        if quick:
            self._cache.put(quick, made)
        return made, cached

    @contextmanager
    def _tree(self, action: CopyFiles) -> Iterator[Tree]:
        """Where the files come from."""
        if not action.origin:
            yield self._context
            return
        chain = self._results[action.origin].chain
        name = f'"{action.origin_name}"'
        if chain is not None:
            with opened(self._engine.store.snapshots.mounts(chain)) as root:
                yield Tree(root, name)
            return
        with self._engine.store.temporary() as empty, opened([Mount.bind(empty, "", read_only=True)]) as root:
            yield Tree(root, name)


class _Output:
    """A command's output as text events; a character that is cut between two reads stays whole.

    Of a silent one it is told from time to time that it goes on: whoever listens may end it then.
    """

    def __init__(self, step_id: str, progress: Progress) -> None:
        self._step_id = step_id
        self._progress = progress
        self._began = time.monotonic()
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in ("stdout", "stderr")}

    def __call__(self, stream: str, data: bytes) -> None:
        if data:
            self._tell(stream, self._decoders[stream].decode(data))
        else:
            self._progress(StepProgress(self._step_id, int(time.monotonic() - self._began), 0, "seconds"))

    def end(self) -> None:
        """Tell what is left of a character that was never finished."""
        for stream, decoder in self._decoders.items():
            self._tell(stream, decoder.decode(b"", final=True))

    def _tell(self, stream: str, text: str) -> None:
        if text:
            self._progress(StepOutput(self._step_id, stream, text))


def _directory(action: MakeDirectory) -> Fill:
    """WORKDIR: the directory, where it does not exist."""

    def fill(snapshot: str, mounts: Sequence[Mount]) -> None:
        del snapshot
        with opened(mounts) as root:
            os.close(Target(root).open_directory(action.path))

    return fill


@contextmanager
def opened(mounts: Sequence[Mount]) -> Iterator[int]:
    """A descriptor of the tree that mounts make, for the time of the block."""
    root = open_tree_of([(mount.type, mount.source, mount.options) for mount in mounts])
    try:
        yield root
    finally:
        os.close(root)


@contextmanager
def _told(step: Step) -> Iterator[None]:
    """Say in every error of the block which line of the Dockerfile it is about."""
    what = f"{step.place}: {step.title.partition(' ')[0]} failed:"
    try:
        yield
    except KistError as error:
        raise type(error)(f"{what} {error.message}", hint=error.hint) from error
    except OSError as error:
        raise from_os_error(error, what) from error
