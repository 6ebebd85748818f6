"""When the monitor looks at a container's memory."""

import pytest

from kist.runtime.memory_watch import next_look, too_much

GIB = 1 << 30


@pytest.mark.parametrize(
    ("room", "taken", "seconds"),
    [
        (64 * GIB, 0.001, 0.5),
        (GIB, 0.001, 0.125),
        (1 << 20, 0.0001, 0.02),
        (-GIB, 0.0001, 0.02),
        # A look that takes long is not taken often, however near the limit is.
        (1 << 20, 0.01, 0.2),
        # Nor is it put off for long: what forks meanwhile is to be seen.
        (1 << 20, 0.1, 0.5),
        (-GIB, 0.7, 0.7),
    ],
)
def test_the_nearer_the_limit_the_sooner_but_looking_costs_little(room: int, taken: float, seconds: float) -> None:
    assert next_look(room, taken) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("used", "limit", "killed"),
    [
        ({7: 60, 8: 40}, 100, []),
        ({7: 60, 8: 41}, 100, [7]),
        ({7: 1, 8: 150}, 100, [8]),
        # As many as it takes, the largest first: those that fork would get ahead of one at a time.
        ({7: 40, 8: 90, 9: 80, 10: 5}, 100, [8, 9]),
        ({7: 200, 8: 300}, 1, [8, 7]),
    ],
)
def test_as_few_are_killed_as_bring_the_rest_below_the_limit(
    used: dict[int, int], limit: int, killed: list[int]
) -> None:
    assert too_much(used, limit) == killed
