"""Loading a seccomp filter into this process: prctl(2), PR_SET_SECCOMP."""

from __future__ import annotations

import ctypes
import struct

from kist.kernel import libc

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


class Program:
    """A filter as the kernel takes it."""

    __slots__ = ("code", "header")

    def __init__(self, code: ctypes.Array[ctypes.c_char]) -> None:
        self.code = code
        # struct sock_fprog: the number of instructions and, where alignment puts it, the pointer.
        header = struct.pack("@HP", len(code) // 8, ctypes.addressof(code))
        self.header = ctypes.create_string_buffer(header)


def assemble(instructions: bytes) -> Program:
    """A filter of an array of ``struct sock_filter``, in the machine's byte order."""
    return Program(ctypes.create_string_buffer(instructions, len(instructions)))


def load(program: Program) -> None:
    """Put the calling thread, and all that it starts, under a filter; filters that it has already stay.

    prctl is seccomp(2) without flags: nothing is logged, and the processor's mitigations are the kernel's choice.

    Raises:
        OSError: EACCES without CAP_SYS_ADMIN in the user namespace and without no_new_privs; EINVAL for a program that
            the kernel does not take, or when it has no seccomp.
    """
    zero = ctypes.c_ulong(0)
    libc.call("prctl", _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), program.header, zero, zero)
