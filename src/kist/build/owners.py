"""Whom copied files belong to: ``--chown=user[:group]``, names looked up in the image."""

from kist.build.reading import read_inside
from kist.errors import InvalidInput, NotFound

_MAX_TABLE = 16 << 20
_LARGEST_ID = (1 << 32) - 2


def resolve(owner: str, root: int) -> tuple[int, int]:
    """The user and group ids of ``user[:group]`` in the tree below ``root``; a lone number is both.

    Raises:
        NotFound: the image has no such user or group.
        InvalidInput: a number is too large for an id.
    """
    if not owner:
        return 0, 0
    user, colon, group = owner.partition(":")
    number = _number(user)
    uid, gid = (number, number) if number is not None else _user(user, root)
    if colon:
        number = _number(group)
        gid = number if number is not None else _group(group, root)
    return uid, gid


def has_ids(owner: str) -> bool:
    """Whether no name of ``user[:group]`` has to be looked up."""
    return all(part.isascii() and part.isdecimal() for part in owner.split(":"))


def _number(text: str) -> int | None:
    """An id, None for a name."""
    if not (text.isascii() and text.isdecimal()):
        return None
    if len(text) > 10 or int(text) > _LARGEST_ID:
        raise InvalidInput(f"the id {text[:20]} is too large", hint=f"ids go up to {_LARGEST_ID}")
    return int(text)


def _user(name: str, root: int) -> tuple[int, int]:
    for fields in _table(root, "etc/passwd"):
        if fields[0] == name and len(fields) >= 4 and fields[2].isdecimal() and fields[3].isdecimal():
            return int(fields[2]), int(fields[3])
    raise NotFound(
        f"unable to find user {name}: no matching entries in the image's /etc/passwd",
        hint="make the user in a RUN before, or give numbers: --chown=1000:1000",
    )


def _group(name: str, root: int) -> int:
    for fields in _table(root, "etc/group"):
        if fields[0] == name and len(fields) >= 3 and fields[2].isdecimal():
            return int(fields[2])
    raise NotFound(
        f"unable to find group {name}: no matching entries in the image's /etc/group",
        hint="make the group in a RUN before, or give numbers: --chown=1000:1000",
    )


def _table(root: int, path: str) -> list[list[str]]:
    data = read_inside(root, path, _MAX_TABLE) or b""
    return [line.split(":") for line in data.decode("utf-8", "replace").splitlines()]
