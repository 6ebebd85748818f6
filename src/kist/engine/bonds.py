"""Which containers are bound to the life of a process (``--local``), told by locks that die with it.

For each there is a file in the run root, locked by the process for as long as it lives. What such a process could not
do any more, whoever finds the file unlocked does: another process of this kind at its start, and any engine.
"""

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Callable

from kist.engine.listing import names_in
from kist.kernel import process
from kist.runtime import launch

_DIRECTORY = "bonds"
_KEEPER = re.compile(launch.keeper_name(r"(\d+)-\d+").replace(".", r"\."))


class Bonds:
    """The bonds of one run root, and those that are this process's.

    Args:
        run_root: where they are.
        binds: whether what this process makes is bound to it; ``take`` does nothing otherwise.
    """

    def __init__(self, run_root: str, *, binds: bool = False) -> None:
        self.binds = binds
        self._run_root = run_root
        self._directory = os.path.join(run_root, _DIRECTORY)
        # Protects the dictionary.
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}

    def take(self, identifier: str) -> None:
        """Bind the container of this id, which is about to be made or started, to this process."""
        if not self.binds or identifier in self.held():
            return
        os.makedirs(self._directory, 0o700, exist_ok=True)
        path = os.path.join(self._directory, identifier)
        while True:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    break
            os.close(descriptor)  # somebody found it before it was locked, and took it away
        with self._lock:
            self._held[identifier] = descriptor

    def drop(self, identifier: str) -> None:
        """It is gone; one that is not bound to this process is not minded."""
        with self._lock:
            descriptor = self._held.pop(identifier, -1)
        if descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._directory, identifier))
            os.close(descriptor)

    def held(self) -> tuple[str, ...]:
        """Those that are bound to this process."""
        with self._lock:
            return tuple(self._held)

    def of_others(self) -> frozenset[str]:
        """Those that are bound to another process."""
        return names_in(self._directory) - frozenset(self.held())

    def is_ours(self, identifier: str) -> bool:
        """Whether it belongs where this process's containers do: bound to this process, or like them to none."""
        return identifier in self.held() if self.binds else identifier not in self.of_others()

    def settle(self, act: Callable[[str], bool]) -> None:
        """Have ``act`` called with each container whose process has died; where it is done, the bond ends.

        Nobody else is at work on it meanwhile. It may be called for one that was never made, or is gone.
        """
        for name in names_in(self._directory):
            path = os.path.join(self._directory, name)
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if act(name):
                    os.unlink(path)
            except (BlockingIOError, FileNotFoundError):
                continue  # its process lives, or somebody else has just done it
            finally:
                os.close(descriptor)

    def tidy(self) -> None:
        """Take away the sockets of keepers that were killed, with the process that they were for or before upgrades."""
        for name in launch.shared_keepers(self._run_root):
            if name != launch.keeper_name() and not launch.listens(self._run_root, name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._run_root, name))
        for name in names_in(self._run_root):
            found = _KEEPER.fullmatch(name)
            if found and not _lives(int(found[1])) and not launch.listens(self._run_root, name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._run_root, name))


def _lives(pid: int) -> bool:
    """Whether there is a process of this number that has not ended, waited for or not."""
    try:
        return process.lives(pid, process.start_time(pid))
    except (FileNotFoundError, ProcessLookupError):
        return False
