"""A Dockerfile to the graph of steps that makes one of its stages. Pure, but for the look-up of images it is given."""

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from kist.build.plan import Action, CopyFiles, Plan, Scratch, Step, UseImage, UseStage
from kist.build.stage import StageBuilder
from kist.errors import InvalidInput, KistError, NotFound, ParseError
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import Dockerfile, Source, Stage, Word, parse_trigger
from kist.spec.dockerfile.scope import GlobalScope, platform_arguments, unused_build_args
from kist.spec.dockerfile.stages import find_target, number_of
from kist.spec.image import ContainerConfig, ImageConfig, RootFS
from kist.spec.platform import Platform

_EMPTY = ContainerConfig()
_DEEPEST = 100  # stages on stages; each costs a few frames of the interpreter's stack

Lookup = Callable[[str, Platform | None, bool], ImageConfig]
"""(name, platform that was asked for, whether no other will do) -> config; raises what ends the build."""
Contexts = Callable[[str, Platform], str | None]
"""(name, platform) -> the image that stands for it, ``TREE`` where files do, None where nothing does."""
Cannot = Callable[[Platform], str]
"""Why programs of a platform do not run here; empty where they do."""
TREE = ""


def _no_context(name: str, platform: Platform) -> str | None:
    del name, platform
    return None


def plan(
    dockerfile: Dockerfile,
    options: BuildOptions,
    lookup: Lookup,
    host: Platform,
    *,
    scratch: ContainerConfig = _EMPTY,
    contexts: Contexts = _no_context,
    cannot: Cannot | None = None,
) -> Plan:
    """The steps that make the stage which ``options`` names, and no others.

    Args:
        dockerfile: the whole file.
        options: target, build arguments and labels.
        lookup: finds images.
        host: this machine's platform.
        scratch: the container config that ``FROM scratch`` begins with.
        contexts: finds named contexts.
        cannot: knows whose programs do not run here; by default, those that are not this machine's.

    Raises:
        ParseError: points at an instruction that cannot be carried out.
        InvalidInput: there is no such target stage.
    """
    wanted = Platform.parse(options.platform) if options.platform else None
    cannot = cannot or (lambda platform: "" if platform.runs_on(host) else "this machine has another processor")
    planner = _Planner(
        dockerfile,
        options.build_args,
        lookup,
        host,
        wanted,
        scratch,
        options.target,
        contexts,
        cannot,
        options.contexts,
    )
    target = find_target(dockerfile, options.target)
    builder = planner.stage(target)
    config = builder.config
    if options.labels:
        config = msgspec.structs.replace(config, labels=(config.labels or {}) | options.labels)
    unused = unused_build_args(dockerfile, options.build_args)
    anew, unknown = _stages_anew(dockerfile, options.no_cache_filter)
    warnings = [f"one or more build-args [{', '.join(unused)}] were not consumed"] if unused else []
    return Plan(
        steps=tuple(_anew(step) if step.id.partition(".")[0] in anew else step for step in planner.ordered()),
        result=builder.last,
        config=config,
        platform=_result_platform(builder.platform, wanted),
        author=builder.author,
        warnings=(*dockerfile.warnings, *warnings, *unknown),
    )


def _result_platform(found: Platform, wanted: Platform | None) -> Platform:
    """A result is of the platform that it was built for, whatever it stands on, as with BuildKit."""
    return found if wanted is None or found.is_one_of(wanted) else wanted


def _stages_anew(dockerfile: Dockerfile, names: Sequence[str]) -> tuple[set[str], list[str]]:
    """The numbers of the stages that are not taken from the cache, and a warning for each name that none has."""
    found: set[str] = set()
    warnings = []
    for name in names:
        of_name = {str(each.index) for each in dockerfile.stages if name.lower() in {each.base.name, str(each.index)}}
        found |= of_name
        if not of_name:
            near = get_close_matches(name.lower(), [stage.name for stage in dockerfile.stages], n=1, cutoff=0.5)
            meant = f": did you mean {near[0]}?" if near else ""
            warnings.append(f"no stage is called {name}, of which nothing is to be taken from the cache{meant}")
    return found, warnings


def _anew(step: Step) -> Step:
    return msgspec.structs.replace(step, anew=True)


class _Planner:
    """Plans stages on demand; each once."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        build_args: Mapping[str, str],
        lookup: Lookup,
        host: Platform,
        wanted: Platform | None,
        scratch: ContainerConfig,
        target: str,
        contexts: Contexts,
        cannot: Cannot,
        named_contexts: Collection[str],
    ) -> None:
        self.named_contexts = named_contexts
        self.cannot = cannot
        self.contexts_of = contexts
        self.dockerfile = dockerfile
        self.lookup = lookup
        self.host = host
        self.wanted = wanted
        self.scratch = scratch
        self.globals = GlobalScope(dockerfile, build_args, platform_arguments(wanted or host, host, target))
        self.built: dict[int, StageBuilder] = {}
        self.under_way: list[int] = []
        self.images: dict[int, list[Step]] = {}

    def contexts(self, name: str, platform: Platform | None = None) -> str | None:
        """What stands for a name, of images the one for a platform, by default the build's."""
        return self.contexts_of(name, platform or self.wanted or self.host)

    def stage(self, stage: Stage, asked: Word | None = None, source: Source | None = None) -> StageBuilder:
        """The steps of a stage, made now or before; ``asked`` in ``source`` is what names it."""
        if stage.index not in self.built:
            if stage.index in self.under_way:
                circle = [*self.under_way[self.under_way.index(stage.index) :], stage.index]
                way = " → ".join(self.dockerfile.stages[number].name for number in circle)
                message = f'circular dependency detected on stage "{stage.name}"'
                place = (asked or stage.base.image).location
                raise (source or self.dockerfile.source).error(place, message, hint=f"each needs the next: {way}")
            if len(self.under_way) == _DEEPEST:
                raise self.error(stage.base.image, f"more than {_DEEPEST} stages stand on one another")
            self.under_way.append(stage.index)
            self.built[stage.index] = self.plan_stage(stage)
            self.under_way.pop()
        return self.built[stage.index]

    def plan_stage(self, stage: Stage) -> StageBuilder:
        name = self.globals.expand(stage.base.image)
        replaced = self.contexts(stage.base.name, self.platform(stage)) if stage.base.name else None
        if replaced is not None:
            return self.plan_context(stage, stage.base.name, replaced)
        if (
            name != "scratch"
            and self.find(name, stage.index) is None
            and self.contexts(name, self.platform(stage)) == TREE
        ):
            builder = self.plan_context(stage, name, TREE)
            for instruction in stage.instructions:
                builder.instruct(instruction, self.dockerfile.source)
            return builder
        action, image, base = self.base(stage)
        triggers = [Source.of(f"ONBUILD {text}", f"trigger of {name}") for text in image.config.on_build or ()]
        config = msgspec.structs.replace(image.config, on_build=None)
        builder = self.builder(stage, image, config, base)
        builder.add(stage.base, action, requires=(base.last,) if base else ())
        for source in triggers:
            builder.instruct(parse_trigger(source), source)
        for instruction in stage.instructions:
            builder.instruct(instruction, self.dockerfile.source)
        return builder

    def plan_context(self, stage: Stage, name: str, image: str) -> StageBuilder:
        """A stage that is what stands for a name, an image or files, and begins with it."""
        platform = self.platform(stage)
        if image in {TREE, "scratch"}:
            action, config = self.scratch_base(platform)
        else:
            action, config = self.use(image, platform), self.lookup(image, platform, True)
        builder = self.builder(stage, config, config.config)
        builder.add(stage.base, action)
        if image == TREE:
            builder.add(stage.base, _whole(name), created_by=f"COPY --from={name} . /")
        return builder

    def builder(
        self, stage: Stage, image: ImageConfig, config: ContainerConfig, below: StageBuilder | None = None
    ) -> StageBuilder:
        """What collects the steps of a stage."""
        made = StageBuilder(
            stage,
            self.globals,
            image,
            config,
            origin=lambda word: self.origin(stage, word, made.source),
            cannot=self.cannot,
            below=below,
        )
        return made

    def use(self, name: str, platform: Platform | None) -> UseImage:
        """Begin with an image."""
        return UseImage(name, str(platform or ""))

    def scratch_base(self, platform: Platform | None) -> tuple[Action, ImageConfig]:
        """``FROM scratch``."""
        chosen = platform or self.host
        empty = ImageConfig(
            architecture=chosen.architecture,
            os=chosen.os,
            variant=chosen.variant,
            rootfs=RootFS(),
            config=self.scratch,
        )
        return Scratch(), empty

    def base(self, stage: Stage) -> tuple[Action, ImageConfig, StageBuilder | None]:
        """What a stage begins with: the action, the config to build on, the stage it stands on if it is one."""
        name = self.globals.expand(stage.base.image)
        if not name:
            raise self.error(stage.base.image, f"base name ({stage.base.image.text}) should not be blank")
        platform = self.platform(stage)
        if name == "scratch":
            return *self.scratch_base(platform), None
        earlier = self.find(name, stage.index)
        if earlier is not None:
            below = self.stage(earlier)
            return UseStage(), below.image_config, below
        name = self.contexts(name, platform) or name
        if name == "scratch":
            return *self.scratch_base(platform), None
        try:
            return self.use(name, platform), self.lookup(name, platform, True), None
        except NotFound as error:
            before = self.dockerfile.stages[: stage.index]
            raise self.almost(stage.base.image, name, self.dockerfile.source, before, error) from None

    def platform(self, stage: Stage) -> Platform | None:
        """What FROM asks for, else what the build does."""
        word = stage.base.platform
        if word is None:
            return self.wanted
        try:
            return Platform.parse(self.globals.expand(word))
        except ParseError:
            raise
        except InvalidInput as error:
            raise self.error(word, error.message, error.hint) from error

    def find(self, name: str, before: int) -> Stage | None:
        named = [stage for stage in self.dockerfile.stages[:before] if stage.base.name == name.lower()]
        return named[-1] if named else None

    def origin(self, stage: Stage, word: Word, source: Source) -> str:
        """The id of the step that ``--from`` names: of a stage, by name or number, or of an image."""
        name = word.text
        stages = self.dockerfile.stages
        number = number_of(name)
        if number is not None:
            if number >= len(stages):
                message = f"invalid from flag value {name}: there are {len(stages)} stages, from 0"
                raise source.error(word.location, message)
            return self.stage(stages[number], word, source).last
        found = self.find(name, len(stages))
        if found is not None:
            return self.stage(found, word, source).last
        image = self.contexts(name)
        if image == TREE:
            empty = Step(id=f"context {name} empty", title="FROM scratch", action=Scratch(), place=self.place(word))
            step = Step(f"context {name}", f"[context {name}]", _whole(name), self.place(word), requires=(empty.id,))
            self.images.setdefault(stage.index, []).extend((empty, step))
            return step.id
        name = image or name
        if "$" in name:
            message = f"invalid from flag value {name}: no variables are replaced in it"
            raise source.error(word.location, message, hint="name the image in a stage: FROM $IMAGE AS name")
        try:
            self.lookup(name, self.wanted, False)
        except NotFound as error:
            raise self.almost(word, name, source, [each for each in stages if each is not stage], error) from None
        step = Step(
            id=f"image {name}", title=f"FROM {name}", action=self.use(name, self.wanted), place=self.place(word)
        )
        self.images.setdefault(stage.index, []).append(step)
        return step.id

    def almost(self, word: Word, name: str, source: Source, possible: Sequence[Stage], error: NotFound) -> KistError:
        """What to raise where there is no such image: one of the stages that can stand there may have been meant."""
        names = [*(stage.base.name for stage in possible if stage.base.name), *self.named_contexts]
        near = get_close_matches(name.lower(), names, n=1, cutoff=0.7)
        if not near:
            hint = error.hint
            others = (stage for stage in self.dockerfile.stages if stage not in possible)
            if later := [stage for stage in others if stage.base.name == name.lower()]:
                line = later[0].base.location.line
                hint = f'a stage stands on one before it, and "{later[0].name}" begins in line {line}'
            return NotFound(str(source.error(word.location, error.message)), hint=hint)
        what = "neither a stage nor an image" if not self.named_contexts else "no stage, no image and no context"
        message = f'{what} is called "{name}"'
        return source.error(word.location, message, hint=f"did you mean {near[0]}?")

    def ordered(self) -> tuple[Step, ...]:
        """All steps, stages as in the file except where one needs a later one."""
        found: dict[str, Step] = {}
        stage_of = {step.id: index for index, builder in self.built.items() for step in builder.steps}

        def emit(index: int) -> None:
            for step in (*self.images.get(index, ()), *self.built[index].steps):
                for required in step.requires:
                    if required not in found and stage_of.get(required, index) != index:
                        emit(stage_of[required])
                found.setdefault(step.id, step)

        for index in sorted(self.built):
            emit(index)
        return tuple(found.values())

    def place(self, word: Word) -> str:
        return f"{self.dockerfile.source.name}:{word.location.line}"

    def error(self, word: Word, message: str, hint: str = "") -> ParseError:
        return self.dockerfile.source.error(word.location, message, hint=hint)


def _whole(context: str) -> CopyFiles:
    """All files of a named context."""
    return CopyFiles(sources=(".",), destination="/", into_directory=True, context=context)
