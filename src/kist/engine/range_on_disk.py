"""Whether the data root can hold files of an ordinary user's subordinate ids, and whether it may hold some.

A server of network files (NFS) knows the user and nobody else of the range, and refuses to give files away. A mount
that shows other owners (a mapped home) has no ids for them. There the range is of no use, and one id does the work.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from functools import partial

from kist.kernel import marks, trials, userns

_log = logging.getLogger(__name__)
_MARK = "subordinate-ids"
# These keep any number, and are not asked at each start.
_KEEP_ALL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay"})


def refusal(data_root: str, write_maps: Callable[[int], str]) -> OSError | None:
    """What is refused when a file there is given to an id of the range; None where nothing is.

    To be called by a process with one thread.

    Args:
        data_root: or where it will be.
        write_maps: gives a process's user namespace the range, as for ``userns.become_root``.
    """
    existing = os.path.abspath(data_root)
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    if marks.file_system(existing) in _KEEP_ALL:
        return None
    return trials.attempt(partial(_give_away, existing, write_maps))


def may_be_in(data_root: str) -> bool:
    """Whether an engine with a range has worked on the data root: with one id not all of its files can be reached."""
    return os.path.exists(os.path.join(data_root, _MARK))


def note(data_root: str) -> None:
    """Leave word of this process's range in the data root, for a day on which there is none."""
    ids = userns.limited_ids()
    if ids is None or ids.alone or may_be_in(data_root):
        return
    try:
        os.close(os.open(os.path.join(data_root, _MARK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:  # a full disk, from which something is about to be removed
        _log.warning("it cannot be noted that %s has files of subordinate ids: %s", data_root, error)


def cost_of(lacks: str, data_root: str) -> str:
    """Why this process has one id only, and what that costs where there were more; empty where it has more."""
    ids = userns.limited_ids()
    if ids is None or not ids.alone or not may_be_in(data_root):
        return lacks
    return f"{lacks or 'there are no more here'}; what was made with more cannot all be read, changed or removed"


def _give_away(directory: str, write_maps: Callable[[int], str]) -> None:
    userns.become_root(write_maps)
    if userns.ids_here().alone:
        return  # there is no range, which is told otherwise
    with tempfile.NamedTemporaryFile(prefix=".kist-owner-", dir=directory) as file:
        os.fchown(file.fileno(), 1, 1)
