"""A rule: its name, what it asks for, and the function that looks."""

from collections.abc import Callable, Iterator

import msgspec

from kist.spec.dockerfile.checks.subject import Subject, Written
from kist.spec.dockerfile.source import Location

Found = tuple[Written, str] | tuple[Written, str, Location]
"""An instruction, what is to be said of it, and the place in it that is meant, where that is not its begin."""


class Rule(msgspec.Struct, frozen=True):
    """One rule.

    Attributes:
        name: BuildKit's, or ours.
        description: what it asks for.
        look: tells what breaks it.
        experimental: it counts only where it is asked for.
        own: BuildKit has none like it; a plain build does not tell it.
        everywhere: a build tells it of stages that it does not make, too.
    """

    name: str
    description: str
    look: Callable[[Subject], Iterator[Found]]
    experimental: bool = False
    own: bool = False
    everywhere: bool = False
