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

from msgspec import structs

from kist.build import cache
from kist.build.agenda import Agenda
from kist.build.bases import Bases
from kist.build.contexts import NamedContexts
from kist.build.donors import Donors
from kist.build.epoch import clamped
from kist.build.making import Maker, Taken
from kist.build.owners import has_ids
from kist.build.performing import Performer
from kist.build.plan import Checkout, Configure, CopyFiles, Download, Plan, Run, Scratch, Step, UseImage, UseStage
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
_AHEAD = " ahead"  # in the id of that part of a step which needs nothing of what the step stands on


class _Done(NamedTuple):
    """A step's end: what it made and whether that was there, or why there is nothing.

    Files that are copied apart from what they stand on are ``apart``: the step's end is when they are put there.
    """

    step: Step
    seconds: float
    result: Result | None = None
    cached: bool = False
    error: BaseException | None = None
    apart: Taken | None = None


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
        self._series = series = engine.step_series()
        self._maker = Maker(engine, donors, self._stop, epoch, keep=keep, later=series.leave)
        self._no_cache = options.no_cache
        self._performer = Performer(engine, context, options, self._tell, self._stop, given, contexts, series, epoch)
        self._results: dict[str, Result] = {}
        self._fresh: set[str] = set()
        self._running: dict[str, float] = {}
        self._containers: dict[str, str] = {}
        self._apart: dict[str, _Done] = {}

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
        agenda = Agenda([part for step in steps for part in _parts(step)])
        numbers = {step.id: number for number, step in enumerate(steps, 1)}
        self._series.expect(sum(isinstance(step.action, Run) for step in steps))
        with self._performer, ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="kist-step") as pool:
            try:
                while True:
                    while ready := agenda.take():
                        for step in ready:
                            identity = _whole(step.id)
                            if identity not in self._apart:
                                self._progress(StepStarted(identity, step.title, numbers[identity], len(numbers)))
                            if (done := self._at_once(step)) is not None:
                                self._take(of[identity], done)
                                agenda.finish(step.id)
                            else:
                                self._begin(step, pool)
                    if not agenda.under_way:
                        self._maker.note_uses()
                        return tuple(self._results[plan.result] for plan in plans)
                    if (done := self._listen()) is not None:
                        self._take(of[_whole(done.step.id)], done)
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
        is_put = step.id in self._apart
        if (self._no_cache or step.anew) and not is_put:
            return None
        done = self._timed(step, self._look_to_put if is_put else self._look)
        is_made = done.result is not None or done.apart is not None or done.error is not None
        return done if is_made else None

    def _begin(self, step: Step, pool: ThreadPoolExecutor) -> None:
        self._running[step.id] = time.monotonic()
        perform = self._ahead if step.id.endswith(_AHEAD) else self._put if step.id in self._apart else self._step
        pool.submit(lambda: self._news.put(self._timed(step, perform)))

    def _listen(self) -> _Done | None:
        """Pass one piece of news on, or wait a moment for it; gives it where it is a step's end."""
        try:
            news = self._news.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            # Nothing is to be told, but whoever listens may want the build to end.
            step_id, began = next(iter(self._running.items()))
            self._progress(StepProgress(_whole(step_id), int(time.monotonic() - began), 0, "seconds"))
            return None
        if isinstance(news, _Done):
            return news
        if isinstance(news, StepRuns):
            self._containers[news.id] = news.container
        self._progress(news)
        return None

    def _take(self, plan: Plan, done: _Done) -> None:
        """Take what comes of a step, or of the part of it that could be done ahead."""
        self._running.pop(done.step.id, None)
        if done.apart is not None:
            self._apart[_whole(done.step.id)] = done
        else:
            self._end(plan, done)

    def _end(self, plan: Plan, done: _Done) -> None:
        """Take a step's result; or tell that it has failed, and raise why."""
        step = done.step
        if (ahead := self._apart.pop(step.id, None)) is not None:
            done = done._replace(seconds=ahead.seconds + done.seconds)
        if done.result is None:
            assert done.error is not None
            error = str(done.error) or type(done.error).__name__
            self._progress(StepFinished(_whole(step.id), done.seconds, error=error))
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
        waiting = [done for done in self._apart.values() if _whole(done.step.id) not in self._running]
        while self._running or waiting:
            news = self._news.get() if self._running else waiting.pop()
            if isinstance(news, _Done):
                self._running.pop(news.step.id, None)
                news = StepFinished(_whole(news.step.id), news.seconds, error="cancelled", cancelled=True)
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
                _whole(step.id),
                "stderr",
                "the same step is being done for another build or stage: waiting for what it makes\n",
            )
        )

    def _timed(self, step: Step, perform: Callable[[Step], tuple[Result | Taken | None, bool]]) -> _Done:
        """What comes of a step, and how long it took."""
        began = time.monotonic()
        try:
            self._stop.check()
            result, cached = perform(step)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the steps are waited for
            return _Done(step, time.monotonic() - began, error=error)
        seconds = time.monotonic() - began
        if isinstance(result, Taken):
            return _Done(step, seconds, cached=cached, apart=result)
        return _Done(step, seconds, result, cached)

    def _ahead(self, step: Step) -> tuple[Taken, bool]:
        """The files of a step, apart from what it stands on."""
        with _told(step):
            work = self._performer.work(step, self._results)
            assert work is not None
            anew = step.anew or self._no_cache
            taken = self._maker.apart(step.action, work, anew=anew, waits=lambda: self._tell_waiting(step))
        return taken, taken.cached

    def _look_to_put(self, step: Step) -> tuple[Result | None, bool]:
        """The step's result, where its files have been put on what it stands on before."""
        apart = self._apart[step.id].apart
        assert apart is not None
        return self._put(step) if self._maker.is_put(self._results[step.requires[0]], apart) else (None, False)

    def _put(self, step: Step) -> tuple[Result, bool]:
        """The step's result: its files on what it stands on."""
        below, apart = self._results[step.requires[0]], self._apart[step.id].apart
        assert apart is not None
        with _told(step):
            taken = self._maker.put(below, apart)
        return _after(step, below, taken), taken.cached

    def _look(self, step: Step) -> tuple[Result | Taken | None, bool]:
        """The step's result, where it is at hand; of a part that can be done ahead its files."""
        if isinstance(step.action, UseImage):
            return self._bases.at_hand(step.action.reference, step.action.platform), True
        if step.id.endswith(_AHEAD):
            with _told(step):
                work = self._performer.work(step, self._results)
                return None if work is None else self._maker.apart_at_hand(step.action, work), True
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


def _parts(step: Step) -> Iterator[Step]:
    """The step, after that part of it which needs nothing of what it stands on: the files of ``COPY --link``.

    Names of an owner are looked up in what is below.
    """
    action = step.action
    if isinstance(action, CopyFiles) and action.link and (not action.owner or has_ids(action.owner)):
        ahead = structs.replace(step, id=step.id + _AHEAD, requires=step.requires[1:])
        yield ahead
        step = structs.replace(step, requires=(*step.requires, ahead.id))
    yield step


def _whole(step_id: str) -> str:
    """The id of the step that this is, or is a part of."""
    return step_id.removesuffix(_AHEAD)


def _after(step: Step, below: Result, taken: Taken) -> Result:
    """What there is after a step that has made this."""
    unchanged = cache.after(below.identity, cache.key(below.identity, step.action))
    return below.with_made(taken.made, step.created_by, unchanged).known_by(taken.keys, taken.made)


@contextmanager
def _told(step: Step) -> Iterator[None]:
    """Say in every error of the block which line of the Dockerfile it is about."""
    # ``[context NAME]`` is no instruction.
    word = step.title if step.title.startswith("[") else step.title.partition(" ")[0]
    what = f"{step.place}: {word} failed"
    try:
        yield
    except StepFailed:  # names the command, in words that Docker's clients know
        raise
    except KistError as error:
        raise type(error)(f"{what}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise from_os_error(error, what) from error
