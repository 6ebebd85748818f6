"""Which step of an image is taken for one of a build."""

import pytest

from kist.build.image_steps import ImageStep, step_of
from kist.build.result import EMPTY, Result
from kist.spec.digest import Digest
from kist.spec.image import OCI_LAYER, CachedStep, Descriptor, History, ImageConfig, Layer, RootFS

BASE, RUN, COPY, OTHER = (Digest.of(text) for text in (b"base", b"run", b"copy", b"other"))
HISTORY = (
    History("2026-01-01T00:00:00Z", "base"),
    History("2026-01-02T00:00:00Z", "RUN /bin/sh -c make # buildkit"),
    History("2026-01-02T00:00:00Z", "ENV a=b", empty_layer=True),
    History("2026-01-03T00:00:00Z", "WORKDIR /there", empty_layer=True),
    History("2026-01-04T00:00:00Z", "COPY --link a /a # buildkit"),
)
KEYS = (CachedStep("build:run", "2026-01-02T00:00:00Z", 1), CachedStep("build:dir", "2026-01-03T00:00:00Z"))
LINK = CachedStep("build:link", "2026-01-04T00:00:00Z", 2)
WRONG = CachedStep("build:wrong", "", 7)
IMAGE = ImageConfig("amd64", "linux", RootFS((BASE, RUN, COPY)), history=HISTORY, build_cache=(*KEYS, LINK, WRONG))


def below(*diff_ids: Digest, history: int = 0) -> Result:
    """A result of these layers with so many entries of the history, without what BuildKit writes behind them."""
    result = EMPTY
    for diff_id in diff_ids:
        layer = result.under(Layer(Descriptor(OCI_LAYER, diff_id, 1), diff_id, diff_id))
        result = Result(layer.chain_id, layer.chain_id, (*result.layers, layer))
    words = (History("", step.created_by.split(" #")[0], empty_layer=step.empty_layer) for step in HISTORY[:history])
    return Result(result.identity, result.chain, result.layers, tuple(words))


@pytest.mark.parametrize(
    ("stands_on", "key", "words", "expected"),
    [
        (below(BASE), "build:run", "", ImageStep("2026-01-02T00:00:00Z", 1)),
        (below(BASE), "build:another", "", None),
        (below(OTHER), "build:run", "", None),  # other layers below
        (below(BASE, RUN), "build:run", "", None),  # made on fewer layers
        (below(BASE, RUN), "build:dir", "", ImageStep("2026-01-03T00:00:00Z", None)),
        (below(), "build:link", "", ImageStep("2026-01-04T00:00:00Z", 2)),  # made on nothing: may be anywhere
        (below(), "build:wrong", "", None),  # the image has no such layer
        (below(BASE, history=1), "", "RUN /bin/sh -c make", ImageStep("2026-01-02T00:00:00Z", 1)),
        (below(BASE, history=1), "", "RUN /bin/sh -c make all", None),
        (below(BASE, history=1), "", "", None),  # words that do not say it all
        (below(BASE), "", "RUN /bin/sh -c make", None),  # another history
        (below(BASE, RUN, history=3), "", "WORKDIR /there", ImageStep("2026-01-03T00:00:00Z", None)),
        (below(BASE, RUN, COPY, history=5), "", "RUN true", None),  # the image ends
        (below(BASE, RUN, COPY, OTHER), "build:run", "RUN true", None),
    ],
)
def test_the_step_of_an_image(stands_on: Result, key: str, words: str, expected: ImageStep | None) -> None:
    assert step_of(IMAGE, stands_on, key, words) == expected
