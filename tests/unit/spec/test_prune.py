"""How much of the build cache a clean-up leaves."""

import pytest

from kist.spec.docker.prune import read_cache_pruning, write_cache_pruning
from kist.spec.prune import CachePruning

FREE = 1000


@pytest.mark.parametrize(
    ("asked", "used", "left"),
    [
        (CachePruning(), 500, 0),
        (CachePruning(keep=100), 500, 100),
        (CachePruning(most=300), 500, 300),
        (CachePruning(most=300), 200, 200),
        (CachePruning(most=300, keep=400), 500, 400),
        (CachePruning(least_free=FREE), 500, 500),
        (CachePruning(least_free=FREE + 200), 500, 300),
        (CachePruning(least_free=FREE + 900), 500, 0),
        (CachePruning(least_free=FREE + 900, keep=50), 500, 50),
        (CachePruning(least_free=FREE + 200, most=100), 500, 100),
        (CachePruning(least_free=FREE + 450, most=100), 500, 50),
    ],
)
def test_what_a_clean_up_leaves(asked: CachePruning, used: int, left: int) -> None:
    assert asked.leaves(used, FREE) == left


@pytest.mark.parametrize(
    "pruning",
    [
        CachePruning(),
        CachePruning(True, 5_000_000_000, 1, 2, 3, ("a", "b"), ("regular",), ("p",), ("build",), shared=True),
        CachePruning(shared=False),
    ],
)
def test_a_clean_up_survives_the_way_through_the_query(pruning: CachePruning) -> None:
    query = {name: value for name, value in write_cache_pruning(pruning) if value is not None}
    sizes = [int(query.get(name, 0)) for name in ("reserved-space", "max-used-space", "min-free-space")]
    every = bool(query["all"])
    read = read_cache_pruning(str(query["filters"]), 0, every=every, keep=sizes[0], most=sizes[1], least_free=sizes[2])
    assert read == pruning
