"""What an image tells of the steps that have made it: by their keys where its config has these, else by their words."""

from typing import NamedTuple

from kist.build.result import Result
from kist.spec.image import History, ImageConfig

_BUILDKIT = " # buildkit"
"""What BuildKit writes behind the words of a step that has a layer."""


class ImageStep(NamedTuple):
    """A step of an image.

    Attributes:
        created: when it was made (RFC 3339).
        layer: which of the image's layers it has made, from 0; None for none.
    """

    created: str
    layer: int | None


def step_of(config: ImageConfig, below: Result, key: str, words: str) -> ImageStep | None:
    """The step of an image that did on top of ``below`` what another is to do; None where it has none.

    Args:
        config: of the image.
        below: what the step stands on.
        key: of the step cache; an image that was built with ``--cache-to type=inline`` tells those of its steps.
        words: of the step's history, by which it is found in others; empty where they do not say it all.
    """
    diff_ids = config.rootfs.diff_ids
    depth = len(below.layers)
    if diff_ids[:depth] != tuple(layer.diff_id for layer in below.layers):
        return None
    step = _by_key(config, key, depth) or _by_words(config, below, words, depth)
    return step if step is None or step.layer is None or step.layer < len(diff_ids) else None


def _by_key(config: ImageConfig, key: str, depth: int) -> ImageStep | None:
    step = next((step for step in config.build_cache if step.key == key), None)
    # What was made on nothing (COPY --link) may be anywhere in the image.
    if step is None or (step.layer is not None and depth and step.layer != depth):
        return None
    return ImageStep(step.created, step.layer)


def _by_words(config: ImageConfig, below: Result, words: str, depth: int) -> ImageStep | None:
    steps, done = config.history, len(below.history)
    if not words or len(steps) <= done:
        return None
    if [_words(step) for step in steps[:done]] != [_words(step) for step in below.history]:
        return None
    step = steps[done]
    if step.created_by.removesuffix(_BUILDKIT) != words:
        return None
    return ImageStep(step.created, None if step.empty_layer else depth)


def _words(step: History) -> tuple[str, bool]:
    return step.created_by.removesuffix(_BUILDKIT), step.empty_layer
