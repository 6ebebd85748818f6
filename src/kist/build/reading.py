"""Small files inside a root that somebody else filled."""

import errno
import os
import stat

from kist.kernel.paths import open_in_root


def read_inside(root: int, path: str, limit: int) -> bytes | None:
    """The file's bytes, at most ``limit`` + 1 of them; None where there is none.

    Raises:
        OSError: it is no regular file (``IsADirectoryError`` for a directory), or cannot be read.
    """
    try:
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None  # no file can have that name
        raise
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if kind != stat.S_IFREG:
            raise OSError(errno.EINVAL, "is no regular file", path)
        data = b""
        while len(data) <= limit and (more := os.read(descriptor, limit + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)
