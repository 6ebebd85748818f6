"""Carries a plan out: goes through its graph, and has each step performed once those that it requires are done.

Steps that need nothing of one another are performed at once, each in a thread. What they tell goes through a queue to
the thread that has called ``run``, which alone has the plan's state and speaks to the caller. The first failure, also
one of the caller's, is an order to all others to end.
"""

import hashlib
import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from kist.build import cache
from kist.build.agenda import Agenda
from kist.build.bases import Bases
from kist.build.contexts import NamedContexts
from kist.build.donors import Donors
from kist.build.epoch import clamped
from kist.build.making import Maker, Taken
from kist.build.performing import Performer
from kist.build.plan import Checkout, Configure, CopyFiles, Download, Plan, Scratch, Step, UseImage, UseStage
from kist.build.result import EMPTY, Result
from kist.build.tree import Tree
from kist.engine.stop import Stop
from kist.errors import KistError, StepFailed, from_os_error
from kist.spec.build import BuildOptions
from kist.spec.interface import Progress
from kist.spec.json import encode
from kist.spec.progress import Event, StepFinished, StepOutput, StepProgress, StepRuns, StepStarted
from kist.spec.provision import Provision

if TYPE_CHECKING:
    from kist.engine.engine import Engine

# A command that waits for a server or a lock takes no processor: there may be more steps at a time than processors.
_SIDE_BY_SIDE = max(4, 2 * (os.cpu_count() or 1))
_MOST_UNTOLD = 256
_LOOK_EVERY = 0.25  # seconds
_INSTANT = Scratch | UseStage | Configure


class _Done(NamedTuple):
    """A step's end: what it made and whether that was there, or why there is nothing."""

    step: Step
    seconds: float
    result: Result | None = None
    cached: bool = False
    error: BaseException | None = None


class Executor:
    """Carries out plans.

    Args:
        engine: runs commands and keeps layers.
        context: what COPY and ADD see.
        bases: finds images.
        donors: images whose steps are taken where they are the same.
        options: what commands have, and whether every step is done.
        progress: told of every step, always in the thread that calls ``run``; what it raises ends the build.
        given: what the client gives to its steps.
        contexts: the named ones.
        epoch: of a reproducible build (``build/epoch.py``), else None.
        keep: whether later builds find what this one makes.
    """

    def __init__(
        self,
        engine: "Engine",
        context: Tree,
        bases: Bases,
        donors: Donors,
        options: BuildOptions,
        progress: Progress,
        given: Provision,
        contexts: NamedContexts,
        epoch: int | None = None,
        keep: bool = True,
    ) -> None:
        self._epoch = epoch
        self._bases = bases
        self._progress = progress
        self._stop = Stop()
        self._news: queue.Queue[Event | _Done] = queue.Queue(_MOST_UNTOLD)
        self._maker = Maker(engine, donors, self._stop, epoch, keep=keep)
        self._no_cache = options.no_cache
        self._performer = Performer(engine, context, options, self._tell, self._stop, given, contexts, epoch)
        self._results: dict[str, Result] = {}
        self._fresh: set[str] = set()
        self._running: dict[str, float] = {}
        self._containers: dict[str, str] = {}

    @property
    def results(self) -> Mapping[str, Result]:
        """What each step has made so far, by its id."""
        return self._results

    @property
    def fetched(self) -> Mapping[Download | Checkout, str]:
        """What ADD has asked for, and what it was: a digest or a commit comes first."""
        return self._performer.fetched

    def run(self, *plans: Plan) -> tuple[Result, ...]:
        """Carry out all steps, each after those it requires; several plans have no ids in common.

        Returns:
            What the last stage of each plan made.

        Raises:
            StepFailed: a command ended with a code other than 0.
            KistError: a step could not be carried out. Of several that fail, it is the error of the first. No step runs
                any more, the snapshots that were being filled are gone, and what was finished stays in the cache.
        """
        steps = [step for plan in plans for step in plan.steps]
        of = {step.id: plan for plan in plans for step in plan.steps}
        agenda = Agenda(steps)
        numbers = {step.id: number for number, step in enumerate(steps, 1)}
        with self._performer, ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="kist-step") as pool:
            try:
                while True:
                    while ready := agenda.take():
                        for step in ready:
                            self._progress(StepStarted(step.id, step.title, numbers[step.id], len(numbers)))
                            if (done := self._at_once(step)) is not None:
                                self._end(of[step.id], done)
                                agenda.finish(step.id)
                            else:
                                self._begin(step, pool)
                    if not agenda.under_way:
                        self._maker.note_uses()
                        return tuple(self._results[plan.result] for plan in plans)
                    if (done := self._listen()) is not None:
                        self._end(of[done.step.id], done)
                        agenda.finish(done.step.id)
            except BaseException:
                self._stop.give()
                self._see_off()
                with suppress(KistError):
                    self._maker.note_uses()
                raise

    def _at_once(self, step: Step) -> _Done | None:
        """The end of a step that takes no time worth a word: it does nothing, or its result is at hand.

        To hand such a step to a thread, and its result back, takes longer than most of them do.
        """
        if isinstance(step.action, _INSTANT):
            return self._timed(step, self._step)
        if self._no_cache or step.anew or (isinstance(step.action, CopyFiles) and step.action.link):
            return None
        done = self._timed(step, self._look)
        return done if done.result is not None or done.error is not None else None

    def _begin(self, step: Step, pool: ThreadPoolExecutor) -> None:
        self._running[step.id] = time.monotonic()
        pool.submit(lambda: self._news.put(self._timed(step, self._step)))

    def _listen(self) -> _Done | None:
        """Pass one piece of news on, or wait a moment for it; gives it where it is a step's end."""
        try:
            news = self._news.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            # Nothing is to be told, but whoever listens may want the build to end.
            step_id, began = next(iter(self._running.items()))
            self._progress(StepProgress(step_id, int(time.monotonic() - began), 0, "seconds"))
            return None
        if isinstance(news, _Done):
            return news
        if isinstance(news, StepRuns):
            self._containers[news.id] = news.container
        self._progress(news)
        return None

    def _end(self, plan: Plan, done: _Done) -> None:
        """Take a step's result; or tell that it has failed, and raise why."""
        step = done.step
        self._running.pop(step.id, None)
        if done.result is None:
            assert done.error is not None
            self._progress(StepFinished(step.id, done.seconds, error=str(done.error) or type(done.error).__name__))
            raise done.error
        self._results[step.id] = done.result
        if not done.cached:
            self._fresh.add(step.id)
        finished = StepFinished(
            step.id,
            done.seconds,
            cached=done.cached,
            result=self._image_id(plan, step),
            container=self._containers.get(step.id, ""),
            base=isinstance(step.action, Scratch | UseImage | UseStage),
        )
        self._progress(finished)

    def _see_off(self) -> None:
        """Wait until no step runs any more; each that was ended is told so as long as somebody listens."""
        told = True
        while self._running:
            news = self._news.get()
            if isinstance(news, _Done):
                self._running.pop(news.step.id)
                news = StepFinished(news.step.id, news.seconds, error="cancelled", cancelled=True)
            if told:
                try:
                    self._progress(news)
                except BaseException:  # noqa: BLE001 - what has ended the build counts
                    told = False

    # In the threads of steps

    def _tell(self, event: Event) -> None:
        """Have an event told; raises where the step is to end."""
        self._stop.check()
        self._news.put(event)

    def _tell_waiting(self, step: Step) -> None:
        self._tell(
            StepOutput(
                step.id, "stderr", "the same step is being done for another build or stage: waiting for what it makes\n"
            )
        )

    def _timed(self, step: Step, perform: Callable[[Step], tuple[Result | None, bool]]) -> _Done:
        """What comes of a step, and how long it took."""
        began = time.monotonic()
        try:
            self._stop.check()
            result, cached = perform(step)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the steps are waited for
            return _Done(step, time.monotonic() - began, error=error)
        return _Done(step, time.monotonic() - began, result, cached)

    def _look(self, step: Step) -> tuple[Result | None, bool]:
        """The step's result, where it is at hand."""
        if isinstance(step.action, UseImage):
            return self._bases.at_hand(step.action.reference, step.action.platform), True
        below = self._results[step.requires[0]]
        with _told(step):
            work = self._performer.work(step, self._results)
            taken = None if work is None else self._maker.at_hand(below, step.action, work)
        return (None, False) if taken is None else (_after(step, below, taken), True)

    def _step(self, step: Step) -> tuple[Result, bool]:
        """The step's result, and whether nothing had to be done for it."""
        action = step.action
        if isinstance(action, Scratch):
            return EMPTY, True
        if isinstance(action, UseImage):
            return self._bases.result(action.reference, action.platform), True
        below = self._results[step.requires[0]]
        work = self._performer.work(step, self._results)
        if work is None:
            # A setting takes no work; it is as new as what it is set on.
            return below.configured(step.created_by), step.requires[0] not in self._fresh
        with _told(step):
            taken = self._maker.make(
                below, action, work, anew=step.anew or self._no_cache, waits=lambda: self._tell_waiting(step)
            )
        return _after(step, below, taken), taken.cached

    def _image_id(self, plan: Plan, step: Step) -> str:
        """The id of the image that a build of the steps up to this one would make."""
        if isinstance(step.action, UseImage):
            return self._bases.image(step.action.reference, step.action.platform).id
        if isinstance(step.action, Scratch):
            return ""
        config = plan.config if step.id == plan.result else step.config  # with the labels of the build
        image = clamped(self._results[step.id].as_image(config, plan.platform, plan.author), self._epoch)
        return "sha256:" + hashlib.sha256(encode(image)).hexdigest()


def _after(step: Step, below: Result, taken: Taken) -> Result:
    """What there is after a step that has made this."""
    unchanged = cache.after(below.identity, cache.key(below.identity, step.action))
    return below.with_made(taken.made, step.created_by, unchanged).known_by(taken.keys, taken.made)


@contextmanager
def _told(step: Step) -> Iterator[None]:
    """Say in every error of the block which line of the Dockerfile it is about."""
    what = f"{step.place}: {step.title.partition(' ')[0]} failed"
    try:
        yield
    except StepFailed:  # names the command, in words that Docker's clients know
        raise
    except KistError as error:
        raise type(error)(f"{what}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise from_os_error(error, what) from error
