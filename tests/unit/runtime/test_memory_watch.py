"""When the monitor looks at a container's memory."""

import pytest

from kist.runtime.memory_watch import next_look

GIB = 1 << 30


@pytest.mark.parametrize(
    ("room", "taken", "seconds"),
    [
        (64 * GIB, 0.001, 0.5),
        (GIB, 0.001, 0.125),
        (1 << 20, 0.0001, 0.02),
        (-GIB, 0.0001, 0.02),
        # A look that takes long is not taken often, however near the limit is.
        (1 << 20, 0.1, 2.0),
    ],
)
def test_the_nearer_the_limit_the_sooner_but_looking_costs_little(room: int, taken: float, seconds: float) -> None:
    assert next_look(room, taken) == pytest.approx(seconds)
