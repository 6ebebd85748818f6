"""Why a guest may not have a bind, in words: what the operation ``open_for`` (``kist.runtime.mapped``) met."""

import errno
from collections.abc import Mapping

from kist.engine.policy.rights import PATH, grant_lines
from kist.errors import Forbidden, KistError, NotFound, Unavailable


def refusal(number: int, reason: str, arguments: Mapping[str, str]) -> KistError:
    """The error for an errno.

    Args:
        number: of the errno.
        reason: what it says.
        arguments: of the operation: ``source``, ``access`` and ``user``.
    """
    source, access, user = arguments["source"], arguments["access"], arguments["user"]
    refused = f"the bind of {source} is refused to {user}"
    if number in {errno.ENOENT, errno.ENOTDIR}:
        return NotFound(f"bind source path does not exist: {source}", hint="create it first, or correct the path")
    if number == errno.EXDEV:
        return Forbidden(
            f"{refused}: the policy closes that directory, or a link leads out of the one that it opens",
            hint=f"an administrator changes it in {PATH}",
        )
    if number in {errno.ENODEV, errno.ELOOP}:
        return Forbidden(f"{refused}: it is a device, a pipe or a link of /proc", hint="bind a file or a directory")
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        writable = access == "rw"
        lines = grant_lines(PATH, user, paths=source if writable else f"{source}:ro")
        return Forbidden(
            f"{refused}, who may not {'read and write' if writable else 'read'} it",
            hint=f"add :ro where reading is enough; else {lines}" if writable else lines,
        )
    return Unavailable(f"bind source {source}: {reason}", hint="does its file system answer?")
