"""Who runs programs of other machines here (Documentation/admin-guide/binfmt-misc.rst)."""

from __future__ import annotations

import os
from typing import NamedTuple

_DIRECTORY = "/proc/sys/fs/binfmt_misc"
_CONTROLS = frozenset({"register", "status"})


class Handler(NamedTuple):
    """A program that runs other programs.

    Attributes:
        name: of the registration.
        interpreter: its path.
        flags: letters; with ``F`` the kernel has opened it, so that containers need not have it.
        offset: where in a program the magic bytes are.
        magic: the bytes.
        mask: which of their bits count.
    """

    name: str
    interpreter: str
    flags: str
    offset: int
    magic: bytes
    mask: bytes

    def runs(self, header: bytes) -> bool:
        """Whether it runs a program that begins so."""
        found = header[self.offset : self.offset + len(self.magic)]
        return len(found) == len(self.magic) and all(
            (a ^ b) & mask == 0 for a, b, mask in zip(found, self.magic, self.mask, strict=True)
        )


def is_mounted() -> bool:
    """Whether it can be seen here what is registered."""
    return os.path.exists(f"{_DIRECTORY}/status")


def handlers() -> tuple[Handler, ...]:
    """Those that are registered by magic bytes and enabled, as far as it can be seen here."""
    try:
        names = sorted(set(os.listdir(_DIRECTORY)) - _CONTROLS)
        if not names or _read(f"{_DIRECTORY}/status").strip() != "enabled":
            return ()
    except OSError:
        return ()
    found = []
    for name in names:
        try:
            text = _read(f"{_DIRECTORY}/{name}")
        except OSError:
            continue  # it was taken away just now
        if (handler := parse(name, text)) is not None:
            found.append(handler)
    return tuple(found)


def parse(name: str, text: str) -> Handler | None:
    """What the kernel tells of a registration; None of one that is disabled, or goes by the ends of names."""
    head, *lines = text.splitlines() or [""]
    fields = {key.rstrip(":"): value.strip() for key, _, value in (line.partition(" ") for line in lines)}
    if head != "enabled" or "magic" not in fields:
        return None
    magic = bytes.fromhex(fields["magic"])
    mask = bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
    return Handler(
        name, fields.get("interpreter", ""), fields.get("flags", ""), int(fields.get("offset", "0")), magic, mask
    )


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
