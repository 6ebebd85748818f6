"""Who a container's user is, by the files of its root: ``USER[:GROUP]`` to numbers."""

import os
import stat

from kist.errors import InvalidInput
from kist.kernel import paths

_LARGEST_FILE = 16 << 20
_LARGEST_ID = 2**32 - 2


def user_of(root: int, user: str) -> tuple[int, int]:
    """The uid and gid of a container's user (names or numbers; passwd(5), group(5)).

    Raises:
        InvalidInput: the files do not hold a name.
    """
    name, _, group = user.partition(":")
    entry = _entry(root, "/etc/passwd", name, 3)
    if entry is not None:
        uid, gid = int(entry[2]), int(entry[3]) if len(entry) > 3 and entry[3].isdecimal() else 0
    else:
        uid, gid = _number(name, "user"), 0
    if group:
        found = _entry(root, "/etc/group", group, 3)
        gid = int(found[2]) if found is not None else _number(group, "group")
    return uid, gid


def _number(text: str, what: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_ID:
        raise InvalidInput(f"unable to find {what} {text}: no matching entries in the container")
    return int(text)


def _entry(root: int, path: str, name: str, fields: int) -> list[str] | None:
    for line in _text(root, path).splitlines():
        entry = line.split(":")
        if len(entry) < fields or not (entry[2].isascii() and entry[2].isdecimal()):
            continue
        if name == (entry[2] if name.isdecimal() else entry[0]):
            return entry
    return None


def _text(root: int, path: str) -> str:
    """A regular file's text; empty for anything else that the container may have put there."""
    try:
        held = paths.open_in_root(root, path, os.O_PATH)
    except OSError:
        return ""
    try:
        status = os.fstat(held)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_FILE:
            return ""
        with open(paths.reopen(held, os.O_RDONLY), encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_LARGEST_FILE)
    finally:
        os.close(held)
