"""Carries a plan out: goes through its graph, and has each step performed once those that it requires are done."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from kist.build import cache
from kist.build.bases import Bases
from kist.build.cache import StepCache
from kist.build.donors import Donors
from kist.build.making import Maker
from kist.build.performing import Performer
from kist.build.plan import Plan, Run, Scratch, Step, UseImage, UseStage
from kist.build.result import Result
from kist.build.tree import Tree
from kist.errors import KistError, from_os_error
from kist.spec.build import BuildOptions
from kist.spec.interface import Progress
from kist.spec.json import encode
from kist.spec.progress import Event, StepFinished, StepRuns, StepStarted

if TYPE_CHECKING:
    from kist.engine.engine import Engine


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
        self._bases = bases
        self._progress = progress
        self._maker = Maker(engine, StepCache(engine, bypass=options.no_cache), donors)
        self._performer = Performer(engine, context, options, self._tell)
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

    def _tell(self, event: Event) -> None:
        if isinstance(event, StepRuns):
            self._containers[event.id] = event.container
        self._progress(event)

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
        work = self._performer.work(step, self._results)
        if work is None:
            # A setting takes no work; it is as new as what it is set on.
            return below.configured(step.created_by), step.requires[0] not in self._fresh
        with nullcontext() if isinstance(action, Run) else _told(step):  # a command's failure names the command
            made, cached = self._maker.make(below, action, work)
        unchanged = cache.after(below.identity, cache.key(below.identity, action))
        return below.with_made(made, step.created_by, unchanged), cached


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
