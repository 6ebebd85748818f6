"""What nobody waits for is done, in its order, once, and by the end at the latest."""

import threading

import pytest

from kist.engine.afterwards import Afterwards
from kist.errors import Unavailable


def test_everything_is_done_in_its_order() -> None:
    done: list[str] = []
    afterwards = Afterwards()
    for number in range(20):
        afterwards.put(str(number), lambda number=number: done.append(str(number)))  # type: ignore[misc]
    afterwards.settle()
    assert done == [str(number) for number in range(20)]


def test_it_is_done_without_being_asked_for() -> None:
    done = threading.Event()
    Afterwards().put("a", done.set)
    assert done.wait(10)


def test_what_is_dropped_is_not_done_and_what_is_put_again_is_done_once() -> None:
    done: list[str] = []
    afterwards = Afterwards()
    held = threading.Event()
    afterwards.put("first", lambda: done.clear() if held.wait(10) else None)  # nothing else is begun meanwhile
    for each in ("a", "b", "a"):
        afterwards.put(each, lambda each=each: done.append(each))  # type: ignore[misc]
    afterwards.drop("b")
    afterwards.drop("unknown")
    held.set()
    afterwards.settle()
    assert done == ["a"]


def test_who_settles_waits_for_what_is_being_done() -> None:
    begun, goes_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        goes_on.wait(10)
        done.append("work")

    afterwards = Afterwards()
    afterwards.put("a", work)
    assert begun.wait(10)
    waiting = threading.Thread(target=afterwards.settle)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    goes_on.set()
    waiting.join(10)
    assert done == ["work"]


def test_too_much_is_done_by_who_puts_it() -> None:
    begun, goes_on = threading.Event(), threading.Event()
    by: list[str] = []

    def block() -> None:
        begun.set()
        goes_on.wait(10)

    afterwards = Afterwards()
    afterwards.put("blocks", block)
    assert begun.wait(10)
    for number in range(40):
        afterwards.put(str(number), lambda: by.append(threading.current_thread().name))
    here = threading.current_thread().name
    assert by == [here] * 8
    goes_on.set()
    afterwards.settle()
    assert len(by) == 40


def test_an_error_is_told_and_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise Unavailable("the disk is full")

    done: list[str] = []
    afterwards = Afterwards()
    afterwards.put("a", fail)
    afterwards.put("b", lambda: done.append("b"))
    afterwards.settle()
    assert done == ["b"]
    assert "the disk is full" in caplog.text
