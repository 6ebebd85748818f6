"""A Dockerfile's text to its stages."""

from kist.spec.dockerfile.arguments import parse_instruction
from kist.spec.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    From,
    Healthcheck,
    Instruction,
    Onbuild,
    Run,
    Stage,
)
from kist.spec.dockerfile.reading import directives, logical_lines
from kist.spec.dockerfile.source import Location, Source
from kist.spec.dockerfile.words import cut, looks_like_json

_OWN_SYNTAXES = frozenset({"docker/dockerfile", "docker/dockerfile-upstream"})


def parse(text: str | bytes, name: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile.

    Args:
        text: the file; bytes are UTF-8, and bytes that are not are allowed in comments only.
        name: what messages call it.

    Raises:
        ParseError: points at the mistake.
        Unsupported: points at what Kist does not do yet.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    source = Source.of(text, name)
    given, length = directives(source)
    found = [parse_instruction(cut(line)) for line in logical_lines(source, given.escape, length)]
    if not found:
        raise source.error(
            Location(1, 1), "file with no instructions: expected FROM", hint="the smallest Dockerfile: FROM debian:12"
        )
    first = next((at for at, one in enumerate(found) if not isinstance(one, Arg)), len(found))
    if first == len(found):
        raise source.error(found[-1].location, "no build stage: expected FROM after the ARGs")
    if not isinstance(found[first], From):
        raise source.error(
            found[first].location, f"expected FROM before {found[first].keyword}", hint="a Dockerfile begins with FROM"
        )
    arguments = tuple(one for one in found[:first] if isinstance(one, Arg))
    warnings = (*_syntax_warning(source, given.syntax), *_warnings(source, found))
    return Dockerfile(source, given, arguments, _stages(found[first:]), warnings)


def parse_trigger(source: Source) -> Instruction:
    """Read one instruction that an image's config keeps for its children; ``source`` is ``ONBUILD`` and its text.

    Raises:
        ParseError: it is not exactly one instruction that may be a trigger.
    """
    found = [parse_instruction(cut(line)) for line in logical_lines(source)]
    if len(found) != 1 or not isinstance(found[0], Onbuild):
        raise source.error(Location(1, 1), "expected exactly one instruction as a trigger")
    return found[0].instruction


def _stages(found: list[Instruction]) -> tuple[Stage, ...]:
    starts = [at for at, one in enumerate(found) if isinstance(one, From)]
    stages = []
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(found)], strict=True)):
        base = found[start]
        assert isinstance(base, From)
        stages.append(Stage(index, base, tuple(found[start + 1 : end])))
    return tuple(stages)


def is_own_syntax(name: str) -> bool:
    """Whether a syntax is Docker's own, of whatever version."""
    return name.partition("@")[0].partition(":")[0].removeprefix("docker.io/") in _OWN_SYNTAXES


def _syntax_warning(source: Source, syntax: str) -> tuple[str, ...]:
    """A syntax of somebody else's is not had; Docker's own, of whatever version, is the one that is read here."""
    if not syntax or is_own_syntax(syntax):
        return ()
    return (f"{source.name}: # syntax={syntax} is not used: it is read as a Dockerfile of docker/dockerfile:1",)


def _warnings(source: Source, found: list[Instruction]) -> tuple[str, ...]:
    """Commands that look like the exec form and are not, which Docker hands to the shell without a word."""
    return tuple(
        f"{source.name}:{one.location.line}: {one.keyword} looks like the exec form but is no JSON array (strings need "
        "double quotes), so it is read as plain text"
        for one in found
        if isinstance(one, Run | Cmd | Entrypoint | Healthcheck | Copy | Add) and _almost_json(one)
    )


def _almost_json(instruction: Instruction) -> bool:
    _, _, rest = instruction.text.partition(" ")
    return looks_like_json(rest)
