"""Classic BPF as seccomp runs it: instructions, comparisons of arguments, a search tree over numbers.

The program reads ``struct seccomp_data`` (linux/seccomp.h), here little-endian: the number at 0, the architecture at 4,
six arguments of 64 bits from 16 on. Loads are of 32 bits; a conditional jump reaches 255 instructions, an unconditional
one any (Documentation/networking/filter.rst).
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kist.errors import InvalidInput
from kist.runtime.seccomp.profile import Action, Comparison

NUMBER, ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP = 0x05  # BPF_JMP | BPF_JA
_EQUAL, _GREATER, _GREATER_OR_EQUAL = 0x15, 0x25, 0x35  # BPF_JMP | … | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_FAR = 255
MOST_COMPARISONS = 48  # each takes five instructions at most
_WORD = 0xFFFFFFFF


class Instruction(NamedTuple):
    """``struct sock_filter``: ``then`` and ``otherwise`` are how many instructions a jump skips."""

    code: int
    then: int
    otherwise: int
    value: int


Code = list[Instruction]


def pack(code: Iterable[Instruction]) -> bytes:
    """The array that the kernel takes."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def load(offset: int) -> Instruction:
    """Put a word of the data into the accumulator."""
    return Instruction(_LOAD, 0, 0, offset)


def end(action: Action) -> Instruction:
    """Answer."""
    return Instruction(_RETURN, 0, 0, action.value)


def if_equal(value: int, then: Code, otherwise: Code) -> Code:
    """``then`` when the accumulator is ``value``, else ``otherwise``; ``then`` must end in an answer."""
    return _branch(_EQUAL, value, otherwise, then)


def search(leaves: Sequence[tuple[int, Code]]) -> Code:
    """Find the accumulator's interval by halving, and run its code.

    Args:
        leaves: the first number of each interval, ascending from 0, and code that ends in an answer.
    """
    if len(leaves) == 1:
        return leaves[0][1]
    middle = len(leaves) // 2
    return _branch(_GREATER_OR_EQUAL, leaves[middle][0], search(leaves[:middle]), search(leaves[middle:]))


def when(comparisons: Sequence[Comparison], action: Action) -> Code:
    """Answer ``action`` when all comparisons hold; else go on after this code. Changes the accumulator.

    Raises:
        InvalidInput: there are more comparisons than a jump can skip.
    """
    if len(comparisons) > MOST_COMPARISONS:
        raise InvalidInput(f"a seccomp rule has {len(comparisons)} conditions; at most {MOST_COMPARISONS} are possible")
    code: Code = [end(action)]
    for comparison in reversed(comparisons):
        # Where a comparison fails, all that is here already is skipped.
        code = _compare(comparison, miss=len(code)) + code
    return code


def _branch(code: int, value: int, below: Code, above: Code) -> Code:
    """Skip ``below`` when the test holds; where that is further than a conditional jump reaches, with another jump."""
    if len(below) <= _FAR:
        return [Instruction(code, len(below), 0, value), *below, *above]
    return [Instruction(code, 0, 1, value), Instruction(_JUMP, 0, 0, len(below)), *below, *above]


def _compare(comparison: Comparison, miss: int) -> Code:
    """Go on behind this code when the comparison holds, else skip ``miss`` instructions more."""
    low = load(_ARGUMENTS + 8 * comparison.index)
    high = load(low.value + 4)
    value = comparison.value & _WORD, comparison.value >> 32
    match comparison.operator:
        case "eq":
            return _equal(low, high, value, hit=0, miss=miss)
        case "ne":
            return _equal(low, high, value, hit=miss, miss=0)
        case "gt":
            return _order(_GREATER, low, high, value, hit=0, miss=miss)
        case "ge":
            return _order(_GREATER_OR_EQUAL, low, high, value, hit=0, miss=miss)
        case "le":
            return _order(_GREATER, low, high, value, hit=miss, miss=0)
        case "lt":
            return _order(_GREATER_OR_EQUAL, low, high, value, hit=miss, miss=0)
        case "masked":
            return _masked(low, high, comparison, miss)


def _equal(low: Instruction, high: Instruction, value: tuple[int, int], *, hit: int, miss: int) -> Code:
    return [
        high,
        Instruction(_EQUAL, 0, miss + 2, value[1]),
        low,
        Instruction(_EQUAL, hit, miss, value[0]),
    ]


def _order(test: int, low: Instruction, high: Instruction, value: tuple[int, int], *, hit: int, miss: int) -> Code:
    return [
        high,
        Instruction(_GREATER, hit + 3, 0, value[1]),
        Instruction(_EQUAL, 0, miss + 2, value[1]),
        low,
        Instruction(test, hit, miss, value[0]),
    ]


def _masked(low: Instruction, high: Instruction, comparison: Comparison, miss: int) -> Code:
    """Words that the mask leaves out are not looked at, unless the value can never be met."""
    code: Code = []
    for word, shift in ((high, 32), (low, 0)):
        mask, value = comparison.mask >> shift & _WORD, comparison.value >> shift & _WORD
        if mask or value:
            part = [word, Instruction(_AND, 0, 0, mask)] if mask != _WORD else [word]
            code += [*part, Instruction(_EQUAL, 0, 0, value)]
    return [
        # Only now is it known how much lies between each test and the end.
        instruction._replace(otherwise=len(code) - 1 - index + miss) if instruction.code == _EQUAL else instruction
        for index, instruction in enumerate(code)
    ]
