"""A small machine for seccomp's filter programs."""

import struct

import pytest

from kist.runtime.seccomp.profile import Action


def run(program: bytes, number: int, audit: int, arguments: tuple[int, ...] = (0,) * 6) -> tuple[Action, int]:
    """The answer, and how many instructions it took."""
    data = struct.pack("<II8x6Q", number, audit, *arguments)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = steps = 0
    while True:
        code, then, otherwise, value = instructions[at]
        at, steps = at + 1, steps + 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x05:
                at += value
            case 0x15:
                at += then if accumulator == value else otherwise
            case 0x25:
                at += then if accumulator > value else otherwise
            case 0x35:
                at += then if accumulator >= value else otherwise
            case 0x06:
                return Action(value), steps
            case _:
                pytest.fail(f"unknown instruction {code:#x}")
