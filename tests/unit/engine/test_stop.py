"""The order to end."""

import pytest

from kist.engine.stop import Stop
from kist.errors import Unavailable


def test_who_looks_goes_on_until_the_order_is_given() -> None:
    stop = Stop()
    stop.check()
    stop.give()
    with pytest.raises(Unavailable, match="cancelled"):
        stop.check()


def test_who_waits_is_called_once_and_only_within_its_block() -> None:
    stop, called = Stop(), list[str]()
    with stop.heard_by(lambda: called.append("over")):
        pass
    with stop.heard_by(lambda: called.append("within")):
        stop.give()
        stop.give()
    assert called == ["within"]


def test_who_comes_after_the_order_does_not_begin_to_wait() -> None:
    stop = Stop()
    stop.give()
    with pytest.raises(Unavailable), stop.heard_by(lambda: None):
        pytest.fail("the block has begun")


def test_nothing_is_done_after_the_order() -> None:
    stop, done = Stop(), list[int]()
    append = stop.before(done.append)
    append(1)
    stop.give()
    with pytest.raises(Unavailable, match="cancelled"):
        append(2)
    assert done == [1]
