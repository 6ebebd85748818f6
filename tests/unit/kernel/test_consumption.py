"""What processes use, of processes of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kist.kernel import consumption

MIB = 1 << 20
# Takes memory and time, says so, and ends when its input does.
SPENDING = """
import os, sys, time
taken = bytearray(os.urandom(1)) * (48 << 20)
while time.process_time() < 0.1:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def spender() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", SPENDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_memory_and_time_of_a_process(spender: "subprocess.Popen[bytes]") -> None:
    assert 48 * MIB <= consumption.memory(spender.pid) < 80 * MIB
    assert 48 * MIB <= consumption.shared_fairly(spender.pid) < 80 * MIB
    used = consumption.read([spender.pid, spender.pid])
    assert used["memory"] >= 96 * MIB
    assert used["pids"] == 2
    assert used["cpu_user"] + used["cpu_system"] >= 2 * 80_000_000


def test_a_process_that_ended_tells_until_it_is_waited_for(spender: "subprocess.Popen[bytes]") -> None:
    assert spender.stdin is not None
    spender.stdin.close()
    os.waitid(os.P_PID, spender.pid, os.WEXITED | os.WNOWAIT)
    assert consumption.ended(spender.pid)["cpu_ns"] >= 80_000_000
    assert consumption.memory(spender.pid) == 0
    spender.wait()
    assert consumption.ended(spender.pid) == {}
    assert consumption.read([spender.pid])["pids"] == 0


def test_pages_that_processes_share_count_once_where_it_is_asked() -> None:
    taken = bytearray(b"x") * (32 * MIB)
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"x")
        os.read(ready, 0)
        os.kill(os.getpid(), 19)
        os._exit(len(taken) & 1)
    os.read(ready, 1)
    os.waitid(os.P_PID, child, os.WSTOPPED)
    try:
        assert consumption.memory(child) >= 32 * MIB
        assert consumption.shared_fairly(child) < consumption.memory(child) * 3 // 4
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)
