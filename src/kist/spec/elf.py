"""The first bytes of programs (System V ABI, "ELF Header"): by them the kernel knows whose machine's a program is."""

import struct

from kist.spec.platform import Platform

HEADER_BYTES = 20
_32, _64 = 1, 2
_LITTLE, _BIG = 1, 2
# e_ident's class and data, and e_machine, by Go's names.
_MACHINES = {
    "386": (_32, _LITTLE, 3),
    "amd64": (_64, _LITTLE, 62),
    "arm": (_32, _LITTLE, 40),
    "arm64": (_64, _LITTLE, 183),
    "loong64": (_64, _LITTLE, 258),
    "mips": (_32, _BIG, 8),
    "mips64": (_64, _BIG, 8),
    "mips64le": (_64, _LITTLE, 8),
    "mipsle": (_32, _LITTLE, 8),
    "ppc64": (_64, _BIG, 21),
    "ppc64le": (_64, _LITTLE, 21),
    "riscv64": (_64, _LITTLE, 243),
    "s390x": (_64, _BIG, 22),
}
_EXECUTABLE = 2


def header(platform: Platform) -> bytes | None:
    """The first 20 bytes of a program for a platform; None for a machine that is not known here."""
    known = _MACHINES.get(platform.architecture)
    if known is None or platform.os != "linux":
        return None
    size, order, machine = known
    ident = b"\x7fELF" + bytes((size, order, 1)) + bytes(9)
    return ident + struct.pack(f"{'<' if order == _LITTLE else '>'}HH", _EXECUTABLE, machine)
