"""User namespaces and the ids in them."""

import errno
import os
import shlex
from collections.abc import Iterable

from kist.doctor.distribution import Distribution, keep_setting, script
from kist.doctor.facts import Namespaces, Person, Place, SubordinateIds
from kist.doctor.finding import BROKEN, LACKING, Finding, commands, ok
from kist.engine import rootless
from kist.errors import see_doctor

_ONE_ID = (
    "containers have one id: other users of an image cannot be had (-u USER is refused), and chown is answered with "
    "success and changes nothing"
)
_USUAL = 65536
_FIRST = 100_000
_LAST = 0xFFFFFFFE
# The highest id that images use is nobody's, 65534.
_ENOUGH = 65535
_FULL = os.strerror(errno.ENOSPC)
_WIDE = 15_000


def userns(person: Person, found: Namespaces) -> Finding:
    """Whether user namespaces can be made."""
    code = "userns"
    if not found.made:
        return ok(code, "user namespaces can be made" + (f", {found.most} for each user" if found.most else ""))
    state, cost = BROKEN, "no engine of an ordinary user can start, so no container can"
    if person.root:
        state, cost = LACKING, "containers cannot have a user namespace of their own (--userns auto)"
    for path, value, name, wanted in rootless.REFUSALS:
        if found.settings.get(path) == value:
            advice = ""
            if "apparmor" in name:
                advice = "or an AppArmor profile with the rule `userns,` for this Python alone"
            fix = keep_setting(name, wanted, "userns")
            return Finding(code, state, f"refused ({found.made}): {path} is {value}", cost, (fix,), advice=advice)
    if found.made == _FULL and found.most.isdecimal():
        fix = keep_setting("user.max_user_namespaces", str(max(_WIDE, 2 * int(found.most))), "userns")
        return Finding(code, state, f"all {found.most} that a user may have are in use", cost, (fix,))
    advice = (
        "user_namespaces(7) tells the reasons; within a container it is often the seccomp profile of that, and in a "
        "chroot there are none"
    )
    return Finding(code, state, f"refused: {found.made}", cost, advice=advice)


def untried(code: str) -> Finding:
    """What would be tried in a user namespace, where there is none."""
    return Finding(
        code,
        LACKING,
        "not tried: it takes a user namespace, and none can be made",
        "unknown as yet",
        advice=see_doctor("userns"),
    )


def proc(found: Namespaces) -> Finding:
    """Whether a container's /proc can be mounted."""
    if not found.proc:
        return ok("proc", "a container's own /proc can be mounted")
    return Finding(
        "proc",
        BROKEN,
        f"a container's own /proc cannot be mounted: {found.proc}",
        "no container starts but with --pid host",
        advice="the kernel refuses it where parts of /proc are hidden, as they are within a container: that one must "
        "be run with --security-opt systempaths=unconfined, or privileged",
    )


def mapped_mounts(person: Person, found: Namespaces) -> Finding:
    """Whether the data root can be shown with other owners."""
    code = "mapped-mounts"
    if found.mapped is None or not person.machines_root:
        return ok(code, "not needed: only root's containers have ids of their own")
    if not found.mapped:
        return ok(code, "the data root's files can be shown to containers with ids of their own")
    return Finding(
        code,
        LACKING,
        f"the data root's file system cannot show its files with other owners: {found.mapped}",
        "containers cannot have a user namespace of their own (--userns auto)",
        advice="Linux 5.19 on ext4, xfs or btrfs can (tmpfs: 6.3); KIST_ROOT chooses another data root",
    )


def newuidmap(person: Person, distribution: Distribution, found: SubordinateIds) -> Finding:
    """Whether the programs that give a user the subordinate ids are there and may do it."""
    code = "newuidmap"
    if person.root:
        return ok(code, "not needed: you are root")
    missing = [name for name, helper in found.helpers.items() if helper is None]
    if missing:
        fix = commands(distribution.install("newuidmap"))
        advice = "" if fix else "the package with newuidmap is called uidmap, shadow or shadow-utils"
        return Finding(code, LACKING, f"{missing[0]} is not installed", _ONE_ID, fix, advice=advice)
    weak = [helper.path for helper in found.helpers.values() if helper is not None and not helper.sets_ids]
    if weak:
        fix = tuple(f"chmod u+s {shlex.quote(path)}" for path in weak)
        advice = "where its file system is mounted nosuid, that has no effect"
        return Finding(code, LACKING, f"{weak[0]} has no right to set ids", _ONE_ID, fix, advice=advice)
    if found.locked:
        words = "newuidmap gets no rights here: this process may gain none (no_new_privs)"
        return Finding(code, LACKING, words, _ONE_ID,
                       advice="start Kist outside of what forbids it, a container or a service")  # fmt: skip
    if found.mapped:
        advice = "the lines of /etc/subuid and /etc/subgid for you may overlap, or name ids that this machine lacks"
        return Finding(code, LACKING, f"it was tried: {found.mapped}", _ONE_ID, advice=advice)
    paths = " and ".join(helper.path for helper in found.helpers.values() if helper is not None)
    return ok(code, paths + (" work" if found.mapped is not None else " may set ids"))


def owners(person: Person, place: Place, found: SubordinateIds) -> Finding:
    """Whether the data root can hold files of the range's ids."""
    code = "owners"
    if person.root:
        return ok(code, "not needed: you are root")
    if found.owned is None and found.left and found.count == 1:
        return Finding(
            code,
            LACKING,
            f"{place.path} has files of subordinate ids, and you have one id now",
            "images and containers from then cannot all be read, changed or removed",
            advice="`kist doctor subids newuidmap` tells how to have more again; KIST_ROOT chooses another data root",
        )
    if found.owned is None:
        return ok(code, "not needed: there is one id")
    if not found.owned:
        return ok(code, "files can be of your subordinate ids")
    kind = place.file_system or "its file system"
    return Finding(
        code,
        LACKING,
        f"files on {kind} ({place.existing}) cannot be of your subordinate ids: {found.owned}",
        _ONE_ID,
        advice="KIST_ROOT chooses another data root: a local disk with ext4, xfs or btrfs takes them",
    )


def subids(person: Person, found: SubordinateIds) -> Finding:
    """Whether the user has subordinate ids."""
    code = "subids"
    if person.root:
        return ok(code, "not needed: you are root")
    texts = {"uid": found.subuid, "gid": found.subgid}
    granted = {kind: rootless.granted(text, person.name, person.uid) for kind, text in texts.items()}
    lacking = [kind for kind, ranges in granted.items() if not ranges]
    who = person.name or str(person.uid)
    if lacking:
        fix = _grant(person, who, lacking, free_start(texts.values()))
        files = " and ".join(f"/etc/sub{kind}" for kind in lacking)
        verb = "give" if len(lacking) > 1 else "gives"
        return Finding(code, LACKING, f"{files} {verb} {who} no ids", _ONE_ID, (fix,), advice=_AFTER)
    counts = {kind: 1 + sum(size for _, size in ranges) for kind, ranges in granted.items()}
    if min(counts.values()) < _ENOUGH:
        few = [kind for kind, count in counts.items() if count < _ENOUGH]
        fix = _grant(person, who, few, free_start(texts.values()))
        cost = f"users and groups of images whose number is {min(counts.values())} or higher cannot be had"
        return Finding(code, LACKING, f"{who} has {min(counts.values())} ids in all", cost, (fix,), advice=_AFTER)
    return ok(code, f"{who} has {min(counts.values())} ids in all")


_AFTER = "an engine that runs has its ids until it ends: `kist engine stop`, when no container runs"


def _grant(person: Person, who: str, kinds: Iterable[str], start: int) -> str:
    """The command that gives a range: usermod's, for who is in /etc/passwd; a line for others."""
    if person.name and person.local:
        options = " ".join(f"--add-sub{kind}s {start}-{start + _USUAL - 1}" for kind in kinds)
        return f"usermod {options} {shlex.quote(person.name)}"
    return script(*(f'echo "{who}:{start}:{_USUAL}" >> /etc/sub{kind}' for kind in kinds))


def free_start(texts: Iterable[str]) -> int:
    """The first id of a usual range that is nobody's in either file; ranges of users begin at 100000 by convention."""
    taken = []
    for text in texts:
        for line in text.splitlines():
            numbers = line.split("#")[0].strip().split(":")[1:]
            if len(numbers) == 2 and all(number.isascii() and number.isdecimal() for number in numbers):
                taken.append((int(numbers[0]), int(numbers[1])))
    start = _FIRST
    for first, size in sorted(taken):
        if first + size > start and first < start + _USUAL:
            start = first + size
    return start if start + _USUAL <= _LAST else _FIRST
