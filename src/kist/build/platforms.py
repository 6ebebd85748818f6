"""Builds for several platforms at once: one plan for each, and all of them side by side in one graph."""

from collections.abc import Mapping, Sequence

import msgspec

from kist.build.builder_arguments import MULTI_PLATFORM, is_set
from kist.build.plan import Action, CopyFiles, Plan, Run, Step
from kist.build.result import Result
from kist.build.run_mount import BindMount, CacheMount, Mounted
from kist.errors import InvalidInput, Unsupported
from kist.spec.build import BuildOptions
from kist.spec.outputs import annotations
from kist.spec.platform import Platform


def is_index(options: BuildOptions) -> bool:
    """Whether the result is an index, with an image for each platform in it."""
    return len(options.platforms) > 1 or is_set(options.build_args, MULTI_PLATFORM)


def check_platforms(options: BuildOptions) -> None:
    """Refuse what there cannot be of several images, or of one, before anything is built.

    Raises:
        InvalidInput, Unsupported: an output or an option does not go with it.
    """
    several = is_index(options)
    for output in options.outputs:
        for note in annotations(output.attributes):
            if not several and (note.kind.startswith("index") or note.platform):
                what = "choice of platforms" if note.platform else "index"
                raise InvalidInput(
                    f"there is no {what} to annotate: the result is one image for one platform",
                    hint="build for several: --platform A,B",
                )
        if several and output.type == "docker" and output.sends_data:
            raise Unsupported(
                "an output of type docker is one image, and this build is for several platforms",
                hint="-o type=oci writes an index of them",
            )
        if several and output.attributes.get("platform-split", "").lower() in {"false", "0", "f"}:
            raise Unsupported(
                "platform-split=false is not supported: files of several platforms have the same names",
                hint="leave it out: each platform has a directory of its own",
            )
    if several and options.verify:
        raise Unsupported("--verify builds one platform twice", hint="verify each platform in a build of its own")


def of_each(options: BuildOptions) -> tuple[BuildOptions, ...]:
    """The options of the build for each platform; those of the one build where none is named."""
    return tuple(msgspec.structs.replace(options, platform=platform) for platform in options.platforms or ("",))


def side_by_side(plans: Sequence[Plan]) -> tuple[Plan, ...]:
    """The plans with ids that tell them apart, and titles that say which is whose; one alone stays as it is."""
    return tuple(plans) if len(plans) == 1 else tuple(map(_apart, plans))


def results_of(plan: Plan, number: int, run: Sequence[Plan], results: Mapping[str, Result]) -> Mapping[str, Result]:
    """What the steps of a plan made, by their own ids.

    Args:
        plan: as it was planned.
        number: of its platform.
        run: what ``side_by_side`` has made of all plans.
        results: of these.
    """
    if len(run) == 1:
        return results
    return {
        own.id: results[apart.id]
        for own, apart in zip(plan.steps, run[number].steps, strict=True)
        if apart.id in results
    }


def named_one(plans: Sequence[Plan], host: Platform) -> int:
    """Which of the images has the names: that for this machine, else the first; the others have them for theirs."""
    return next((number for number, plan in enumerate(plans) if plan.platform.runs_on(host)), 0)


def _apart(plan: Plan) -> Plan:
    def name(step_id: str) -> str:
        return f"{plan.platform} {step_id}" if step_id else ""

    def mount(one: Mounted) -> Mounted:
        return msgspec.structs.replace(one, origin=name(one.origin)) if isinstance(one, BindMount | CacheMount) else one

    def action(one: Action) -> Action:
        if isinstance(one, CopyFiles):
            return msgspec.structs.replace(one, origin=name(one.origin))
        if isinstance(one, Run):
            return msgspec.structs.replace(one, mounts=tuple(map(mount, one.mounts)))
        return one

    def moved(step: Step) -> Step:
        return msgspec.structs.replace(
            step,
            id=name(step.id),
            title=f"[{plan.platform}] {step.title}",
            action=action(step.action),
            requires=tuple(map(name, step.requires)),
        )

    return msgspec.structs.replace(plan, steps=tuple(map(moved, plan.steps)), result=name(plan.result))
