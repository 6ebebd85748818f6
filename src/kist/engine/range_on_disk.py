"""Whether the data root can hold files of an ordinary user's subordinate ids, and whether it may hold some.

A server of network files (NFS) knows the user and nobody else of the range, and refuses to give files away. A mount
that shows other owners (a mapped home) has no ids for them. There the range is of no use, and one id does the work.
"""

import os
import tempfile
from collections.abc import Callable
from functools import partial

from kist.kernel import marks, trials, userns

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


def noted(data_root: str, lacks: str) -> str:
    """Leave word of a range in the data root, for a day on which there is none; what it costs then.

    Args:
        data_root: of this engine.
        lacks: why this process has one id only, where it has.

    Returns:
        The same, with the cost where there is one.
    """
    ids = userns.limited_ids()
    if ids is None:
        return lacks
    if ids.alone and may_be_in(data_root):
        return f"{lacks or 'there are no more here'}; what was made with more cannot all be read, changed or removed"
    if not ids.alone and not may_be_in(data_root):
        os.close(os.open(os.path.join(data_root, _MARK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return lacks


def _give_away(directory: str, write_maps: Callable[[int], str]) -> None:
    userns.become_root(write_maps)
    if userns.ids_here().alone:
        return  # there is no range, which is told otherwise
    with tempfile.NamedTemporaryFile(prefix=".kist-owner-", dir=directory) as file:
        os.fchown(file.fileno(), 1, 1)
