"""Emulators of other machines, as the kernel tells of them."""

import pytest

from kist.kernel.binfmt import parse
from kist.spec.elf import HEADER_BYTES, header
from kist.spec.platform import Platform

QEMU = """enabled
interpreter /usr/bin/qemu-aarch64-static
flags: {flags}
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def test_a_registration_is_read() -> None:
    found = parse("qemu-aarch64", QEMU.format(flags="POCF"))
    assert found is not None
    assert (found.interpreter, found.flags, found.offset) == ("/usr/bin/qemu-aarch64-static", "POCF", 0)
    assert found.magic[:4] == b"\x7fELF"


@pytest.mark.parametrize(
    "text", ["", "disabled\n" + QEMU.partition("\n")[2], "enabled\ninterpreter /bin/java\nflags: \nextension .jar\n"]
)
def test_what_runs_no_programs_is_none(text: str) -> None:
    assert parse("x", text) is None


def test_a_mask_may_be_missing() -> None:
    found = parse("x", "enabled\ninterpreter /i\nflags: F\noffset 1\nmagic 454c46\n")
    assert found is not None
    assert found.runs(b"\x7fELF")
    assert not found.runs(b"ELF")
    assert not found.runs(b"\x7fEL")


@pytest.mark.parametrize(
    ("platform", "runs"),
    [
        ("linux/arm64", True),
        ("linux/arm64/v8", True),
        ("linux/arm", False),
        ("linux/amd64", False),
        ("linux/s390x", False),
    ],
)
def test_programs_are_known_by_their_first_bytes(platform: str, runs: bool) -> None:
    handler, begin = parse("x", QEMU.format(flags="F")), header(Platform.parse(platform))
    assert handler is not None
    assert begin is not None
    assert len(begin) == HEADER_BYTES
    assert handler.runs(begin) is runs
    position_independent = begin[:16] + (b"\x03\x00" if begin[5] == 1 else b"\x00\x03") + begin[18:]
    assert handler.runs(position_independent) is runs


@pytest.mark.parametrize("platform", ["linux/vax", "windows/amd64"])
def test_a_machine_that_nobody_knows(platform: str) -> None:
    assert header(Platform.parse(platform)) is None
