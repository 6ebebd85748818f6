"""Who could put another socket in a socket's place: whoever may write to a directory on the way to it."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator

from kist.errors import Forbidden
from kist.kernel import userns

_ROOT = 0


def check_way(path: str) -> None:
    """Refuse a socket whose directory, or one above that, others than root and the engine's user may change.

    Where a directory is sticky (``/tmp``), nobody takes away what is another's there, and that is enough. A group of
    which the engine's user is the only member is nobody else. A directory that is not there is refused by others.

    Args:
        path: of the socket, absolute.

    Raises:
        Forbidden: names the directory, and who.
    """
    if danger := danger_on_the_way(path):
        raise Forbidden(
            f"cannot listen at {path}: {danger}, who could put another socket there",
            hint="choose a directory that only the engine's user may write to, or `chmod go-w` this one",
        )


def danger_on_the_way(path: str) -> str:
    """Which directory others may change, and who; empty where none."""
    for directory in _on_the_way(os.path.dirname(path)):
        try:
            status = os.stat(directory)
        except OSError:
            continue  # whoever makes the socket meets it, and says so
        if danger := danger_of(status):
            return f"{directory} {danger}"
    return ""


def danger_of(status: os.stat_result) -> str:
    """Why what is in a directory is not safe from others: who may change it; empty where nobody else may."""
    uid, gid = userns.outside(status.st_uid, status.st_gid)
    own, _ = userns.outside(os.geteuid(), os.getegid())
    if uid not in {_ROOT, own, -1}:  # of whom an ordinary user's engine knows nothing, that may be root
        return f"belongs to {_user(uid)}"
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_ISVTX or not mode & 0o022:
        return ""
    if mode & stat.S_IWOTH:
        return f"may be written to by everybody (mode {mode:04o})"
    return "" if _is_alone(gid, own) else f"may be written to by {_group(gid)} (mode {mode:04o})"


def _on_the_way(directory: str) -> Iterator[str]:
    """A directory and all above it, as it is written and as links lead."""
    seen: set[str] = set()
    for begin in (os.path.abspath(directory), os.path.realpath(directory)):
        place = begin
        while place not in seen:
            seen.add(place)
            yield place
            place = os.path.dirname(place)


def _is_alone(gid: int, own: int) -> bool:
    """Whether a group has no members but this user, and root; as many distributions give each user one."""
    if gid < 0:
        return False
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(own)
    except KeyError:
        return False
    return group.gr_name == user.pw_name and not {*group.gr_mem} - {user.pw_name, "root"}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _group(gid: int) -> str:
    try:
        return f"the group {grp.getgrgid(gid).gr_name}"
    except KeyError:
        return f"the group {gid}" if gid >= 0 else "a group"
