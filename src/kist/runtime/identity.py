"""Users and groups by the container's own /etc/passwd and /etc/group (passwd(5), group(5))."""

from __future__ import annotations

import errno
import os
import stat

from kist.kernel import paths

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_PASSWD = "/etc/passwd"  # noqa: S105 - a path


_LARGEST = 2**31 - 1

# More than any list of users needs, and little enough to read.
_LARGEST_FILE = 16 << 20


class Identity:
    """Who a process runs as.

    ``home`` and ``name`` are empty when passwd does not tell; with ``keeps_groups`` its groups stay those that it has.
    """

    def __init__(self, uid: int, gid: int, groups: Sequence[int], home: str = "", name: str = "") -> None:
        self.uid = uid
        self.gid = gid
        self.groups = list(groups)
        self.keeps_groups = False
        self.home = home
        self.name = name


ROOT = Identity(0, 0, (0,), "/root", "root")


def look_up(text: str, passwd: str = _PASSWD, group: str = "/etc/group", root: str = "/") -> Identity:
    """Who ``user[:group]`` is, names or numbers, as Docker resolves ``--user``; ``root`` is where the files lie.

    A number is always an id: an image may have a user of id 0 whose name is ``1000``.

    Raises:
        LookupError: a name that the files do not hold; the message is Docker's.
    """
    user, _, group_name = text.partition(":")
    user = user or "0"
    entry = next((e for e in _entries(passwd, 7, root) if _is(e, user)), None)
    if entry is not None:
        found = Identity(int(entry[2]), int(entry[3]) if entry[3].isdecimal() else 0, (), entry[5], entry[0])
    elif user.isdecimal():
        found = Identity(_in_range(user), 0, ())
    else:
        raise LookupError(f"unable to find user {user}: no matching entries in passwd file")
    if group_name:
        found.gid = _group_number(group_name, group, root)
        found.groups = [found.gid]
    else:
        found.groups = [found.gid, *_memberships(found.name, found.gid, group, root)]
    return found


def of_ids(uid: int, gid: int, groups: Sequence[int] | None, passwd: str = _PASSWD, root: str = "/") -> Identity:
    """The identity of plain ids, with the home that passwd tells for them."""
    entry = next((e for e in _entries(passwd, 7, root) if e[2] == str(uid)), None)
    home, name = (entry[5], entry[0]) if entry else ("", "")
    return Identity(uid, gid, [gid] if groups is None else groups, home, name)


def group_numbers(names: Sequence[str], group: str = "/etc/group", root: str = "/") -> list[int]:
    """The numbers of groups given by name or number.

    Raises:
        LookupError: a name that the file does not hold; the message is Docker's.
    """
    return [_group_number(name, group, root) for name in names]


def add_user(name: str, uid: int, gid: int, groups: Sequence[int], home: str) -> None:
    """Have passwd and group know these ids by this name and home; runs inside the container's root.

    Where the image has another user of this id, the new line goes before that one's: the id is called so, and the
    image's name still means the same id. Root stays as the image calls it.
    """
    users, known = list(_entries("/etc/passwd", 7)), list(_entries("/etc/group", 4))
    found = next((entry for entry in users if int(entry[2]) == uid), None)
    if found is None or (uid and (found[0], found[5]) != (name, home)):
        line = f"{_free(name, {entry[0] for entry in users if int(entry[2]) != uid})}:x:{uid}:{gid}::{home}:/bin/sh\n"
        _add_line("/etc/passwd", line, first=found is not None)
    group_names = {entry[0] for entry in known}
    numbers = {int(entry[2]) for entry in known}
    if gid not in numbers:
        _add_line("/etc/group", f"{_free(name, group_names)}:x:{gid}:\n")
    for extra in groups:
        if extra not in numbers and extra != gid:
            _add_line("/etc/group", f"{_free(f'group{extra}', group_names)}:x:{extra}:{name}\n")


def make_home(home: str, owner: Sequence[int]) -> None:
    """Make a home where there is none; what is mounted read-only there has none then.

    ``owner`` is whose it is to be, user and group, in the ids of this process.
    """
    if os.path.lexists(home):
        return
    try:
        os.makedirs(home, 0o755)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return
    os.chown(home, *owner)
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


def _group_number(name: str, path: str, root: str) -> int:
    if name.isdecimal():
        return _in_range(name)
    entry = next((e for e in _entries(path, 4, root) if e[0] == name), None)
    if entry is not None:
        return int(entry[2])
    raise LookupError(f"unable to find group {name}: no matching entries in group file")


def _is(entry: list[str], user: str) -> bool:
    return int(entry[2]) == int(user) if user.isdecimal() else entry[0] == user


def _in_range(number: str) -> int:
    if int(number) > _LARGEST:
        raise LookupError(f"uids and gids must be in range 0-{_LARGEST}")
    return int(number)


def _memberships(user: str, gid: int, path: str, root: str) -> list[int]:
    if not user:
        return []
    return [int(e[2]) for e in _entries(path, 4, root) if user in e[3].split(",") and int(e[2]) != gid]


def _entries(path: str, fields: int, root: str = "/") -> Iterator[list[str]]:
    """The well-formed lines of the file; a missing file has none."""
    for line in _text(path, root).split("\n"):
        entry = line.rstrip("\r").split(":")
        if len(entry) >= fields and _is_id(entry[2]):
            yield entry


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST))


def _text(path: str, root: str = "/") -> str:
    """The text of a file that the image made: a pipe, a device, a file of /proc and one that is missing have none.

    Raises:
        LookupError: it is too large to be read.
    """
    file = _open(path, os.O_RDONLY, root)
    if file < 0:
        return ""
    try:
        # Not up to its end: /proc has files whose reading waits, and whose size is zero.
        size = os.fstat(file).st_size
        if size > _LARGEST_FILE:
            raise LookupError(f"{path} of the image has {size} bytes, more than the {_LARGEST_FILE} that are read")
        return os.read(file, size).decode("utf-8", "surrogateescape")
    finally:
        os.close(file)


def _open(path: str, flags: int, root: str = "/", *, same_mount: bool = False) -> int:
    """A descriptor of the regular file; -1 when there is none."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mode = 0o644 if flags & os.O_CREAT else 0
        file = paths.open_in_root(top, path, flags | os.O_NONBLOCK | os.O_NOCTTY, mode, same_mount=same_mount)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EXDEV, errno.EISDIR}:
            return -1
        raise
    finally:
        os.close(top)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return -1


def _add_line(path: str, line: str, *, first: bool = False) -> None:
    """Add a line to a file of the root file system itself: what is mounted on it, or a pipe, is left alone."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        paths.make_directories(root, os.path.dirname(path))
    finally:
        os.close(root)
    content = _text(path)
    if first:
        line += content  # longer than what is there, so nothing of that is left behind it
    elif content and not content.endswith("\n"):
        line = "\n" + line
    file = _open(path, os.O_RDWR | os.O_CREAT | (0 if first else os.O_APPEND), same_mount=True)
    if file < 0:
        return
    try:
        os.write(file, line.encode("utf-8", "surrogateescape"))
    finally:
        os.close(file)
