"""Cgroups are made also while somebody else takes the folder of all of them away, which was empty."""

import contextlib
import os
import threading
from pathlib import Path

from kist.kernel import cgroup_v1

ROUNDS, REMOVALS = 300, 5


def test_a_group_is_made_whoever_takes_its_empty_parent_away_meanwhile(tmp_path: Path) -> None:
    parent = tmp_path / "kist"
    for _ in range(ROUNDS):
        over = threading.Event()

        def remove(over: threading.Event = over) -> None:
            left = REMOVALS
            while left and not over.is_set():
                with contextlib.suppress(OSError):  # not there yet, or in use
                    os.rmdir(parent)
                    left -= 1

        beside = threading.Thread(target=remove)
        beside.start()
        try:
            cgroup_v1._make(str(parent / "group"))
        finally:
            over.set()
            beside.join()
        assert (parent / "group").is_dir()
        (parent / "group").rmdir()
        parent.rmdir()
