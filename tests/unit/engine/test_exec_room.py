"""How much is noted of exec'd processes."""

import pytest

from kist.engine.exec_room import MOST_BYTES, MOST_UNSTARTED, Noted, Stage, room_for
from kist.errors import Conflict

MIB = 1 << 20


def some(stage: Stage, count: int, size: int, first: int = 0) -> list[Noted]:
    return [Noted(f"{stage.name}{number}", size, stage, float(number)) for number in range(first, first + count)]


@pytest.mark.parametrize(
    ("size", "noted", "gone"),
    [
        (100, [], ()),
        (MOST_BYTES, [], ()),
        (100, some(Stage.MADE, MOST_UNSTARTED - 1, 100), ()),
        (100, some(Stage.RUNNING, 5 * MOST_UNSTARTED, 100), ()),
        (100, some(Stage.ENDED, 5 * MOST_UNSTARTED, 100), ()),
        (MIB, some(Stage.MADE, 8, MIB) + some(Stage.RUNNING, 7, MIB), ()),
        (100, some(Stage.ENDED, 18, MIB)[::-1], ("ENDED0", "ENDED1")),
        (100, some(Stage.ENDED, 1, 1) + some(Stage.ENDED, 4, 5 * MIB, 1), ("ENDED0", "ENDED1")),
    ],
)
def test_there_is_room_and_what_ended_first_makes_some(size: int, noted: list[Noted], gone: tuple[str, ...]) -> None:
    assert room_for(size, noted, "web") == gone


@pytest.mark.parametrize(
    ("size", "noted", "said"),
    [
        (1, some(Stage.MADE, MOST_UNSTARTED, 1), "container web has 1000 commands that were made and never started"),
        (MOST_BYTES + 1, [], "take 16 MiB"),
        (MIB, some(Stage.MADE, 8, MIB) + some(Stage.RUNNING, 8, MIB), "take 16 MiB"),
    ],
)
def test_too_many_and_too_large_ones_are_refused(size: int, noted: list[Noted], said: str) -> None:
    with pytest.raises(Conflict, match=said) as caught:
        room_for(size, noted, "web")
    assert caught.value.hint
