"""Rules about FROM: names of stages, variables, platforms."""

from collections.abc import Iterator, Mapping

from kist.errors import InvalidInput, ParseError
from kist.spec.dockerfile.checks.quoting import quoted
from kist.spec.dockerfile.checks.rule import Found
from kist.spec.dockerfile.checks.subject import Subject, Variables, Written
from kist.spec.dockerfile.checks.suggesting import nearest
from kist.spec.dockerfile.instructions import From
from kist.spec.dockerfile.scope import GlobalScope, platform_arguments
from kist.spec.dockerfile.source import Word
from kist.spec.platform import Platform
from kist.spec.reference import Reference

_RESERVED = frozenset({"context", "scratch"})
_TARGET = "TARGETPLATFORM"


def duplicate_name(subject: Subject) -> Iterator[Found]:
    """Two stages of one name: only the later one can be meant."""
    seen: set[str] = set()
    for one, base in _froms(subject):
        if base.name in seen:
            yield one, f"Duplicate stage name {quoted(base.name)}, stage names should be unique"
        seen |= {base.name} - {""}


def reserved_name(subject: Subject) -> Iterator[Found]:
    """A stage of a name that means something else."""
    for one, base in _froms(subject):
        if base.name in _RESERVED:
            yield one, f"Stage name should not use the same name as reserved stage {quoted(base.name)}"


def undefined_argument(subject: Subject) -> Iterator[Found]:
    """``FROM $x`` without an ARG before the first FROM."""
    declared = {name.text for arg in subject.dockerfile.arguments for name, _ in arg.arguments}
    for one, base in _froms(subject):
        for word in filter(None, (base.image, base.platform)):
            variables = _expanded(subject, word, subject.globals.values)[1]
            for name in variables.missing:
                if name not in declared:
                    near = nearest(name, (*subject.globals.values, *declared))
                    meant = f" (did you mean {near}?)" if near else ""
                    yield one, f"FROM argument '{name}' is not declared{meant}", word.location


def other_platform(subject: Subject) -> Iterator[Found]:
    """A base that is for another platform than its stage."""
    for stage, (one, base) in zip(subject.stages, _froms(subject), strict=True):
        if stage.parent is not None:
            continue
        expected = subject.facts.platform
        if base.platform is not None:
            value = subject.expand(base.platform, subject.globals.values)
            try:
                expected = Platform.parse(value or "")
            except InvalidInput:
                continue  # the build itself tells of it
        found = subject.facts.platform_of(stage.base, expected)
        if found and (found.os, found.architecture) != (expected.os, expected.architecture):
            pulled = f"was pulled with platform {quoted(str(found))}, expected {quoted(str(expected))}"
            yield one, f"Base image {stage.base} {pulled} for current build", base.image.location


def redundant_platform(subject: Subject) -> Iterator[Found]:
    """``FROM --platform=$TARGETPLATFORM``."""
    for one, base in _froms(subject):
        if base.platform is None:
            continue
        value, variables = _expanded(subject, base.platform, subject.globals.values)
        is_alone = list(variables.used) == [_TARGET] and not variables.missing
        if is_alone and value == subject.globals.values[_TARGET]:
            message = f"Setting platform to predefined {base.platform.text} in FROM is redundant"
            yield one, f"{message} as this is the default behavior", base.platform.location


def constant_platform(subject: Subject) -> Iterator[Found]:
    """``FROM --platform=linux/amd64``, in a stage whose name does not say so."""
    for one, base in _froms(subject):
        if base.platform is None:
            continue
        value, variables = _expanded(subject, base.platform, subject.globals.values)
        if value is None or variables.used or variables.missing:
            continue
        try:
            platform = Platform.parse(value)
        except InvalidInput:
            continue  # the build itself tells of it
        if platform.os not in base.name and platform.architecture not in base.name:
            message = f"FROM --platform flag should not use constant value {quoted(value)}"
            yield one, message, base.platform.location


def invalid_default(subject: Subject) -> Iterator[Found]:
    """A FROM that is no name unless somebody gives a build argument."""
    facts = subject.facts
    predeclared = platform_arguments(facts.platform, facts.host, facts.target)
    try:
        defaults = GlobalScope(subject.dockerfile, {}, predeclared)
    except ParseError:
        return  # the build itself tells of it
    for one, base in _froms(subject):
        try:
            Reference.parse(defaults.expand(base.image))
        except ParseError:
            continue
        except InvalidInput:
            message = f"Default value for ARG {base.image.text} results in empty or invalid base image name"
            yield one, message, base.image.location


def _froms(subject: Subject) -> Iterator[tuple[Written, From]]:
    return ((one, one.instruction) for one in subject.of(From) if isinstance(one.instruction, From))


def _expanded(subject: Subject, word: Word, values: Mapping[str, str]) -> tuple[str | None, Variables]:
    variables = Variables(values)
    return subject.expand(word, variables), variables
