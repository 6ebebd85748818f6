"""Before it serves, a keeper rehearses what it will do; nothing of that outlives it."""

import os
import select
import signal
from contextlib import suppress

from kist.runtime.prepared import Prepared
from kist.runtime.rehearsal import _end_when_begun


def test_a_first_process_that_waits_ends_with_its_keeper() -> None:
    read, write = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        made = Prepared(0, _end_when_begun)
        os.write(write, str(made._process[0]).encode())
        signal.pause()
    waiting = os.pidfd_open(int(os.read(read, 16)))
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    try:
        assert select.select([waiting], [], [], 10)[0] == [waiting]
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(waiting, signal.SIGKILL)
        for each in (read, write, waiting):
            os.close(each)
