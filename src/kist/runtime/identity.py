"""Users and groups by the container's own /etc/passwd and /etc/group (passwd(5), group(5))."""

from __future__ import annotations

import os

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_PASSWD = "/etc/passwd"  # noqa: S105 - a path


_LARGEST = 2**31 - 1


class Identity:
    """Who a process runs as; ``home`` and ``name`` are empty when passwd does not tell."""

    def __init__(self, uid: int, gid: int, groups: Sequence[int], home: str = "", name: str = "") -> None:
        self.uid = uid
        self.gid = gid
        self.groups = list(groups)
        self.home = home
        self.name = name


ROOT = Identity(0, 0, (0,), "/root", "root")


def look_up(text: str, passwd: str = _PASSWD, group: str = "/etc/group") -> Identity:
    """Who ``user[:group]`` is, names or numbers, as Docker resolves ``--user``.

    Raises:
        LookupError: a name that the files do not hold; the message is Docker's.
    """
    user, _, group_name = text.partition(":")
    user = user or "0"
    entry = next((e for e in _entries(passwd, 7) if user in {e[0], e[2]}), None)
    if entry is not None:
        found = Identity(int(entry[2]), int(entry[3]) if entry[3].isdecimal() else 0, (), entry[5], entry[0])
    elif user.isdecimal():
        found = Identity(_in_range(user), 0, ())
    else:
        raise LookupError(f"unable to find user {user}: no matching entries in passwd file")
    if group_name:
        found.gid = _group_number(group_name, group)
        found.groups = [found.gid]
    else:
        found.groups = [found.gid, *_memberships(found.name, found.gid, group)]
    return found


def of_ids(uid: int, gid: int, groups: Sequence[int] | None, passwd: str = _PASSWD) -> Identity:
    """The identity of plain ids, with the home that passwd tells for them."""
    entry = next((e for e in _entries(passwd, 7) if e[2] == str(uid)), None)
    home, name = (entry[5], entry[0]) if entry else ("", "")
    return Identity(uid, gid, [gid] if groups is None else groups, home, name)


def add_user(name: str, uid: int, gid: int, groups: Sequence[int], home: str) -> None:
    """Add lines to passwd and group for ids that have none, and make the home; runs inside the container's root."""
    users, known = list(_entries("/etc/passwd", 7)), list(_entries("/etc/group", 4))
    taken = {entry[0] for entry in users}
    if not any(entry[2] == str(uid) for entry in users):
        _append("/etc/passwd", f"{_free(name, taken)}:x:{uid}:{gid}::{home}:/bin/sh\n")
    group_names = {entry[0] for entry in known}
    numbers = {entry[2] for entry in known}
    if str(gid) not in numbers:
        _append("/etc/group", f"{_free(name, group_names)}:x:{gid}:\n")
    for extra in groups:
        if str(extra) not in numbers and extra != gid:
            _append("/etc/group", f"{_free(f'group{extra}', group_names)}:x:{extra}:{name}\n")
    if not os.path.lexists(home):
        os.makedirs(home, 0o755)
        os.chown(home, uid, gid)
        os.chmod(home, 0o700)


def _free(name: str, taken: set[str]) -> str:
    """``name``, or ``name1``, ``name2``, … when the image has another user of that name."""
    number = 0
    free = name
    while free in taken:
        number += 1
        free = f"{name}{number}"
    taken.add(free)
    return free


def _group_number(name: str, path: str) -> int:
    entry = next((e for e in _entries(path, 4) if name in {e[0], e[2]}), None)
    if entry is not None:
        return int(entry[2])
    if name.isdecimal():
        return _in_range(name)
    raise LookupError(f"unable to find group {name}: no matching entries in group file")


def _in_range(number: str) -> int:
    if int(number) > _LARGEST:
        raise LookupError(f"uids and gids must be in range 0-{_LARGEST}")
    return int(number)


def _memberships(user: str, gid: int, path: str) -> list[int]:
    if not user:
        return []
    return [int(e[2]) for e in _entries(path, 4) if user in e[3].split(",") and int(e[2]) != gid]


def _entries(path: str, fields: int) -> Iterator[list[str]]:
    """The well-formed lines of the file; a missing file has none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                entry = line.rstrip("\n").split(":")
                if len(entry) >= fields and entry[2].isdecimal():
                    yield entry
    except FileNotFoundError:
        return


def _append(path: str, line: str) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    with open(path, "a+", encoding="utf-8", errors="surrogateescape") as file:
        if file.tell():
            file.seek(0)
            if not file.read().endswith("\n"):
                line = "\n" + line
        file.write(line)
