"""The device allow-list of cgroup v2: an eBPF program of the type BPF_PROG_TYPE_CGROUP_DEVICE.

The kernel runs the program at each open and each mknod of a device, over ``struct bpf_cgroup_dev_ctx``, and lets the
request pass when it returns 1 (Documentation/admin-guide/cgroup-v2.rst, "Device controller"; linux/bpf.h;
Documentation/bpf/standardization/instruction-set.rst).
"""

from __future__ import annotations

import ctypes
import os
import struct

from kist.kernel import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# linux/bpf.h: what the low and the high half of access_type hold.
TYPES = {"b": 1, "c": 2}
ACCESSES = {"m": 1, "r": 2, "w": 4}

_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_AND32, _MOV32, _SHIFT_RIGHT32 = 0x54, 0xB4, 0x74  # BPF_ALU with an immediate
_MOV32_REGISTER = 0xBC
_MOV64 = 0xB7
_JUMP32_UNLESS_EQUAL = 0x56  # BPF_JMP32 | BPF_JNE | BPF_K
_JUMP32_IF_EQUAL = 0x16
_EXIT = 0x95

_RESULT, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR, _SCRATCH = range(7)

_BPF_PROG_LOAD, _BPF_PROG_ATTACH = 5, 8
_BPF_PROG_TYPE_CGROUP_DEVICE = 15
_BPF_CGROUP_DEVICE = 6
_BPF_F_ALLOW_MULTI = 2
_RLIMIT_MEMLOCK = 8
_UNLIMITED = b"\xff" * 16
_SYS_BPF = {"x86_64": 321, "i686": 357, "armv7l": 386, "armv8l": 386, "ppc64le": 361, "s390x": 351}
_SYS_BPF_GENERIC = 280


def assemble(rules: Sequence[Mapping[str, Any]]) -> bytes:
    """The program that decides by ``rules``: an array of ``struct bpf_insn``.

    A rule is ``{"allow": bool, "type": "a"|"b"|"c", "major": int, "minor": int, "access": "rwm"}``, -1 for any number;
    type ``a`` is every device whatever else the rule says. The last rule that speaks about a request decides: a rule
    that allows speaks when it holds all accesses asked for, one that refuses when it holds any of them. A request that
    no rule speaks about is refused.
    """
    program = [
        _instruction(_LOAD_WORD, _TYPE, _CONTEXT, offset=0),
        _instruction(_MOV32_REGISTER, _ACCESS, _TYPE),
        _instruction(_AND32, _TYPE, value=0xFFFF),
        _instruction(_SHIFT_RIGHT32, _ACCESS, value=16),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, offset=4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, offset=8),
    ]
    for rule in reversed(joined(rules)):
        block, final = _block(rule)
        program += block
        if final:
            break
    else:
        program += _answer(allow=False)
    return b"".join(program)


def joined(rules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rules with neighbours for the same devices made one: ``r`` and then ``w`` allow an open for both."""
    result: list[Mapping[str, Any]] = []
    for rule in rules:
        if result and all(rule[key] == result[-1][key] for key in ("allow", "type", "major", "minor")):
            result[-1] = {**result[-1], "access": result[-1]["access"] + rule["access"]}
        else:
            result.append(rule)
    return result


def attach(cgroup: int, program: bytes) -> None:
    """Load the program and hold the processes of the cgroup (a descriptor of its directory) and those below it to it.

    The cgroup keeps the program: it goes when the cgroup goes.
    """
    loaded = _load(program)
    try:
        attributes = struct.pack("=IIII", cgroup, loaded, _BPF_CGROUP_DEVICE, _BPF_F_ALLOW_MULTI)
        _bpf(_BPF_PROG_ATTACH, attributes)
    finally:
        os.close(loaded)


def _block(rule: Mapping[str, Any]) -> tuple[list[bytes], bool]:
    """The instructions for one rule, and whether it speaks about every request, so that none is needed after it."""
    everything = rule["type"] == "a"
    accesses = 7 if everything else _accesses(rule["access"])
    tests: list[tuple[int, int]] = []
    if not everything:
        tests = [(_TYPE, TYPES[rule["type"]])]
        tests += [(register, rule[key]) for register, key in ((_MAJOR, "major"), (_MINOR, "minor")) if rule[key] >= 0]
    answer = _answer(allow=rule["allow"])
    if accesses != 7:
        # Allowing: nothing asked for beyond the rule's accesses. Refusing: something asked for that is among them.
        mask, skip = (7 & ~accesses, _JUMP32_UNLESS_EQUAL) if rule["allow"] else (accesses, _JUMP32_IF_EQUAL)
        answer = [
            _instruction(_MOV32_REGISTER, _SCRATCH, _ACCESS),
            _instruction(_AND32, _SCRATCH, value=mask),
            _instruction(skip, _SCRATCH, value=0, offset=len(answer)),
            *answer,
        ]
    block = [
        # Past the tests that follow and the answer.
        _instruction(_JUMP32_UNLESS_EQUAL, register, value=value, offset=len(tests) - index - 1 + len(answer))
        for index, (register, value) in enumerate(tests)
    ]
    return block + answer, not tests and accesses == 7


def _accesses(letters: str) -> int:
    mask = 0
    for letter in letters:
        mask |= ACCESSES[letter]
    return mask


def _answer(*, allow: bool) -> list[bytes]:
    return [_instruction(_MOV64, _RESULT, value=int(allow)), _instruction(_EXIT)]


def _instruction(code: int, target: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhI", code, source << 4 | target, offset, value)


def _load(program: bytes) -> int:
    try:
        return _load_once(program)
    except PermissionError as refused:
        # Kernels before 5.11 count programs against the limit on locked memory, which is small by default.
        try:
            before = _limit_locked_memory(_UNLIMITED)
        except OSError:
            raise refused from None
    try:
        return _load_once(program)
    finally:
        _limit_locked_memory(before)


def _limit_locked_memory(limit: bytes) -> bytes:
    """Set RLIMIT_MEMLOCK (``struct rlimit64``) and give back what it was."""
    before = ctypes.create_string_buffer(len(limit))
    libc.call("prlimit64", 0, _RLIMIT_MEMLOCK, limit, before)
    return before.raw


def _load_once(program: bytes) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQII",
        _BPF_PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
    )
    return _bpf(_BPF_PROG_LOAD, attributes)


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYS_BPF.get(os.uname().machine, _SYS_BPF_GENERIC)
    return libc.syscall(number, command, attributes, len(attributes), path="bpf")
