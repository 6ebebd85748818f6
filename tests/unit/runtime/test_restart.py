"""Restart policies as decisions."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.runtime.restart import FIRST_WAIT, LONG_RUN, LONGEST_WAIT, Restarts, asks_for_end

MS = 1_000_000
POLICIES = ("no", "always", "unless-stopped", "on-failure")


def of(name: str, most: int = 0) -> Restarts:
    return Restarts({"name": name, "maximum_retry_count": most})


@pytest.mark.parametrize(
    ("name", "exit_code", "again"),
    [
        ("no", 0, False),
        ("no", 1, False),
        ("always", 0, True),
        ("always", 137, True),
        ("unless-stopped", 0, True),
        ("unless-stopped", 1, True),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
        ("on-failure", 255, True),
    ],
)
def test_the_policy_decides_by_the_exit_code(name: str, exit_code: int, again: bool) -> None:
    restarts = of(name)
    assert (restarts.after(exit_code, 0) is not None) is again
    assert restarts.count == int(again)


@pytest.mark.parametrize("name", POLICIES)
def test_what_was_stopped_by_hand_stays_so(name: str) -> None:
    restarts = of(name)
    restarts.by_hand = True
    restarts.want()
    assert restarts.after(1, 0) is None
    assert restarts.count == 0


def test_the_wait_doubles_from_a_tenth_of_a_second_to_a_minute() -> None:
    restarts = of("always")
    waits = [restarts.after(1, 0) for _ in range(12)]
    expected = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]
    assert waits == [each * MS for each in expected]
    assert restarts.count == 12


@pytest.mark.parametrize(("lasted", "expected"), [(LONG_RUN, FIRST_WAIT), (LONG_RUN - 1, 8 * FIRST_WAIT)])
def test_the_wait_begins_anew_after_a_run_of_ten_seconds(lasted: int, expected: int) -> None:
    restarts = of("always")
    for _ in range(3):
        restarts.after(1, 0)
    assert restarts.after(1, lasted) == expected


def test_on_failure_counts_exactly() -> None:
    restarts = of("on-failure", 3)
    decisions = [restarts.after(7, 0) is not None for _ in range(5)]
    assert decisions == [True, True, True, False, False]
    assert restarts.count == 3


def test_a_long_run_does_not_give_attempts_back() -> None:
    restarts = of("on-failure", 1)
    assert restarts.after(7, 0) is not None
    assert restarts.after(7, LONG_RUN) is None


def test_a_restart_that_was_asked_for_happens_once_without_a_policy() -> None:
    restarts = of("no")
    restarts.want()
    assert restarts.after(0, 0) == FIRST_WAIT
    assert restarts.after(0, 0) is None


def test_the_policy_may_change_meanwhile() -> None:
    restarts = of("always")
    assert restarts.after(1, 0) is not None
    restarts.policy = {"name": "no", "maximum_retry_count": 0}
    assert restarts.after(1, 0) is None
    assert restarts.count == 1


def test_nothing_is_saved_of_a_container_that_nothing_happened_to() -> None:
    assert of("always").saved() == {}


@given(
    policy=st.sampled_from(POLICIES),
    most=st.integers(0, 4),
    runs=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 20_000 * MS)), max_size=30),
    died_at=st.integers(0, 30),
)
def test_another_monitor_goes_on_where_the_first_one_died(
    policy: str, most: int, runs: list[tuple[int, int]], died_at: int
) -> None:
    one, two = of(policy, most), of(policy, most)
    for number, (exit_code, lasted) in enumerate(runs):
        if number == died_at:
            two = Restarts(two.policy, two.saved())
        expected = one.after(exit_code, lasted)
        assert two.after(exit_code, lasted) == expected
        assert expected is None or FIRST_WAIT <= expected <= LONGEST_WAIT
    assert two.count == one.count <= (most if policy == "on-failure" and most else len(runs))


@pytest.mark.parametrize(
    ("number", "stop_signal", "ends"),
    [
        (signal.SIGKILL, signal.SIGTERM, True),
        (signal.SIGTERM, signal.SIGQUIT, True),
        (signal.SIGINT, signal.SIGTERM, True),
        (signal.SIGHUP, signal.SIGTERM, False),
        (signal.SIGHUP, signal.SIGHUP, True),
        (signal.SIGRTMIN + 3, signal.SIGRTMIN + 3, True),
        (signal.SIGUSR1, signal.SIGTERM, False),
        (signal.SIGWINCH, signal.SIGTERM, False),
    ],
)
def test_which_signals_ask_for_the_end(number: int, stop_signal: int, ends: bool) -> None:
    assert asks_for_end(number, stop_signal) is ends
