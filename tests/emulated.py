"""A machine with an emulator: ``emulated.py NAME HEADER MASK INTERPRETER COMMAND…`` runs a command on one.

The command has a user namespace, where the kernel keeps registrations of its own (binfmt_misc, Linux 6.7): nothing is
registered on the machine. Header and mask are in hexadecimal digits. Needs root; the command is root of the namespace.
"""

import os
import sys

from kist.kernel import mounts, namespaces, userns

_AT = "/proc/sys/fs/binfmt_misc"
_ALL = ((0, 0, 4294967295),)


def _escaped(digits: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in bytes.fromhex(digits))


def main(name: str, header: str, mask: str, interpreter: str, command: list[str]) -> None:
    """Enter the namespace, register, and execute the command."""
    userns.enter(userns.make(_ALL, _ALL))
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    mounts.mount("binfmt_misc", _AT, "binfmt_misc")
    with open(f"{_AT}/register", "wb", 0) as file:
        file.write(f":{name}:M::{_escaped(header)}:{_escaped(mask)}:{interpreter}:F".encode())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:5], command=sys.argv[5:])
