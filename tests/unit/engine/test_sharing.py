"""One does the work, the others wait."""

import threading
from collections.abc import Callable

import pytest

from kist.engine.sharing import Sharing
from kist.engine.stop import Stop
from kist.errors import Unavailable

SOON = 60


def nobody() -> None:
    pytest.fail("there is nobody to wait for")


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_who_comes_second_waits_for_the_first_and_then_has_the_turn() -> None:
    sharing, order, waits = Sharing(), list[str](), threading.Event()

    def second() -> None:
        with sharing.turn("key", Stop(), waits.set):
            order.append("second")

    with sharing.turn("key", Stop(), nobody):
        thread = beside(second)
        assert waits.wait(SOON)
        order.append("first")
    thread.join(SOON)
    assert order == ["first", "second"]


def test_other_keys_are_not_waited_for() -> None:
    sharing = Sharing()
    with sharing.turn("one", Stop(), nobody), sharing.turn("two", Stop(), nobody):
        pass


def test_a_failure_gives_the_turn_to_the_next() -> None:
    sharing = Sharing()
    with pytest.raises(ValueError, match="fails"), sharing.turn("key", Stop(), nobody):
        raise ValueError("fails")
    with sharing.turn("key", Stop(), nobody):
        pass


def test_who_waits_can_be_stopped() -> None:
    sharing, stop, waits, raised = Sharing(), Stop(), threading.Event(), list[str]()

    def second() -> None:
        try:
            with sharing.turn("key", stop, waits.set):
                raised.append("it had the turn")
        except Unavailable as error:
            raised.append(error.message)

    with sharing.turn("key", Stop(), nobody):
        thread = beside(second)
        assert waits.wait(SOON)
        stop.give()
        thread.join(SOON)
        assert raised == ["cancelled"]
    with sharing.turn("key", Stop(), nobody):
        pass
