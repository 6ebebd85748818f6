"""The device filter, run by a small eBPF machine and compared with what its rules say."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.kernel.cgroup_v1 import device_rule
from kist.kernel.device_filter import ACCESSES, TYPES, assemble, joined

Rule = dict[str, Any]


def run(program: bytes, kind: str, accesses: str, major: int, minor: int) -> bool:
    """The opcodes of the instruction set document that the assembler uses; anything else is a failure."""
    mask = sum(ACCESSES[letter] for letter in set(accesses))
    context = struct.pack("=III", mask << 16 | TYPES[kind], major, minor)
    instructions = list(struct.iter_unpack("=BBhI", program))
    registers: dict[int, int] = {}
    at = 0
    while True:
        code, pair, offset, value = instructions[at]
        target, source = pair & 15, pair >> 4
        at += 1
        match code:
            case 0x61:
                registers[target] = struct.unpack_from("=I", context, offset)[0]
            case 0xBC:
                registers[target] = registers[source] & 0xFFFFFFFF
            case 0x54:
                registers[target] &= value
            case 0x74:
                registers[target] >>= value
            case 0xB7:
                registers[target] = value
            case 0x55 | 0x56:
                at += offset if registers[target] != value else 0
            case 0x15 | 0x16:
                at += offset if registers[target] == value else 0
            case 0x95:
                return bool(registers[0])
            case _:
                pytest.fail(f"unknown opcode {code:#x}")


def decide(rules: Sequence[Rule], kind: str, accesses: str, major: int, minor: int) -> bool:
    """The rules' meaning in their own words: the last one that speaks decides."""
    for rule in reversed(joined(rules)):
        everything = rule["type"] == "a"
        if not everything:
            if rule["type"] != kind or rule["major"] not in (-1, major) or rule["minor"] not in (-1, minor):
                continue
            asked, held = set(accesses), set(rule["access"])
            if not (asked <= held if rule["allow"] else asked & held):
                continue
        return bool(rule["allow"])
    return False


numbers = st.sampled_from([-1, 0, 1, 3, 5, 255])
letters = st.sets(st.sampled_from("rwm"), min_size=1).map("".join)
rules = st.lists(
    st.fixed_dictionaries(
        {
            "allow": st.booleans(),
            "type": st.sampled_from("abc"),
            "major": numbers,
            "minor": numbers,
            "access": letters,
        }
    ),
    max_size=12,
)


@given(rules, st.sampled_from("bc"), letters, st.sampled_from([0, 1, 3, 9]), st.sampled_from([0, 1, 3, 255]))
def test_the_program_decides_as_its_rules(rules, kind, accesses, major, minor):
    assert run(assemble(rules), kind, accesses, major, minor) == decide(rules, kind, accesses, major, minor)


DENY_ALL: Rule = {"allow": False, "type": "a", "major": -1, "minor": -1, "access": "rwm"}
NULL: Rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
MKNOD: Rule = {"allow": True, "type": "b", "major": -1, "minor": -1, "access": "m"}


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        (("c", "rw", 1, 3), True),
        (("b", "rw", 1, 3), False),
        (("c", "r", 1, 5), False),
        (("b", "m", 8, 0), True),
        (("b", "r", 8, 0), False),
        (("b", "rm", 8, 0), False),
    ],
)
def test_an_allow_list(request_, allowed):
    assert run(assemble([DENY_ALL, NULL, MKNOD]), *request_) is allowed


def test_nothing_is_allowed_without_a_rule():
    assert not run(assemble([]), "c", "r", 1, 3)


def test_accesses_that_two_neighbouring_rules_allow_are_allowed_together():
    program = assemble([{**NULL, "access": "r"}, {**NULL, "access": "w"}])
    assert run(program, "c", "rw", 1, 3)


def test_no_instruction_is_out_of_reach_because_the_kernel_refuses_such_programs():
    assert len(assemble([NULL, DENY_ALL])) == len(assemble([DENY_ALL]))


@pytest.mark.parametrize(
    ("rule", "text"), [(DENY_ALL, "a"), (NULL, "c 1:3 rwm"), (MKNOD, "b *:* m"), ({**NULL, "minor": -1}, "c 1:* rwm")]
)
def test_version_1_takes_a_rule_as_text(rule, text):
    assert device_rule(rule) == text
