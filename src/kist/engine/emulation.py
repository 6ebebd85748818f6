"""Programs of other machines: whether they run here, by an emulator that the kernel knows (binfmt_misc), or why not."""

import os

from kist.kernel import binfmt
from kist.spec.elf import header
from kist.spec.platform import Platform

WAY = "register an emulator with the flag F (Debian: apt-get install qemu-user-static, which does so)"
"""What makes programs of another machine run here."""


def why_not(platform: Platform, host: Platform | None = None) -> str:
    """Why programs of a platform do not run on this machine; empty where they do."""
    host = host or Platform.of_machine(os.uname().machine)
    if platform.runs_on(host):
        return ""
    begin = header(platform)
    if begin is None:
        return f"no emulator is known for {platform}"
    found = [handler for handler in binfmt.handlers() if handler.runs(begin)]
    if any("F" in handler.flags for handler in found):
        return ""
    if found:
        return (
            f"its emulator {found[0].name} ({found[0].interpreter}) is registered without the flag F, "
            "so containers do not have it"
        )
    if not binfmt.is_mounted():
        return "no emulator is to be seen (binfmt_misc is not mounted at /proc/sys/fs/binfmt_misc)"
    return "no emulator is registered for it (binfmt_misc)"
