"""Pages that a process comes to have for itself, found by itself and had ahead."""

import ctypes
import mmap
import os
import resource
import struct
from collections.abc import Callable, Iterator

import pytest

from kist.kernel import pages

SIZE = resource.getpagesize()
PAGES = 64


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """Private memory, all of it in use."""
    made = mmap.mmap(-1, PAGES * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    made.write(b"x" * len(made))
    yield made
    made.close()


def page_of(memory: mmap.mmap, number: int) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory)) + number * SIZE


def in_a_child(work: Callable[[], int]) -> int:
    """What ``work`` gives in a fork of this process: 0 to 255."""
    pid = os.fork()
    if pid == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_a_child_has_written_to_is_found_and_nothing_that_it_had_before(memory: mmap.mmap) -> None:
    survey = pages.Survey()

    def write() -> int:
        memory[1 * SIZE] = 1
        survey.begin()
        for number in (7, 8, 40):
            memory[number * SIZE] = 1
        survey.end()
        return 0

    assert in_a_child(write) == 0
    found = list(struct.iter_unpack("=QQ", survey.found()))
    first = page_of(memory, 0)
    here = [
        ((address - first) // SIZE, length // SIZE)
        for address, length in found
        if first <= address < page_of(memory, PAGES)
    ]
    assert here == [(7, 2), (40, 1)]


def test_a_survey_that_was_not_made_found_nothing() -> None:
    assert pages.Survey().found() == b""


def faults_of_writes(memory: mmap.mmap, numbers: range) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for number in numbers:
        memory[number * SIZE] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_write_to_a_page_that_is_had_costs_no_fault(memory: mmap.mmap) -> None:
    here = struct.pack("=QQ", page_of(memory, 0), 32 * SIZE)

    def count() -> int:
        faults_of_writes(memory, range(0))  # the first time, it copies pages of its own
        pages.have(here)
        return faults_of_writes(memory, range(32))

    assert in_a_child(count) < 16
    assert in_a_child(lambda: faults_of_writes(memory, range(32))) >= 32


def test_memory_that_has_gone_is_no_failure() -> None:
    gone = mmap.mmap(-1, SIZE)
    address = page_of(gone, 0)
    gone.close()
    pages.have(struct.pack("=QQ", address, SIZE))
