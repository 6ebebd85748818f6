"""Memory that goes back to what it was: shared again, and nothing lost of it."""

import subprocess
import sys
from pathlib import Path

import pytest

import kist
from kist.kernel import uninterrupted

pytestmark = pytest.mark.skipif(not uninterrupted.is_possible(), reason="this C library has no contexts")

# In a process of its own, whose memory is changed. It prints what it finds, a line each.
SCRIPT = """
import gc, mmap, os, sys
sys.path.append(sys.argv[1])
from kist.kernel import checkpoint, mappings

gc.disable()
things = [[number, str(number), {number: (number,)}] for number in range(4_000)]
checkpoint.rehearse()
gc.freeze()
taken = checkpoint.take()

def own():
    pagemap = mappings.open_entries(os.getpid())
    found = sum(
        bool(entry & mappings.PRESENT) and not entry & mappings.OF_A_FILE
        for start, end, _, _, name in mappings.writable(os.getpid())
        if b"kist-checkpoint" in name
        for entry in mappings.entries(pagemap, start, end)
    )
    os.close(pagemap)
    return found

def use():
    "Looks at every object, changes one in a hundred, and makes others of all sizes that stay or go."
    for thing in things:
        thing[2][thing[0]], thing[1]
    for number in range(0, len(things), 100):
        things[number][1] += "x"
    kept = [b"a" * size for size in range(400)]
    del kept[::2]
    return kept

def whole():
    return all(
        thing[0] == number and thing[1].rstrip("x") == str(number) and thing[2] == {number: (number,)}
        for number, thing in enumerate(things)
    )

def in_a_child():
    use()
    before = own()
    given = taken.give_back()
    after = own()
    print(given > 4096 * 50, after < before - 50, whole(), flush=True)
    for number in range(60):
        use()
        # What the call itself makes and lets go lies elsewhere each time.
        held = [[bytes(number * size % 400) for size in range(number)], [object() for _ in range(number)]]
        del held[number % 2]
        taken.give_back()
    print(whole(), len(things[100][1]) == 64, len(things[101][1]) == 3, flush=True)

def look():
    "Who looks at a process has none of its files and sockets."
    class Looking(checkpoint.Checkpoint):
        def _unchanged(self, pid):
            shared[0] = len(os.listdir("/proc/self/fd")) - 1  # but for the look itself
            return super()._unchanged(pid)
    shared = mmap.mmap(-1, 4096)
    taken.__class__ = Looking
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    taken.give_back()
    print(shared[0], flush=True)

print(taken is not None, flush=True)
pid = os.fork()
if pid == 0:
    in_a_child()
    look()
    os._exit(0)
print(os.waitpid(pid, 0)[1], whole(), len(things[100][1]) == 3)
"""


def test_a_fork_gives_back_what_it_has_not_changed_and_goes_on_with_all_that_it_has() -> None:
    source = str(Path(kist.__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", SCRIPT, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True", "True True True", "True True True", "5", "0 True True"], done.stderr


def test_calls_are_made_in_their_order() -> None:
    text = bytearray(b"abcdef\0")
    at = uninterrupted.ctypes.addressof(uninterrupted.ctypes.c_char.from_buffer(text))
    chain = uninterrupted.Chain(3)
    chain.write([("memcpy", (at, at + 2, 1)), ("memcpy", (at + 1, at, 1)), ("memcpy", (at + 5, at + 1, 1))])
    chain.make()
    assert text == b"cccdec\0"


def test_no_more_calls_than_there_is_room_for() -> None:
    with pytest.raises(OverflowError):
        uninterrupted.Chain(1).write([("getpid", ()), ("getpid", ())])
