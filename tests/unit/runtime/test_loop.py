"""The loop: who is called, and who must not be."""

import os
import time
from collections.abc import Iterator

import pytest

from kist.runtime import loop as events
from kist.runtime.loop import Loop


class Pipe:
    def __init__(self) -> None:
        self.read, self.write = os.pipe()


@pytest.fixture
def pipes() -> Iterator[tuple[Pipe, Pipe]]:
    made = Pipe(), Pipe()
    yield made
    for pipe in made:
        for descriptor in (pipe.read, pipe.write):
            os.close(descriptor)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_only_what_is_ready_is_called_with_its_event(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    called: list[tuple[int, int]] = []
    for number, pipe in enumerate(pipes):
        loop.watch(pipe.read, events.READ, lambda event, number=number: called.append((number, event)))
    loop.turn(0)
    assert called == []
    os.write(pipes[1].write, b"x")
    loop.turn()
    assert called == [(1, events.READ)]


def test_a_later_watch_replaces_the_earlier_one(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    called: list[str] = []
    os.write(pipes[0].write, b"x")
    loop.watch(pipes[0].read, events.READ, lambda _: called.append("old"))
    loop.watch(pipes[0].read, events.READ, lambda _: called.append("new"))
    loop.turn(0)
    loop.watch(pipes[0].read, 0, lambda _: called.append("muted"))
    loop.turn(0)
    loop.watch(pipes[0].read, events.READ, lambda _: called.append("again"))
    loop.turn(0)
    assert called == ["new", "again"]


def test_what_is_forgotten_is_silent_and_may_be_forgotten_again(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    os.write(pipes[0].write, b"x")
    loop.watch(pipes[0].read, events.READ, lambda _: pytest.fail("called"))
    loop.forget(pipes[0].read)
    loop.forget(pipes[0].read)
    loop.turn(0)


def test_one_that_an_earlier_call_forgot_is_not_called_in_the_same_turn(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    called: list[int] = []

    def ready(own: int, other: int) -> None:
        called.append(own)
        loop.forget(other)

    for own, other in (pipes, reversed(pipes)):
        os.write(own.write, b"x")
        loop.watch(own.read, events.READ, lambda _, own=own.read, other=other.read: ready(own, other))
    loop.turn(0)
    assert len(called) == 1


def test_a_number_that_is_used_again_does_not_inherit_an_event(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    """Whichever is called first closes the other and gets its number for a new file that is not ready."""
    read, write = os.pipe()
    called: list[str] = []

    def ready(own: int, other: int) -> None:
        called.append("first")
        loop.forget(other)
        os.dup2(read, other)
        loop.watch(other, events.READ, lambda _: called.append("not ready"))
        loop.forget(own)

    for own, other in (pipes, reversed(pipes)):
        os.write(own.write, b"x")
        loop.watch(own.read, events.READ, lambda _, own=own.read, other=other.read: ready(own, other))
    loop.turn(0)
    loop.turn(0)
    assert called == ["first"]
    os.write(write, b"x")
    loop.turn()
    assert called == ["first", "not ready"]
    os.close(read)
    os.close(write)


def test_the_end_of_a_peer_is_told_to_those_who_want_nothing(loop: Loop) -> None:
    read, write = os.pipe()
    told: list[int] = []
    loop.watch(write, 0, told.append)
    os.close(read)
    loop.turn()
    assert told[0] & events.CLOSED
    loop.forget(write)
    os.close(write)


def test_a_timer_rings_once_when_its_moment_has_come(loop: Loop) -> None:
    called: list[str] = []
    loop.set_timer(time.monotonic_ns() + 3_600_000_000_000, lambda: called.append("later"))
    loop.set_timer(time.monotonic_ns() + 20_000_000, lambda: called.append("soon"))
    begun = time.monotonic_ns()
    while not called:
        loop.turn()
    assert time.monotonic_ns() - begun >= 20_000_000
    loop.turn(0)
    assert called == ["soon"]


class Owner:
    """Has two things to do at some moment."""

    def __init__(self, called: list[str], name: str) -> None:
        self.called, self.name = called, name

    def look(self) -> None:
        self.called.append(f"{self.name} looks")

    def end(self) -> None:
        self.called.append(f"{self.name} ends")


def test_a_timer_that_is_cleared_or_set_anew_does_not_ring(loop: Loop) -> None:
    called: list[str] = []
    past = time.monotonic_ns()
    second, third = Owner(called, "second"), Owner(called, "third")

    def first() -> None:
        called.append("first")
        loop.clear_timer(second.look)
        loop.set_timer(time.monotonic_ns() + 3_600_000_000_000, third.look)

    loop.set_timer(past, first)
    loop.set_timer(past, second.look)
    loop.set_timer(past, third.look)
    loop.clear_timer(third.end)
    loop.turn()
    loop.turn(0)
    assert called == ["first"]


def test_a_timer_is_its_callbacks_owners_alone(loop: Loop) -> None:
    called: list[str] = []
    one, other = Owner(called, "one"), Owner(called, "other")
    for owner in (one, other):
        loop.set_timer(0, owner.look)
        loop.set_timer(0, owner.end)
    loop.set_timer(0, one.look)
    loop.clear_timer(other.end)
    loop.turn(0)
    loop.turn(0)
    assert called == ["one looks", "one ends", "other looks"]


def test_events_are_heard_while_a_timer_waits(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    called: list[int] = []
    loop.set_timer(time.monotonic_ns() + 10**18, lambda: called.append(0))
    loop.watch(pipes[0].read, events.READ, called.append)
    os.write(pipes[0].write, b"x")
    loop.turn()
    assert called == [events.READ]


def test_an_error_that_was_provided_for_costs_only_that(
    loop: Loop, pipes: tuple[Pipe, Pipe], capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[str] = []

    def fail(_: int = 0) -> None:
        raise RecursionError("deep")

    def give_up() -> None:
        called.append("given up")
        loop.forget(pipes[0].read)
        raise OSError(9, "bad")

    for pipe in pipes:
        os.write(pipe.write, b"x")
    loop.watch(pipes[0].read, events.READ, fail, on_error=give_up)
    loop.watch(pipes[1].read, events.READ, lambda _: called.append("heard"))
    loop.set_timer(0, fail, on_error=events.go_on)
    loop.turn(0)
    loop.turn(0)
    assert sorted(called) == ["given up", "heard", "heard"]
    told = capsys.readouterr().err
    assert "RecursionError: deep" in told
    assert told.count("[Errno 9] bad") == 1
    loop.set_timer(0, fail, on_error=events.go_on)
    loop.turn(0)
    assert capsys.readouterr().err == ""  # each place once


def test_an_error_that_was_not_provided_for_is_raised(loop: Loop, pipes: tuple[Pipe, Pipe]) -> None:
    def fail(_: int = 0) -> None:
        raise RecursionError("deep")

    loop.set_timer(0, fail)
    with pytest.raises(RecursionError):
        loop.turn(0)
    os.write(pipes[0].write, b"x")
    loop.watch(pipes[0].read, events.READ, fail)
    with pytest.raises(RecursionError):
        loop.turn(0)
