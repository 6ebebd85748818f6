"""The steps of a build's cache as they travel: a list of what each step made, which is the config of an artifact.

Its manifest has the config (``application/vnd.kist.build.cache.v1+json``) and the layers that the steps have made.
Layers of base images are not in it: a step is found by what it stands on, so who takes the cache has the base. Keys are
by content, so a list of steps from somewhere else says nothing that is wrong here, as long as whoever has written it is
trusted to have built what it says.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from kist.build.cache import Made, StepCache
from kist.spec.image import Descriptor

if TYPE_CHECKING:
    from kist.engine.engine import Engine

STEPS = "application/vnd.kist.build.cache.v1+json"
LARGEST = 64 << 20
"""Bytes of a list of steps, at most."""


class Step(msgspec.Struct, frozen=True):
    """A step by its key, and what it has made."""

    key: str
    made: Made


class Steps(msgspec.Struct, frozen=True):
    """The config of the artifact."""

    steps: tuple[Step, ...]


def steps_of(engine: "Engine", keys: Sequence[str]) -> Steps:
    """The steps of these keys but those that the cache has lost; sorted, so that the same ones are the same bytes."""
    cache = StepCache(engine)
    return Steps(tuple(Step(key, made) for key in sorted(set(keys)) if (made := cache.recorded(key)) is not None))


def layers_of(steps: Steps) -> tuple[Descriptor, ...]:
    """The layers that these have made, each once."""
    layers = {step.made.layer.descriptor.digest: step.made.layer.descriptor for step in steps.steps if step.made.layer}
    return tuple(layers.values())
