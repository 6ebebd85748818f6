"""Health by the results of checks, as decisions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.runtime.health import KEPT_OUTPUT, KEPT_RESULTS, Health, Output

SECOND = 1_000_000_000
SETTINGS = {"interval": 30 * SECOND, "start_interval": 5 * SECOND, "start_period": 0, "retries": 3}


def result(exit_code: int, start: int = 0) -> dict[str, Any]:
    return {"start": start, "end": start + 1, "exit_code": exit_code, "output": ""}


@pytest.mark.parametrize(
    ("results", "start_period", "statuses", "streak"),
    [
        # (age in seconds, exit code)
        ([(1, 0)], 0, ["healthy"], 0),
        ([(1, 1), (2, 1), (3, 1)], 0, ["starting", "starting", "unhealthy"], 3),
        ([(1, 1), (2, 1), (3, 0), (4, 1)], 0, ["starting", "starting", "healthy", "healthy"], 1),
        ([(1, 0), (2, 1), (3, 1), (4, 1), (5, 1)], 0, ["healthy", "healthy", "healthy", "unhealthy", "unhealthy"], 4),
        ([(1, 1), (2, 1), (3, 1), (4, 0)], 0, ["starting", "starting", "unhealthy", "healthy"], 0),
        # What fails in the start period does not count, and a success ends that period.
        ([(1, 1), (2, 1), (3, 1), (4, 1)], 10, ["starting"] * 4, 0),
        ([(9, 1), (10, 1), (11, 1), (12, 1)], 10, ["starting", "starting", "starting", "unhealthy"], 3),
        ([(1, 0), (2, 1), (3, 1), (4, 1)], 10, ["healthy", "healthy", "healthy", "unhealthy"], 3),
        # Any exit code but 0 is a failure, also the ones for a check that could not run or took too long.
        ([(1, -1), (2, 127), (3, 2)], 0, ["starting", "starting", "unhealthy"], 3),
    ],
)
def test_the_status_follows_the_results(
    results: list[tuple[int, int]], start_period: int, statuses: list[str], streak: int
) -> None:
    health = Health(SETTINGS | {"start_period": start_period * SECOND})
    before, seen = health.status, []
    for age, exit_code in results:
        changed = health.note(age * SECOND, result(exit_code))
        assert changed is (health.status != before)
        before = health.status
        seen.append(before)
    assert seen == statuses
    assert health.streak == streak


@pytest.mark.parametrize(
    ("age", "status", "expected"),
    [(0, "starting", 5), (9, "starting", 5), (10, "starting", 30), (3, "healthy", 30), (3, "unhealthy", 30)],
)
def test_a_container_that_starts_is_looked_at_more_often(age: int, status: str, expected: int) -> None:
    health = Health(SETTINGS | {"start_period": 10 * SECOND}, {"status": status})
    assert health.wait(age * SECOND) == expected * SECOND


def test_without_a_start_period_the_interval_holds_from_the_start() -> None:
    assert Health(SETTINGS).wait(0) == 30 * SECOND


def test_the_last_results_are_kept() -> None:
    health = Health(SETTINGS)
    for number in range(8):
        health.note(number, result(1, number))
    assert [each["start"] for each in health.log] == [3, 4, 5, 6, 7]


@given(codes=st.lists(st.sampled_from([0, 1, -1]), max_size=20), died_at=st.integers(0, 20), retries=st.integers(1, 4))
def test_another_monitor_goes_on_where_the_first_one_died(codes: list[int], died_at: int, retries: int) -> None:
    settings = SETTINGS | {"retries": retries}
    one = two = Health(settings)
    two = Health(settings)
    for number, code in enumerate(codes):
        if number == died_at:
            two = Health(settings, two.saved())
        assert one.note(number, result(code)) == two.note(number, result(code))
    assert one.saved() == two.saved()
    assert len(one.log) <= KEPT_RESULTS
    assert one.status != "unhealthy" or one.streak >= retries


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], ""),
        ([b"one\n", b"two\n"], "one\ntwo\n"),
        ([b"a" * KEPT_OUTPUT], "a" * KEPT_OUTPUT),
        ([b"a" * KEPT_OUTPUT, b"b"], "a" * KEPT_OUTPUT + "..."),
        ([b"a" * 3000, b"b" * 3000, b"c"], "a" * 3000 + "b" * 1096 + "..."),
        ([b"\xff"], "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_beginning_of_the_output_is_kept(parts: list[bytes], text: str) -> None:
    output = Output()
    for part in parts:
        output.write("stdout", part)
    assert output.text() == text
