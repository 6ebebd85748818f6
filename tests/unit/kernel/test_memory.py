"""What the C library's allocator is told."""

import ctypes
import subprocess
import sys

import pytest

# What the threads allocate is too large for the interpreter's own allocator, and too small for a mapping of its own.
_PROGRAM = """
import ctypes, sys, threading
from kist.kernel import process
if sys.argv[1] == "shared":
    process.share_memory()
kept = []
threads = [threading.Thread(target=lambda: kept.append(bytearray(60_000))) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library is not glibc")
@pytest.mark.parametrize("how", ["shared", "each"])
def test_threads_take_memory_from_one_place(how: str) -> None:
    told = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True).stdout
    places = told.count("<heap nr=")
    assert places == 1 if how == "shared" else places > 1
