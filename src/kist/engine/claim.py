"""One run root for each data root: who looks for containers at another place takes those that run for dead.

The file ``run-root-HOST`` in the data root names it: a home may be that of many machines, each with run roots of its
own. Each engine holds it locked, shared, for as long as it lives; who has another run root may take it over when no
engine lives and no container runs.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from kist.engine import state
from kist.engine.listing import names_in
from kist.errors import Conflict


def file_name() -> str:
    """Of the file, on this machine."""
    return "run-root-" + os.uname().nodename.replace("/", "_")


@contextlib.contextmanager
def unused(data_root: str) -> Iterator[None]:
    """While no engine has the data root, and none of its containers runs.

    Raises:
        Conflict: one has it, or one runs.
    """
    descriptor = os.open(os.path.join(data_root, file_name()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"{data_root} is in use: an engine has it open",
                hint="`kist engine stop` stops it; what runs with --local, or in a script, has to end",
            ) from None
        run_root = os.fsdecode(os.pread(descriptor, 4096, 0))
        living = [name for name in names_in(os.path.join(data_root, "containers")) if run_root and runs(run_root, name)]
        if living:
            raise Conflict(
                f"containers run: {', '.join(name[:12] for name in living)}",
                hint="kist stop $(kist ps -q) stops them all",
            )
        yield
    finally:
        os.close(descriptor)


class Claim:
    """Held by an engine; the kernel lets go of it however the engine dies.

    Args:
        data_root: whose containers they are.
        run_root: where they run.

    Raises:
        Conflict: they run somewhere else.
    """

    def __init__(self, data_root: str, run_root: str) -> None:
        own = os.path.realpath(run_root)
        self._descriptor = os.open(os.path.join(data_root, file_name()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while (found := self._locked(fcntl.LOCK_SH)) != own:
                self._take_over(data_root, found, own)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def _locked(self, kind: int) -> str:
        """What the file says, under this lock."""
        fcntl.flock(self._descriptor, kind)
        return os.fsdecode(os.pread(self._descriptor, 4096, 0))

    def _take_over(self, data_root: str, found: str, own: str) -> None:
        try:
            if self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB) != found:
                return  # somebody was first
        except BlockingIOError:
            raise _taken(data_root, found) from None
        if found and any(runs(found, name) for name in names_in(os.path.join(data_root, "containers"))):
            raise _taken(data_root, found)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, os.fsencode(own), 0)


def runs(run_root: str, identifier: str) -> bool:
    """Whether a container lives there."""
    place = os.path.join(run_root, "containers", identifier)
    with contextlib.suppress(OSError):
        return any(True for look in (state.living_monitor, state.living_container) for _ in look(place))
    return False


def _taken(data_root: str, run_root: str) -> Conflict:
    return Conflict(
        f"{data_root} is in use: its containers run in {run_root}",
        hint=f"set KIST_RUN={run_root} for these, or KIST_ROOT for images and containers of their own",
    )
