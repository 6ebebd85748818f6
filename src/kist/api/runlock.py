"""One engine for each run root, however many are started at once."""

import contextlib
import fcntl
import os
from types import TracebackType
from typing import Self

from kist.errors import Conflict, Unavailable, see_doctor


class RunLock:
    """Held for as long as the engine lives; the kernel lets go of it when the process dies, however it dies.

    It protects everything in the run root that belongs to the engine: the socket, the process id, the log. The lock
    file itself is never removed, since two processes could then hold locks on two files of one name.
    """

    def __init__(self, run_root: str) -> None:
        self._run_root = run_root
        self._pid_path = os.path.join(run_root, "engine.pid")
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            Conflict: another engine has it.
            Unavailable: the run root cannot be made or written.
        """
        try:
            os.makedirs(self._run_root, mode=0o700, exist_ok=True)
            path = os.path.join(self._run_root, "engine.lock")
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"cannot use the run root: {error.strerror}: {error.filename}",
                hint=see_doctor("run-root", "choose another with KIST_RUN"),
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise Conflict(
                f"an engine is already running for {self._run_root}{self._whose()}",
                hint="use it, end it with `kist engine stop`, or choose another run root with KIST_RUN",
            ) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        """Let go of the lock."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._pid_path)
        os.close(self._descriptor)

    def tell_pid(self) -> None:
        """Write ``engine.pid``."""
        temporary = self._pid_path + ".new"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.replace(temporary, self._pid_path)

    def _whose(self) -> str:
        try:
            with open(self._pid_path, encoding="ascii") as file:
                return f" (process {int(file.read(32))})"
        except (OSError, ValueError):
            return ""
