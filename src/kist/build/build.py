"""A build from its start to its image."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from kist.build.attesting import Attesting
from kist.build.bases import Bases
from kist.build.builder_arguments import with_builder_arguments
from kist.build.checking import Checking
from kist.build.context import Context
from kist.build.contexts import NamedContexts
from kist.build.delivery import Built, Deliverable, annotations_of_kept, deliver, has_annotations, is_kept
from kist.build.donors import Donors
from kist.build.entitlements import check_allowed
from kist.build.epoch import clamped, told, warnings_of, with_epoch
from kist.build.executor import Executor
from kist.build.locking import Locking
from kist.build.places import note_places
from kist.build.plan import Plan, Run, Scratch, UseImage
from kist.build.planner import plan
from kist.build.platforms import check_platforms, is_index, named_one, of_each, results_of, side_by_side
from kist.build.recent import Recent, key_of
from kist.build.result import EMPTY, Result
from kist.build.run_mounts import check_given
from kist.build.sending import Made
from kist.build.squash import squash
from kist.build.stat_cache import StatCache
from kist.build.verifying import build_again
from kist.engine.emulation import why_not
from kist.errors import Corrupt, InvalidInput, KistError
from kist.spec.build import USUAL_STEPS, BuildOptions, BuildOutput
from kist.spec.build_cache import INLINE, MODES, read_targets
from kist.spec.credentials import NO_LOGINS, Logins
from kist.spec.dockerfile import Dockerfile
from kist.spec.image import ContainerConfig, Documents, documents
from kist.spec.interface import Progress
from kist.spec.lockname import lock_path
from kist.spec.outputs import IMAGE
from kist.spec.platform import Platform
from kist.spec.progress import CacheKept, Event, Warned
from kist.spec.provision import NOTHING, Provision
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

FROM_SCRATCH = ContainerConfig(env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",))
"""What Docker's builders give an image from scratch."""

_PLANS = Recent[Plan]()


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
        KistError: as ``carry_out``.
    """
    return carry_out(engine, context, options, progress, given).image


def carry_out(
    engine: "Engine",
    context: str,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    given: Provision = NOTHING,
    logins: Logins = NO_LOGINS,
    moment: int | None = None,
    known: StatCache | None = None,
) -> Built:
    """As ``build``, with what there is to know of the result; ``progress`` gets the data of outputs too.

    Args:
        engine: as for ``build``, and what follows, too.
        context: the directory.
        options: what to build.
        progress: told of it.
        given: the caller's.
        logins: of the caller, for caches in registries.
        moment: of the context (seconds since the epoch), which ``SOURCE_DATE_EPOCH=context`` takes; None for none.
        known: digests of the context's files, where there are some already.

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
    for output in (*options.outputs, BuildOutput(IMAGE)):
        options.names_of(output)  # an invalid one ends the build before anything is done
    check_platforms(options)
    began = datetime.now(UTC)
    options, warnings = _settled(engine, options)
    lock = lock_path(options.dockerfile)
    with (
        engine.store.writing(),
        Context(context, engine.store, options.dockerfile, hidden=lock, known=known) as opened,
        NamedContexts(engine, options.contexts, given) as named,
        Donors(engine, () if options.no_cache else options.cache_from) as donors,
    ):
        host = Platform.of_machine(os.uname().machine)
        text = None if options.lock == "none" else opened.text(lock)
        locking = Locking(engine, text, lock, options.lock, options.platforms or (str(host),))
        bases = Bases(engine, host, locking)
        dockerfile = opened.dockerfile()
        options, told_of_arguments = with_builder_arguments(options, dockerfile)
        options, epoch = with_epoch(options, dockerfile, moment)
        each = of_each(options)
        keys = [key_of(dockerfile.source, one, host) for one in each]
        plans = [_planned(dockerfile, one, key, bases, named, host) for one, key in zip(each, keys, strict=True)]
        plans = [_settled_plan(locking.pinned(one), options, given, epoch) for one in plans]
        planned = plans[0]
        warnings = (*warnings, *told_of_arguments, *_network(engine, options, planned))
        for warning in (*_told(options, donors), *warnings, *planned.warnings, *warnings_of(epoch)):
            tell(Warned(warning))
        checking = Checking(dockerfile, each[0], planned, bases, opened.ignore, host, keys[0])
        checking.forbid(tell)
        _ask_registries(engine, donors, options, logins, tell)
        executor_of = partial(Executor, engine, opened.tree, bases, given=given, contexts=named, epoch=epoch)
        executor = executor_of(donors=donors, options=options, progress=tell)
        try:
            run = side_by_side(plans)
            results = executor.run(*run)
        except Corrupt as error:
            raise locking.explained(error) from error
        except KistError:
            checking.tell(tell)
            raise
        locking.note_fetched(executor.fetched)
        made = [results_of(plan, number, run, executor.results) for number, plan in enumerate(plans)]
        locking.settle(dockerfile, plans, made, tell)
        for warning in donors.lost:
            tell(Warned(warning))
        for mode in sorted({*options.cache_to} & {*MODES}):
            tell(CacheKept(mode, _keys(results if mode == "min" else executor.results.values())))
        if options.verify:
            anew = partial(_anew, executor_of, Donors(engine, ()), options, planned)
            build_again(engine.store, planned, executor.results, anew, tell)
        images = [_deliverable(engine, bases, *of_one, options, epoch) for of_one in zip(plans, results, strict=True)]
        several = is_index(options)
        built = deliver(engine, images, named_one(plans, host), options, tell, several=several, epoch=epoch)
        for number, image in enumerate(built.images if built.kept else ()):
            own = made[number]
            if not options.squash:  # whose one layer is of many lines
                note_places(engine.store, image.id, plans[number], own)
            Attesting(options, dockerfile, plans[number], bases, opened.tree, began).attest(
                engine, image, own, executor.fetched, tell
            )
        _bring_to_registries(engine, options, results, executor.results.values(), logins, tell)
        locking.tell(tell)
        checking.tell(tell)
        return built


def _anew(
    executor_of: Callable[..., Executor], none: Donors, options: BuildOptions, planned: Plan, progress: Progress
) -> Mapping[str, Result]:
    """What each step makes when nothing is taken from a cache; nothing is kept of it."""
    options = msgspec.structs.replace(options, no_cache=True)
    second = executor_of(donors=none, options=options, progress=progress, keep=False)
    second.run(planned)
    return second.results


def _ask_registries(engine: "Engine", donors: Donors, options: BuildOptions, logins: Logins, tell: Progress) -> None:
    """Have those asked that have caches; those that are to get one are looked at before anything is done for them."""
    if targets := read_targets(options.cache_to):
        from kist.build.registry_caches import check_target  # noqa: PLC0415 - TLS, for who asks for it

        for target in targets:
            check_target(engine, target)
    donors.open_remotes(logins, tell)


def _bring_to_registries(
    engine: "Engine",
    options: BuildOptions,
    images: Iterable[Result],
    every: Iterable[Result],
    logins: Logins,
    tell: Progress,
) -> None:
    """Write the steps of the images, or every step, to registries."""
    if targets := read_targets(options.cache_to):
        from kist.build.registry_caches import write  # noqa: PLC0415 - TLS, for who asks for it

        for target in targets:
            try:
                write(engine, _keys(images if target.mode == "min" else every), target, logins, tell)
            except KistError as error:
                if not target.ignore_error:
                    raise
                tell(Warned(error.message))


def _planned(
    dockerfile: Dockerfile, options: BuildOptions, key: bytes, bases: Bases, named: NamedContexts, host: Platform
) -> Plan:
    """The plan for one platform; ``key`` is of all that it follows from but images and contexts."""
    return _PLANS.get(
        key,
        (bases.config, named.find, lambda platform: why_not(platform, host)),
        lambda lookup, contexts, cannot: plan(
            dockerfile, options, lookup, host, scratch=FROM_SCRATCH, contexts=contexts, cannot=cannot
        ),
    )


def _settled_plan(planned: Plan, options: BuildOptions, given: Provision, epoch: int | None) -> Plan:
    """The plan as it is carried out, once it may be."""
    check_allowed(planned, options)
    check_given(planned, given)
    return planned if epoch is None else told(planned, epoch)


def _deliverable(
    engine: "Engine", bases: Bases, planned: Plan, result: Result, options: BuildOptions, epoch: int | None
) -> Deliverable:
    """The image of a result."""
    base = _base(bases, planned)
    if base is not None:
        if options.annotations or any(map(has_annotations, options.outputs)):
            raise InvalidInput(
                "annotations of an image that is nothing but its base would be the base's own",
                hint="add something to it: a LABEL, or --label",
            )
        made = Documents(engine.store.blobs.read(base.id), engine.store.blobs.read(base.manifest))
        every = len(base.config.rootfs.diff_ids)
        return Deliverable(Made(made, base.config, every), partial(_named, engine, base))
    if options.squash:
        result = squash(engine, result, _start(bases, planned), epoch)
    config = clamped(result.as_image(planned.config, planned.platform, planned.author), epoch)
    if INLINE in options.cache_to:
        config = msgspec.structs.replace(config, build_cache=result.steps)
    layers = [layer.descriptor for layer in result.layers]
    made = documents(config, layers, options.annotations)
    repacks = any("compression" in output.attributes for output in options.outputs)
    found = Made(made, config, len(_start(bases, planned).layers) if repacks else 0)
    kept = {**options.annotations, **annotations_of_kept(options, found)}
    return Deliverable(found, partial(engine.catalogue.create, config, layers, annotations=kept))


def _settled(engine: "Engine", options: BuildOptions) -> tuple[BuildOptions, tuple[str, ...]]:
    """The options as they can be had, and what of them cannot; with the usual ones there is nothing to look at."""
    if options.steps == USUAL_STEPS:
        return options, ()
    steps, warnings = engine.settle_steps(options.steps)
    return msgspec.structs.replace(options, steps=steps), warnings


def _network(engine: "Engine", options: BuildOptions, planned: Plan) -> tuple[str, ...]:
    """What commands that asked for nothing have in another way here: an ordinary user's network, mostly."""
    if options.steps != USUAL_STEPS or not any(isinstance(step.action, Run) for step in planned.steps):
        return ()
    return tuple(f"RUN: {warning}" for warning in engine.settle_steps(options.steps)[1])


def _told(options: BuildOptions, donors: Donors) -> list[str]:
    """What is not done as it was asked for."""
    told = ["no registry is asked for newer base images yet: those that are here are used"] if options.pull else []
    if (options.sbom or options.provenance) and not is_kept(options):
        told.append("nothing is attached to an image that is not kept: add -o type=image")
    return told + [f"no steps are taken from {name}: there is no such image here" for name in donors.missing]


def _start(bases: Bases, planned: Plan) -> Result:
    """What the plan's last stage begins with."""
    steps = {step.id: step for step in planned.steps}
    step = steps[planned.result]
    while not isinstance(step.action, UseImage | Scratch):
        step = steps[step.requires[0]]
    action = step.action
    return bases.result(action.reference, action.platform) if isinstance(action, UseImage) else EMPTY


def _base(bases: Bases, planned: Plan) -> Image | None:
    """The base image itself, where the Dockerfile adds nothing to it."""
    action = planned.steps[-1].action
    if len(planned.steps) != 1 or not isinstance(action, UseImage):
        return None
    image = bases.image(action.reference, action.platform)
    same = planned.config == image.config.config and planned.platform == image.config.platform
    return image if same else None


def _named(engine: "Engine", image: Image, references: Sequence[str]) -> Image:
    for reference in references:
        engine.catalogue.tag(image, reference)
    return engine.catalogue.get(image.id)


def _keys(results: Iterable[Result]) -> tuple[str, ...]:
    """The keys of all steps of these results, each once."""
    return tuple(dict.fromkeys(step.key for result in results for step in result.steps))


def _nobody(event: Event) -> None:
    """Progress that nobody asked for."""
    del event
