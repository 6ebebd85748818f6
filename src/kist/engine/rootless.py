"""An ordinary user's engine: the user namespace in which it is root, entered before anything else is done.

There is one ladder. On its first step the user's subordinate ids (subuid(5)) are the namespace's, written by
``newuidmap`` and ``newgidmap``; on the second one, where there are none, the user alone is its root. All that comes
after is the same code as for the machine's root.

An engine that finds living containers of the user's enters the namespace that they are in: a keeper tells which. So
that several that begin at once find each other, they enter one by one.
"""

import contextlib
import fcntl
import logging
import os
import pwd
import subprocess
from collections.abc import Callable, Mapping, Sequence

import msgspec

from kist.engine import range_on_disk, state
from kist.engine.listing import names_in
from kist.errors import Forbidden, KistError, see_doctor
from kist.kernel import files, programs, userns
from kist.runtime import launch
from kist.spec import roots

_log = logging.getLogger(__name__)
HELPERS = ("newuidmap", "newgidmap")
# Why the kernel refuses user namespaces, and what mends it: a file of /proc, the value that forbids, the name of the
# setting, and a value that allows.
REFUSALS = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone", "1"),
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces", "15000"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns",
        "0",
    ),
)

Range = tuple[int, int]


class Standing(msgspec.Struct, frozen=True):
    """What a user can be.

    Attributes:
        uid, gid: the user's own ids, root's in the namespace.
        uids, gids: subordinate ranges, ``(start, size)``; empty on the second step.
        lacks: why it is the second step.
    """

    uid: int
    gid: int
    uids: tuple[Range, ...] = ()
    gids: tuple[Range, ...] = ()
    lacks: str = ""

    def maps(self) -> tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, int, int], ...]]:
        """The users' and the groups' maps, ``(inside, outside, size)``."""
        return _stacked(self.uid, self.uids), _stacked(self.gid, self.gids)


def _stacked(own: int, ranges: Sequence[Range]) -> tuple[tuple[int, int, int], ...]:
    """The own id as 0, and the ranges one after the other behind it."""
    found = [(0, own, 1)]
    for start, size in ranges:
        inside = found[-1][0] + found[-1][2]
        found.append((inside, start, size))
    return tuple(found)


def standing(uid: int, gid: int, name: str, subuid: str, subgid: str, found: Mapping[str, str | None]) -> Standing:
    """Which step of the ladder a user stands on.

    Args:
        uid: the user's.
        gid: the user's.
        name: the user's; empty where nobody knows it.
        subuid: the text of /etc/subuid.
        subgid: and of /etc/subgid.
        found: where ``newuidmap`` and ``newgidmap`` are, if they are.
    """
    missing = [helper for helper in HELPERS if not found.get(helper)]
    uids, gids = granted(subuid, name, uid), granted(subgid, name, uid)
    if not uids or not gids:
        file = "/etc/subuid" if not uids else "/etc/subgid"
        return Standing(uid, gid, lacks=f"{file} gives {name or uid} no ids")
    if missing:
        return Standing(uid, gid, lacks=f"{missing[0]} is not installed")
    return Standing(uid, gid, uids, gids)


def granted(text: str, name: str, uid: int) -> tuple[Range, ...]:
    """The ranges of the lines for a user, by name or by number."""
    ranges = []
    for line in text.splitlines():
        who, *numbers = line.split("#")[0].strip().split(":")
        known = who and who in {name, str(uid)}
        if known and len(numbers) == 2 and all(number.isascii() and number.isdecimal() for number in numbers):
            ranges.append((int(numbers[0]), int(numbers[1])))
    return tuple(ranges)


class Entry:
    """That a process has become root, and that others wait who want to be where it is.

    Args:
        lacks: why there is one id only, where there is; empty otherwise.
        turn: a descriptor of the lock that others wait for; -1 where none do.
    """

    def __init__(self, lacks: str = "", turn: int = -1) -> None:
        self.lacks = lacks
        self._turn = turn

    @property
    def is_awaited(self) -> bool:
        """Whether others wait."""
        return self._turn >= 0

    def settle(self, be_ready: Callable[[], None]) -> None:
        """Let others in, once ``be_ready`` has seen to it that they find this process's keeper."""
        if self.is_awaited:
            with contextlib.suppress(OSError):  # the keeper has died: others do without
                be_ready()
            os.close(self._turn)
            self._turn = -1


def enter(run_root: str, data_root: str, *, mounts_too: bool = True) -> Entry:
    """Be root, in a user namespace where this process is not root already; to be called before there are threads.

    Args:
        run_root: where an earlier engine of the user's may be, whose namespace is entered then.
        data_root: where files of all ids are to be.
        mounts_too: see what that engine sees mounted; otherwise what this process sees.

    Raises:
        Forbidden: this machine makes no user namespaces for its users, and what its administrator can do.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        return Entry()
    os.makedirs(run_root, 0o700, exist_ok=True)
    turn = os.open(os.path.join(run_root, "enter.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(turn, fcntl.LOCK_EX)
    # Settings are the user's, whatever the user is called from here on.
    os.environ.setdefault("KIST_CONFIG", roots.config_file(os.environ, uid))
    chosen = look(uid, gid)
    if not _join(run_root, mounts_too=mounts_too):
        chosen = fitting(chosen, data_root)

        def write_maps(pid: int) -> str:
            if chosen.uids:
                return _write_maps(pid, chosen)
            userns.write_own_map(pid, uid, gid)
            return ""

        try:
            userns.become_root(write_maps)
        except OSError as error:
            raise _refused(error) from error
        return Entry(_lacks(chosen, f"{HELPERS[0]} does not work"), turn)
    os.close(turn)  # who comes next finds whom we have found
    return Entry(_lacks(chosen, "its containers began before there were more"))


def _lacks(chosen: Standing, otherwise: str) -> str:
    """Why there is one id here, where there is; ``otherwise`` where there should be more."""
    if not userns.ids_here().alone:
        return ""
    return chosen.lacks or otherwise


def _join(run_root: str, *, mounts_too: bool) -> bool:
    """Enter the namespace of an earlier engine, if somebody lives there: a keeper, a monitor, or a container.

    Of a local run's keeper and of a container only the user namespace: what is found in their mounts, which are their
    own, is not to be run here.
    """
    keepers = ((mounts_too, launch.shared_keepers(run_root)), (False, launch.keepers_of_others(run_root)))
    for theirs_too, names in keepers:
        for name in names:
            if keeper := launch.keeper_pid(run_root, name):
                with contextlib.suppress(ProcessLookupError):
                    userns.join(keeper, mounts_too=theirs_too)
                    return True
    places = [os.path.join(run_root, "containers", name) for name in names_in(os.path.join(run_root, "containers"))]
    for theirs_too, living in ((mounts_too, state.living_monitor), (False, state.living_container)):
        for place in places:
            for pid, started in living(place):
                with contextlib.suppress(ProcessLookupError):
                    userns.join(pid, started, mounts_too=theirs_too)
                    return True
    return False


def look(uid: int, gid: int) -> Standing:
    """Which step of the ladder this machine has for a user."""
    found = {helper: programs.find(helper, os.environ) for helper in HELPERS}
    return standing(uid, gid, name_of(uid), files.read_text("/etc/subuid"), files.read_text("/etc/subgid"), found)


def fitting(chosen: Standing, data_root: str) -> Standing:
    """The same step, or the second one where the data root can hold no files of the range's ids."""
    if not chosen.uids:
        return chosen
    error = range_on_disk.refusal(data_root, lambda pid: _write_maps(pid, chosen))
    if error is None:
        return chosen
    return Standing(chosen.uid, chosen.gid, lacks=f"{data_root} can hold no files of other ids: {error.strerror}")


def name_of(uid: int) -> str:
    """The user's name; empty where nobody knows it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _write_maps(pid: int, chosen: Standing) -> str:
    """Write the maps of a process's new user namespace; what went wrong, or nothing."""
    told, written = run_helpers(pid, chosen)
    if not told or written:
        return told
    # Without its rights (in a container, on a file system without set-uid programs) it is as if it were not there.
    _log.warning("%s: there is one id only", told)
    userns.write_own_map(pid, chosen.uid, chosen.gid)
    return ""


def run_helpers(pid: int, chosen: Standing) -> tuple[str, int]:
    """Have the helpers write the maps of a process's new user namespace.

    Returns:
        What went wrong, or nothing; and how many of the two maps are written.
    """
    for number, (helper, entries) in enumerate(zip(HELPERS, chosen.maps(), strict=True)):
        words = [str(each) for entry in entries for each in entry]
        done = subprocess.run(
            [programs.find(helper, os.environ) or helper, str(pid), *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"{helper}: {done.stderr.strip() or done.returncode}", number
    return "", len(HELPERS)


def _refused(error: OSError) -> KistError:
    for path, value, name, wanted in REFUSALS:
        if files.read_text(path).strip() == value:
            return Forbidden(
                f"this machine makes no user namespaces for ordinary users: {path} is {value}",
                hint=see_doctor("userns", f"ask its administrator for: sysctl -w {name}={wanted}"),
            )
    return Forbidden(
        f"no user namespace could be made: {error.strerror}",
        hint=see_doctor("userns", "user_namespaces(7) tells the reasons"),
    )
