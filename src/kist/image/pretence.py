"""What a user namespace cannot hold of a file: an owner that it has no id for, a device.

Such a file is the namespace's root's, and a device is an empty file; what it would be is kept in an attribute of it,
where the file system has attributes for users, so that an archive made of it tells the truth again. Symbolic links
have no such attributes: theirs is lost.
"""

import os

import msgspec

from kist.image import tar
from kist.image.tar import Entry
from kist.kernel import userns
from kist.kernel.userns import Ids

ATTRIBUTE = "user.kist.pretended"
_DEVICES = (tar.CHARACTER, tar.BLOCK_DEVICE)


def pretended(entry: Entry, ids: Ids) -> Entry:
    """The entry as it can be made here."""
    foreign = not ids.holds(entry.uid, entry.gid)
    device = entry.kind in _DEVICES
    if not foreign and not device:
        return entry
    words = [f"{entry.uid}:{entry.gid}"]
    changed = msgspec.structs.replace(entry, uid=0, gid=0) if foreign else entry
    if device:
        words += [entry.kind.decode(), *map(str, entry.device)]
        changed = msgspec.structs.replace(changed, kind=tar.REGULAR, device=(0, 0), size=0)
    elif entry.kind is tar.SYMBOLIC_LINK:
        return changed
    return msgspec.structs.replace(changed, xattrs={**entry.xattrs, ATTRIBUTE: ":".join(words).encode()})


def told(entry: Entry) -> Entry:
    """The entry of a file as it was before it was ``pretended``."""
    text = entry.xattrs.get(ATTRIBUTE)
    if text is None:
        return entry
    xattrs = {name: value for name, value in entry.xattrs.items() if name != ATTRIBUTE}
    words = text.decode("ascii", "replace").split(":")
    numbers = [word for place, word in enumerate(words) if place != 2]
    if len(words) not in {2, 5} or not all(word.isdecimal() for word in numbers):
        return msgspec.structs.replace(entry, xattrs=xattrs)  # somebody else's words
    told = msgspec.structs.replace(entry, uid=int(words[0]), gid=int(words[1]), xattrs=xattrs)
    if len(words) == 5 and entry.kind is tar.REGULAR and not entry.size:
        kind = next((kind for kind in _DEVICES if kind == words[2].encode()), tar.REGULAR)
        told = msgspec.structs.replace(told, kind=kind, device=(int(words[3]), int(words[4])))
    return told


def give(file: int, uid: int, gid: int) -> None:
    """Make an open file another owner's, or pretend it."""
    ids = userns.limited_ids()
    if ids is None or ids.holds(uid, gid):
        os.fchown(file, uid, gid)
    else:
        os.fchown(file, 0, 0)
        keep(file, ATTRIBUTE, f"{uid}:{gid}".encode())


def give_link(parent: int, name: str | bytes, uid: int, gid: int) -> None:
    """The same for what a name in a directory is, a symbolic link itself; of that nothing can be pretended."""
    ids = userns.limited_ids()
    if ids is None or ids.holds(uid, gid):
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)


def keep(file: int, attribute: str, value: bytes) -> None:
    """Set an extended attribute of an open file; what only tells of a pretence may be lost where there are none."""
    try:
        os.setxattr(file, attribute, value)
    except OSError:
        if attribute != ATTRIBUTE:
            raise
