"""The monitor's line to the engine, when the engine goes away."""

import os

import pytest

from kist.kernel.lean import socket
from kist.runtime.control import Control
from kist.runtime.loop import Loop


@pytest.mark.parametrize("say", ["created", "tell"])
def test_an_engine_that_has_gone_before_it_is_told_is_missed(say: str) -> None:
    ours, engines = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    said: list[bool | None] = []
    control = Control(Loop(), ours, lambda go, _: said.append(go))
    engines.close()
    if say == "created":
        control.created(os.getpid(), (), with_network=True)
    else:
        control.tell({"event": "started"})
    assert said == [None]
    control.tell({"event": "exited"})
    assert said == [None], "once"
