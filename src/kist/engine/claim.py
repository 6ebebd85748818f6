"""One run root for each data root: who looks for containers at another place takes those that run for dead.

The file ``run-root-HOST`` in the data root names it: a home may be that of many machines, each with run roots of its
own. Each engine holds it locked, shared, for as long as it lives; who has another run root may take it over when no
engine lives and no container runs.

What runs on another machine cannot be seen from here, but for an engine's lock. So an engine does not begin while one
has the file of another machine locked, nor while there is such a file and a container of which nobody knows that it has
ended: it would be settled as if it had. Files of machines where all has ended stay, and are no harm: machines may take
turns. A conversion, which takes the old files away, wants every other machine's file to be gone.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator

from kist.engine import state
from kist.engine.listing import names_in
from kist.errors import Conflict
from kist.store.locks import StoreLock

_PREFIX = "run-root-"


def file_name() -> str:
    """Of the file, on this machine."""
    return _PREFIX + os.uname().nodename.replace("/", "_")


@contextlib.contextmanager
def unused(data_root: str, *, running: bool = False) -> Iterator[list[str]]:
    """While no engine has the data root, and none of its containers runs, on whatever machine.

    Args:
        data_root: the data root.
        running: containers may run on this machine: for those who only look. Gives their ids.

    Raises:
        Conflict: one has it, or one runs, or could run on another machine.
    """
    descriptor = os.open(os.path.join(data_root, file_name()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock_alone(
            descriptor,
            f"{data_root} is in use: an engine has it open",
            "`kist engine stop` stops it; what runs with --local, or in a script, has to end",
        )
        run_root = os.fsdecode(os.pread(descriptor, 4096, 0))
        living = [name for name in names_in(os.path.join(data_root, "containers")) if run_root and runs(run_root, name)]
        if living and not running:
            raise Conflict(
                f"containers run: {', '.join(name[:12] for name in living)}",
                hint="kist stop $(kist ps -q) stops them all",
            )
        for host in _other_hosts(data_root):
            raise Conflict(
                f"{data_root} was used on {host}, too, and nobody sees from here what runs there",
                hint=_when_to_remove(data_root, host),
            )
        yield living
    finally:
        os.close(descriptor)


class Claim:
    """Held by an engine; the kernel lets go of it however the engine dies.

    Args:
        data_root: whose containers they are.
        run_root: where they run.
        started: tells the ids of those that were ever started; asked where other machines have used the data root.

    Raises:
        Conflict: they run somewhere else.
    """

    def __init__(self, data_root: str, run_root: str, started: Callable[[], Iterable[str]] = tuple) -> None:
        own = os.path.realpath(run_root)
        self._descriptor = os.open(os.path.join(data_root, file_name()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while (found := self._locked(fcntl.LOCK_SH)) != own:
                self._take_over(data_root, found, own)
            for host in _other_hosts(data_root):
                _check_ended(data_root, own, host, started())
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
            # Who holds an empty file is about to take it over, as we are, and will not be long.
            if self._locked(fcntl.LOCK_EX | (fcntl.LOCK_NB if found else 0)) != found:
                return  # somebody was first
        except BlockingIOError:
            raise _taken(data_root, found) from None
        if found and any(runs(found, name) for name in names_in(os.path.join(data_root, "containers"))):
            raise _taken(data_root, found)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, os.fsencode(own), 0)


def _other_hosts(data_root: str) -> list[str]:
    """The machines that have a file here, without this one.

    Raises:
        Conflict: an engine on one of them has the data root open.
    """
    names = sorted(name for name in names_in(data_root) if name.startswith(_PREFIX) and name != file_name())
    if names:
        with StoreLock(f"{data_root}/open.lock").alone(wait=True):  # who looks as we do is not taken for an engine
            for name in names:
                _check_unlocked(data_root, name)
    return [name.removeprefix(_PREFIX) for name in names]


def _check_unlocked(data_root: str, name: str) -> None:
    try:
        descriptor = os.open(os.path.join(data_root, name), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _lock_alone(
            descriptor,
            f"{data_root} is in use: an engine on {name.removeprefix(_PREFIX)} has it open",
            "stop what runs there, or set KIST_ROOT to a data root of this machine's own (docs/guide/batch.md)",
        )
    finally:
        os.close(descriptor)


def _lock_alone(descriptor: int, message: str, hint: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(message, hint=hint) from None


def _check_ended(data_root: str, run_root: str, host: str, started: Iterable[str]) -> None:
    """Refuse where a container could run on another machine: its end is not on record, and it does not run here."""
    lost = [
        identifier
        for identifier in started
        if not os.path.exists(os.path.join(data_root, "containers", identifier, state.FILE))
        and not runs(run_root, identifier)
    ]
    if lost:
        raise Conflict(
            f"{data_root} was used on {host}, too, where containers may still run: "
            f"{', '.join(identifier[:12] for identifier in lost)}",
            hint=_when_to_remove(data_root, host),
        )


def _when_to_remove(data_root: str, host: str) -> str:
    path = os.path.join(data_root, _PREFIX + host)
    return (
        f"when no engine and no container runs there any more (`kist ps` on {host} tells), or {host} is switched off, "
        f"or was a name of this machine: rm {path}"
    )


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
