"""Where Kist keeps its things, and what the file systems there can do."""

import errno
import os
import shlex

from kist.doctor.distribution import Distribution, keep_module
from kist.doctor.facts import Disks, Person, Place, Storage
from kist.doctor.finding import BROKEN, LACKING, Finding, commands, ok
from kist.doctor.judgement.machine import device

_FORBIDDEN = ":,\\"  # overlay's options cannot name a path that has them
_UNKNOWN = os.strerror(errno.ENODEV)
_GB = 1 << 30
_MB = 1 << 20
_LITTLE_DATA = _GB
_LITTLE_RUN = 16 * _MB
_FEW_FILES = 20_000
_PRUNE = ("kist system prune",)
_ELSEWHERE = "KIST_ROOT chooses another data root: on a local disk with ext4, xfs or btrfs all of this works"


def data_root(place: Place) -> Finding:
    """Whether images can be written."""
    if forbidden := set(place.path) & set(_FORBIDDEN):
        return _broken("data-root", place, f"{place.path} has a {min(forbidden)!r} in it, which overlay cannot take")
    return _writable("data-root", place, "images and volumes")


def run_root(place: Place) -> Finding:
    """Whether an engine can write what it needs while it runs."""
    return _writable("run-root", place, "sockets and logs")


def _writable(code: str, place: Place, what: str) -> Finding:
    if place.refusal:
        return _broken(code, place, f"nothing can be written to {place.path}: {place.refusal} ({place.existing})")
    return ok(code, f"{what} are in {place.path}" + (f", on {place.file_system}" if place.file_system else ""))


def _broken(code: str, place: Place, found: str) -> Finding:
    cost = "no engine can start, so no container can"
    return Finding(code, BROKEN, found, cost, advice=f"{place.variable} chooses another directory")


def overlay(place: Place, found: Storage) -> Finding:
    """Whether layers can be stacked."""
    kind = place.file_system or "its file system"
    if not found.overlay:
        return ok("overlay", f"layers can be stacked on {kind}")
    fix = (keep_module("overlay"),) if found.overlay == _UNKNOWN else ()
    return Finding(
        "overlay",
        LACKING,
        f"layers cannot be stacked on {kind} ({place.existing}): {found.overlay}",
        "each layer and each container is a whole copy of what is below it: that takes time, and space where files "
        "cannot share blocks",
        fix,
        advice="" if fix else _ELSEWHERE,
    )


def attributes(person: Person, place: Place, found: Storage) -> Finding:
    """Whether files can have the attributes that layers need."""
    kind = place.file_system or "its file system"
    refused = found.trusted if person.machines_root else found.attributes
    if not refused:
        return ok("xattrs", f"files on {kind} can have attributes")
    return Finding(
        "xattrs",
        LACKING,
        f"files on {kind} cannot have attributes: {refused}",
        "layers cannot be stacked there, programs have no capabilities of their own, and with one id the owners of an "
        "image's files are not kept",
        advice=_ELSEWHERE,
    )


def reflink(place: Place, found: Storage) -> Finding:
    """Whether files can share blocks."""
    kind = place.file_system or "its file system"
    if not found.reflink:
        return ok("reflink", f"copies of files on {kind} share their blocks")
    return Finding(
        "reflink",
        LACKING,
        f"copies of files on {kind} cannot share their blocks: {found.reflink}",
        "a volume that begins with an image's files takes their whole size; so does each container where layers cannot "
        "be stacked",
        advice="xfs and btrfs can, on a data root of their own (KIST_ROOT)",
    )


def disks(person: Person, distribution: Distribution, found: Disks) -> Finding:
    """Whether a container can have a disk of its own."""
    cost = "--storage-opt size= is refused: what a container writes is limited by the disk of the data root"
    if not person.machines_root:
        return ok("loop", "not needed: only root's containers have disks of their own")
    if found.devices:
        return device("loop", "/dev/loop-control", found.devices, cost, "loop")
    if not found.program:
        fix = commands(distribution.install("mkfs.ext4"))
        return Finding("loop", LACKING, "mkfs.ext4 is not installed", cost, fix)
    return ok("loop", f"loop devices can be made, and file systems on them ({found.program})")


def executables(place: Place) -> Finding:
    """Whether programs in volumes can be executed."""
    if not place.noexec:
        return ok("exec", f"programs in volumes can be executed ({place.mount_point} is not mounted noexec)")
    return Finding(
        "exec",
        LACKING,
        f"{place.mount_point} is mounted noexec",
        "programs in volumes cannot be executed (Permission denied); those of images can",
        (f"mount -o remount,exec {shlex.quote(place.mount_point)}",),
        advice="for good, take noexec out of its line in /etc/fstab; KIST_ROOT chooses another data root",
    )


def space(data: Place, run: Place) -> Finding:
    """Whether there is room for bytes."""
    counted = [place for place in (data, run) if place.size]
    if not counted:
        return ok("space", "these file systems have no limit on what is written")
    free = {place.existing: place.free for place in counted}
    found = ", ".join(f"{_size(count)} are free in {where}" for where, count in free.items())
    little = [place for place in counted if place.free < (_LITTLE_DATA if place is data else _LITTLE_RUN)]
    if not little:
        return ok("space", found)
    state = LACKING if all(place.free for place in counted) else BROKEN
    cost = "an image of a distribution takes some 200 MB, and a build several times that"
    if data not in little:
        cost = "a container that starts needs some 100 kB of the run root"
    return Finding("space", state, found, cost, _PRUNE, as_root=False,
                   advice="`kist system prune --dry-run` tells what would go, `kist system df` what takes space; "
                   "KIST_ROOT and KIST_RUN choose other places")  # fmt: skip


def inodes(data: Place, run: Place) -> Finding:
    """Whether there is room for files."""
    counted = [place for place in (data, run) if place.inodes]
    if not counted:
        return ok("inodes", "these file systems have no limit on the number of files")
    least = min(counted, key=lambda place: place.free_inodes)
    found = f"at least {least.free_inodes} more files can be made ({least.existing})"
    if least.free_inodes >= _FEW_FILES:
        return ok("inodes", found)
    state = LACKING if least.free_inodes else BROKEN
    return Finding("inodes", state, found, "an image of a distribution has some 9,000 files", _PRUNE, as_root=False,
                   advice="KIST_ROOT chooses another place")  # fmt: skip


def _size(count: int) -> str:
    if count >= _GB:
        return f"{count / 1e9:.1f} GB"
    return f"{count // 1_000_000} MB"
