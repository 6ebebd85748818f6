"""What a user namespace cannot hold of a file: an owner that it has no id for, a device.

Such a file is the namespace's root's, and a device is an empty file that nobody may open; what it would be is kept in
an attribute of it, where the file system has attributes for users, so that an archive made of it tells the truth again.
Symbolic links, pipes and sockets have no such attributes: theirs is lost.

Who may write to a file may write its attributes. So the attribute is believed of root's own files alone, of a device
only where nobody may write to it, and never by an engine that has all ids: there nobody has to pretend anything.
"""

import errno
import os

import msgspec

from kist.errors import InvalidInput
from kist.image import tar
from kist.image.tar import Entry
from kist.kernel import files, userns
from kist.kernel.userns import Ids

ATTRIBUTE = "user.kist.pretended"
_DEVICES = (tar.CHARACTER, tar.BLOCK_DEVICE)
_WITHOUT_ATTRIBUTES = (tar.SYMBOLIC_LINK, tar.FIFO)
_LAST_ID = 2**31 - 1
_ROOM = 16 << 20  # bytes
_LAST_MAJOR, _LAST_MINOR = 0xFFF, 0xFFFFF


def pretended(entry: Entry, ids: Ids) -> Entry:
    """The entry as it can be made here; what an archive itself says of a pretence is left out."""
    foreign = not ids.holds(entry.uid, entry.gid)
    device = entry.kind in _DEVICES
    if not foreign and not device:
        return without(entry)
    words = [f"{entry.uid}:{entry.gid}"]
    changed = msgspec.structs.replace(without(entry), uid=0, gid=0)
    if device:
        words += [entry.kind.decode(), *map(str, entry.device), str(entry.mode)]
        changed = msgspec.structs.replace(changed, kind=tar.REGULAR, device=(0, 0), size=0, mode=0)
    elif entry.kind in _WITHOUT_ATTRIBUTES:
        return changed
    return msgspec.structs.replace(changed, xattrs={**changed.xattrs, ATTRIBUTE: ":".join(words).encode()})


def without(entry: Entry) -> Entry:
    """The entry without any word of a pretence."""
    if ATTRIBUTE not in entry.xattrs:
        return entry
    return msgspec.structs.replace(entry, xattrs={n: v for n, v in entry.xattrs.items() if n != ATTRIBUTE})


def told(entry: Entry) -> Entry:
    """The entry of a file as it was before it was ``pretended``."""
    text = entry.xattrs.get(ATTRIBUTE)
    if text is None:
        return entry
    plain = without(entry)
    words = text.decode("ascii", "replace").split(":")
    numbers = [int(word) if word.isascii() and word.isdecimal() and len(word) <= 10 else -1 for word in words]
    # A file that has got another owner since is that owner's, and whoever has it wrote the attribute, maybe.
    if (entry.uid, entry.gid) != (0, 0) or len(words) not in {2, 6} or not all(0 <= n <= _LAST_ID for n in numbers[:2]):
        return plain
    owned = msgspec.structs.replace(plain, uid=numbers[0], gid=numbers[1])
    if len(words) == 2:
        return owned
    kind = next((kind for kind in _DEVICES if kind == words[2].encode()), None)
    _, _, _, major, minor, mode = numbers
    sound = 0 <= major <= _LAST_MAJOR and 0 <= minor <= _LAST_MINOR and 0 <= mode <= 0o7777
    if kind is None or not sound or entry.kind is not tar.REGULAR or entry.size or entry.mode:
        return plain
    return msgspec.structs.replace(owned, kind=kind, device=(major, minor), mode=mode)


def device_of(file: int) -> str:
    """What an empty file is in truth that stands for a device, without its owner; empty for any other.

    ``KIND:MAJOR:MINOR:MODE``, as it is in the attribute.
    """
    try:
        words = os.getxattr(file, ATTRIBUTE).decode("ascii", "replace").split(":", 2)
    except OSError:
        return ""
    return words[2] if len(words) > 2 else ""


def give(file: int, uid: int, gid: int, device: str = "") -> None:
    """Make an open file another owner's, or pretend it; it stands for a ``device`` of the same owner, maybe."""
    ids = userns.limited_ids()
    if ids is None or (ids.holds(uid, gid) and not device):
        os.fchown(file, uid, gid)
    else:
        os.fchown(file, 0, 0)
        keep(file, ATTRIBUTE, ":".join(filter(None, (f"{uid}:{gid}", device))).encode())


def give_link(parent: int, name: str | bytes, uid: int, gid: int) -> None:
    """The same for what a name in a directory is, a symbolic link itself; of that nothing can be pretended."""
    ids = userns.limited_ids()
    if ids is None or ids.holds(uid, gid):
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)


def keep(file: int, attribute: str, value: bytes) -> None:
    """Set an extended attribute of an open file.

    Where the file system has none, none is kept; and those of the machine's root (``trusted.``) are left out by who is
    root of a user namespace. One that tells of a pretence is never worth a failure.

    Raises:
        InvalidInput: the file system has no room for so many, or for so large ones, of one file (ext4: a block).
        OSError: the disk is full.
    """
    try:
        os.setxattr(file, attribute, value)
    except OSError as error:
        if attribute == ATTRIBUTE or is_left_out(attribute) or error.errno == errno.EOPNOTSUPP:
            return
        if error.errno == errno.ENOSPC and has_room(os.fstatvfs(file)):
            raise InvalidInput(
                f"too many extended attributes, or too large ones: this file system has no room for {attribute}",
                hint="take some away, or put the data root on a file system that holds more (XFS, Btrfs)",
            ) from error
        raise


def has_room(disk: os.statvfs_result) -> bool:
    """Whether a disk is not full: what has no room on it has it nowhere."""
    return disk.f_bavail * disk.f_frsize > _ROOM


def keep_at(parent: int, name: bytes, attribute: str, value: bytes) -> None:
    """The same for what a name in a directory is, a symbolic link itself."""
    try:
        files.set_xattr_at(parent, name, attribute, value)
    except OSError as error:
        if not is_left_out(attribute) and error.errno != errno.EOPNOTSUPP:
            raise


def is_left_out(attribute: str) -> bool:
    """Whether an attribute is one that only the machine's root may set, and this engine is not that."""
    return attribute.startswith("trusted.") and userns.limited_ids() is not None
