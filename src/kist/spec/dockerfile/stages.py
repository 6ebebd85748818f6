"""Stages by their names and numbers."""

from difflib import get_close_matches

from kist.errors import InvalidInput
from kist.spec.dockerfile.instructions import Dockerfile, Stage


def find_target(dockerfile: Dockerfile, target: str) -> Stage:
    """The stage of this name or number; the last one for an empty ``target``."""
    stages = dockerfile.stages
    if not target:
        return stages[-1]
    named = [stage for stage in stages if stage.base.name == target.lower()]
    if named:
        return named[-1]
    number = number_of(target)
    if number is not None and number < len(stages):
        return stages[number]
    names = [stage.name for stage in stages]
    near = get_close_matches(target.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"its stages are {', '.join(names)}"
    raise InvalidInput(f'target stage "{target}" could not be found in {dockerfile.source.name}', hint=hint)


def number_of(text: str) -> int | None:
    """The number of a stage, None where the text is a name."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
