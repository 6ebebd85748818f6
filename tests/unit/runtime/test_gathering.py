"""Code that is moved in memory does what it did, and is where it was looked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import kist

# In a process of its own, for what is moved stays moved. It prints what it finds, a line each.
SCRIPT = """
import sys
sys.path.append(sys.argv[1])
from kist.runtime import door, gathering, guard, messages

def codes(*functions):
    return [function.__code__ for function in functions]

drops = guard.Guard.drops
kept = guard.Guard.holds, messages.pair, door.Door.descriptor.fget
gathering.gather(codes(guard.Guard.__init__, guard.Guard.holds, guard.Guard._tell, messages.pair, messages.send,
    door.Door.descriptor.fget) + [c for c in guard.Guard.holds.__code__.co_consts if hasattr(c, "co_code")])

print(guard.Guard.holds is not kept[0], messages.pair is not kept[1])
print(guard.Guard.holds.__qualname__, guard.Guard.holds.__module__, guard.Guard.holds.__doc__ == kept[0].__doc__)
print(door.Door.descriptor.fget is kept[2], guard.Guard.drops is drops)
ours, theirs = messages.pair()
line = guard.Guard(ours, "/at")
line.holds("name", 7, {"stdout": 1, "none": -1})
message, descriptors = messages.receive(theirs)
print(message, len(descriptors))
"""
FRESH = """
import sys
sys.path.append(sys.argv[1])
from kist.runtime import gathering
gathering.fill_gaps()
size = int(sys.argv[2])
made = sorted(id(bytes_) for bytes_ in [bytes(size - sys.getsizeof(b"")) for _ in range(8)])
print({later - earlier for earlier, later in zip(made, made[1:])} == {size})
"""


def run(script: str, *words: str) -> list[str]:
    source = str(Path(kist.__file__).parent.parent)
    command = [sys.executable, "-I", "-S", "-c", script, source, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


def test_functions_and_methods_are_replaced_where_they_are_found_and_do_the_same() -> None:
    moved, names, others, said = run(SCRIPT)
    assert moved == "True True"
    assert names == "Guard.holds kist.runtime.guard True"
    # Of a property only the code moves, and what was not called stays.
    assert others == "True True"
    assert said == "{'holds': 'name', 'pid': 7, 'fds': ['stdout'], 'at': '/at'} 1"


@pytest.mark.parametrize("size", [80, 160, 512])
def test_after_the_gaps_are_filled_new_objects_lie_side_by_side(size: int) -> None:
    assert run(FRESH, str(size)) == ["True"]
