"""A build from its start to its image."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from kist.build.attesting import Attesting
from kist.build.bases import Bases
from kist.build.context import Context
from kist.build.donors import Donors
from kist.build.entitlements import check_allowed
from kist.build.executor import Executor
from kist.build.locking import Locking
from kist.build.places import note_places
from kist.build.plan import Plan, UseImage
from kist.build.planner import plan
from kist.build.result import Result
from kist.build.run_mounts import check_given
from kist.errors import Corrupt
from kist.spec.build import USUAL_STEPS, BuildOptions
from kist.spec.build_cache import INLINE, MODES
from kist.spec.image import ContainerConfig
from kist.spec.interface import Progress
from kist.spec.lockname import lock_path
from kist.spec.platform import Platform
from kist.spec.progress import CacheKept, Event, Warned
from kist.spec.provision import NOTHING, Provision
from kist.spec.reference import Reference
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

FROM_SCRATCH = ContainerConfig(env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",))
"""What Docker's builders give an image from scratch."""


def build(
    engine: "Engine",
    context: str,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    given: Provision = NOTHING,
) -> Image:
    """Build the Dockerfile of a context directory.

    Args:
        engine: runs the commands and keeps the image.
        context: the directory that COPY and ADD see, without what its ``.dockerignore`` leaves out.
        options: what to build and how it is called.
        progress: told of steps, output and warnings; not of the end, which is the caller's to tell.
        given: the caller's secrets, agents and directories, for those steps that ask for them.

    Raises:
        ParseError: the Dockerfile or the ``.dockerignore`` cannot be read; points at the place.
        NotFound: the Dockerfile, a base image or a file to copy does not exist.
        StepFailed: a command of the Dockerfile failed.
        Unsupported: the Dockerfile asks for something that Kist does not do yet.
        InvalidInput: what commands are to have cannot be right.
        Unavailable: the disk is full.
    """
    options = options or BuildOptions()
    tell = progress or _nobody
    references = [str(Reference.parse(tag)) for tag in options.tags]
    options, warnings = _settled(engine, options)
    lock = lock_path(options.dockerfile)
    with engine.store.writing(), Context(context, engine.store, options.dockerfile, hidden=lock) as opened:
        host = Platform.of_machine(os.uname().machine)
        text = None if options.lock == "none" else opened.text(lock)
        locking = Locking(engine, text, lock, options.lock, options.platform or str(host))
        bases = Bases(engine, host, locking)
        dockerfile = opened.dockerfile()
        planned = plan(dockerfile, options, bases.config, host, scratch=FROM_SCRATCH)
        planned = locking.pinned(planned)
        check_allowed(planned, options)
        check_given(planned, given)
        donors = Donors(engine, () if options.no_cache else options.cache_from)
        for warning in (*_told(options, donors), *warnings, *planned.warnings):
            tell(Warned(warning))
        attesting = Attesting(options, dockerfile, planned, bases, opened.tree)
        executor = Executor(engine, opened.tree, bases, donors, options, tell, given)
        try:
            result = executor.run(planned)
        except Corrupt as error:
            raise locking.explained(error) from error
        locking.note_fetched(executor.fetched)
        locking.settle(dockerfile, planned, executor.results, tell)
        for mode in options.cache_to:
            if mode in MODES:
                tell(CacheKept(mode, _keys([result] if mode == "min" else executor.results.values())))
        base = _base(engine, bases, planned, references)
        if base is not None:
            attesting.attest(engine, base, executor, tell)
            locking.tell(tell)
            return base
        image = _created(engine, planned, result, references, inline=INLINE in options.cache_to)
        note_places(engine.store, image.id, planned, executor.results)
        attesting.attest(engine, image, executor, tell)
        locking.tell(tell)
        return image


def _settled(engine: "Engine", options: BuildOptions) -> tuple[BuildOptions, tuple[str, ...]]:
    """The options as they can be had, and what of them cannot; with the usual ones there is nothing to look at."""
    if options.steps == USUAL_STEPS:
        return options, ()
    steps, warnings = engine.settle_steps(options.steps)
    return msgspec.structs.replace(options, steps=steps), warnings


def _told(options: BuildOptions, donors: Donors) -> list[str]:
    """What is not done as it was asked for."""
    told = ["no registry is asked for newer base images yet: those that are here are used"] if options.pull else []
    return told + [f"no steps are taken from {name}: there is no such image here" for name in donors.missing]


def _base(engine: "Engine", bases: Bases, planned: Plan, references: list[str]) -> Image | None:
    """The base image itself, where the Dockerfile adds nothing to it."""
    action = planned.steps[-1].action
    if len(planned.steps) != 1 or not isinstance(action, UseImage):
        return None
    image = bases.image(action.reference)
    if planned.config != image.config.config:
        return None
    for reference in references:
        engine.catalogue.tag(image, reference)
    return engine.catalogue.get(image.id)


def _keys(results: Iterable[Result]) -> tuple[str, ...]:
    """The keys of all steps of these results, each once."""
    return tuple(dict.fromkeys(step.key for result in results for step in result.steps))


def _created(engine: "Engine", planned: Plan, result: Result, references: list[str], *, inline: bool) -> Image:
    config = result.as_image(planned.config, planned.platform, planned.author)
    if inline:
        config = msgspec.structs.replace(config, build_cache=result.steps)
    return engine.catalogue.create(config, [layer.descriptor for layer in result.layers], references)


def _nobody(event: Event) -> None:
    """Progress that nobody asked for."""
    del event
