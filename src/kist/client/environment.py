"""The environment as the user's own would be, where a process has got another one's or a part of it.

Batch systems carry ``XDG_RUNTIME_DIR`` from the machine where a job was handed in to one where nobody has logged in, su
and sudo leave somebody else's, and cron has no ``HOME`` on some machines.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def settled(environment: "Mapping[str, str]", uid: int) -> "Mapping[str, str]":
    """The same, with ``HOME`` from the user database where it lacks, and without a runtime directory of no use.

    Args:
        environment: as ``os.environ``.
        uid: the user's; root's places hang on neither.
    """
    changes: dict[str, str] = {}
    if uid and not environment.get("HOME"):
        changes["HOME"] = _home(uid)
    if uid and (place := environment.get("XDG_RUNTIME_DIR")) and not _usable(place):
        changes["XDG_RUNTIME_DIR"] = ""
    return {**environment, **changes} if changes else environment


def _home(uid: int) -> str:
    import pwd  # noqa: PLC0415 - a shared object to load, where there is no HOME

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return ""


def _usable(place: str) -> bool:
    """Whether a directory can be made in this one; it may have to be made first."""
    return os.access(place if os.path.isdir(place) else os.path.dirname(place), os.W_OK | os.X_OK)
