"""The machines whose system calls are known, and the 32-bit ones that they run too."""

from functools import cache

import msgspec

from kist.errors import Unsupported
from kist.runtime.seccomp import tables

# Calls that arm has beyond its table begin here (asm/unistd.h, __ARM_NR_BASE): their numbers do not tell their age.
PRIVATE = 0x0F0000


class Architecture(msgspec.Struct, frozen=True):
    """One set of numbers: ``audit`` is what seccomp calls it (linux/audit.h, AUDIT_ARCH_*)."""

    audit: int
    table: str

    def numbers(self) -> dict[str, int]:
        """The number of each call, by name."""
        return _numbers(self.table)


_AMD64 = Architecture(0xC000003E, tables.AMD64)
_I386 = Architecture(0x40000003, tables.I386)
_ARM64 = Architecture(0xC00000B7, tables.ARM64)
_ARM = Architecture(0x40000028, tables.ARM)

# Of each machine (in GOARCH's words) its own architecture first: its test comes first in the program. The x32 ABI
# shares amd64's name, with numbers from 0x40000000 up, which are none of amd64's and so are refused.
_MACHINES = {"amd64": (_AMD64, _I386), "386": (_I386,), "arm64": (_ARM64, _ARM), "arm": (_ARM,)}


def of_machine(machine: str) -> tuple[Architecture, ...]:
    """The architectures whose programs run on a machine.

    Raises:
        Unsupported: their calls are not known.
    """
    try:
        return _MACHINES[machine]
    except KeyError:
        raise Unsupported(
            f"no seccomp filter for the architecture {machine!r}: its system calls are not known",
            hint="known are " + ", ".join(sorted(_MACHINES)),
        ) from None


@cache
def _numbers(table: str) -> dict[str, int]:
    numbers = {}
    number = 0
    for word in table.split():
        if word.isdigit():
            number = int(word)
        else:
            numbers[word] = number
            number += 1
    return numbers
