"""Files opened with the rights of somebody else, whatever this process may do itself."""

from __future__ import annotations

import errno
import os
import stat
import struct

from kist.kernel import libc, process
from kist.kernel.lean import signal, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SYS_FACCESSAT2 = 439
_AT_EACCESS = 0x200
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_TRIES = 1000
# A file system of the caller's own (FUSE) need never answer, and the caller may stop a process of the caller's.
_PATIENCE = 10.0
_SHOWABLE = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK})


def open_as(path: str, uid: int, gid: int, groups: Sequence[int], *, writable: bool) -> int:
    """A descriptor (O_PATH) of what a user finds at a path and could open; no link leads further than that user may go.

    It is looked for, and the access is asked for, by a process that is that user and has no capability. Whatever is at
    the path afterwards: the descriptor stays what was looked at.

    Args:
        path: absolute.
        uid: of the user.
        gid: and of its group.
        groups: further ones.
        writable: to read and to write; otherwise to read (and of a directory, to enter it).

    Raises:
        OSError: EACCES and its kin; ENODEV for a device, a FIFO or a link of /proc; ETIMEDOUT when there is no answer.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        code = errno.EIO
        try:
            process.close_all_but(theirs.fileno())
            _become(uid, gid, groups)
            _send(theirs, 0, _looked_at(path, writable=writable))
            code = 0
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            if code:
                _send(theirs, code)
            os._exit(0)
    theirs.close()
    blocked = 0
    try:
        ours.settimeout(_PATIENCE)
        return _received(ours, path)
    except TimeoutError as error:
        blocked = os.WNOHANG  # the kernel may hold it for as long as the file system likes
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path) from error
    finally:
        ours.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, blocked)


def open_beneath(root: str, path: str) -> int:
    """A descriptor (O_PATH) of what is at a path below a directory, with this process's rights; no link leads out.

    Raises:
        OSError: EXDEV for a link that would.
    """
    above = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inside = path[len(root.rstrip("/")) :].strip("/") or "."
        found = _open(above, inside, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    finally:
        os.close(above)
    return _showable(found, path)


def is_closed(descriptor: int, closed: Sequence[str]) -> bool:
    """Whether what a descriptor stands for is in one of these directories, or has one of them in it."""
    found = os.readlink(f"/proc/self/fd/{descriptor}").rstrip("/") + "/"
    places = [os.path.realpath(place).rstrip("/") + "/" for place in closed]
    return any(found.startswith(place) or place.startswith(found) for place in places)


def _become(uid: int, gid: int, groups: Sequence[int]) -> None:
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    process.set_capabilities(0, 0, 0)
    process.set_dumpable(dumpable=False)
    if uid == 0 or process.permitted_capabilities():
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def _looked_at(path: str, *, writable: bool) -> int:
    found = _showable(_open(libc.AT_FDCWD, path, _RESOLVE_NO_MAGICLINKS), path)
    wanted = os.R_OK | (os.W_OK if writable else 0)
    if stat.S_ISDIR(os.fstat(found).st_mode):
        wanted |= os.X_OK
    libc.syscall(_SYS_FACCESSAT2, found, b"", wanted, libc.AT_EMPTY_PATH | _AT_EACCESS, path=path)
    return found


def _open(directory: int, path: str, resolve: int) -> int:
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, resolve)
    for left in range(_TRIES, -1, -1):
        try:
            return libc.syscall(libc.SYS_OPENAT2, directory, os.fsencode(path), how, len(how), path=path)
        except OSError as error:
            if error.errno != errno.EAGAIN or not left:
                raise
    raise AssertionError("the last try returns or raises")


def _showable(found: int, path: str) -> int:
    if stat.S_IFMT(os.fstat(found).st_mode) in _SHOWABLE:
        return found
    os.close(found)
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), path)


def _send(channel: socket.socket, code: int, *descriptors: int) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", each)) for each in descriptors]
    channel.sendmsg([struct.pack("i", code)], rights)


def _received(channel: socket.socket, path: str) -> int:
    data, ancillary, _, _ = channel.recvmsg(4, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return int(struct.unpack("i", content)[0])
    number = struct.unpack("i", data)[0] if data else errno.EINTR
    raise OSError(number, os.strerror(number), path)
