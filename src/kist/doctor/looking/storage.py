"""The data root and the run root, and what the file system there can do."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from kist.doctor.facts import Disks, Place, Storage
from kist.doctor.looking.machine import opened, words
from kist.kernel import marks, mount_table, process, programs, trials
from kist.spec import roots

_PREFIX = ".kist-doctor-"
_SAMPLE = 4096


def place(path: str, variable: str) -> Place:
    """A directory of Kist's, which need not be there yet."""
    existing = _nearest(path)
    found = os.statvfs(existing)
    refusal = ""
    try:
        _below(path, existing)
        with tempfile.TemporaryFile(prefix=_PREFIX, dir=existing):
            pass
    except OSError as error:
        refusal = words(error)
    return Place(
        path=path,
        variable=variable,
        existing=existing,
        refusal=refusal,
        file_system=marks.file_system(existing),
        mount_point=mount_table.mount_of(existing).point,
        noexec=bool(found.f_flag & os.ST_NOEXEC),
        free=found.f_bavail * found.f_frsize,
        size=found.f_blocks * found.f_frsize,
        free_inodes=found.f_favail,
        inodes=found.f_files,
    )


def run_place(path: str) -> Place:
    """The run root, which nobody else may have made or be able to change."""
    found = place(path, "KIST_RUN")
    for directory in (path, os.path.dirname(path)):
        if not found.refusal and os.path.isdir(directory):
            status = os.lstat(directory)
            fault = roots.fault_of_run_root(status.st_uid, status.st_mode, os.geteuid())
            found = replace(found, refusal=fault, existing=directory if fault else found.existing)
    return found


def _nearest(path: str) -> str:
    """The directory itself, or the nearest above it that is there."""
    path = os.path.abspath(path)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _below(path: str, existing: str) -> None:
    """See that what comes next on the way can be made: neither a file is there nor a link that leads nowhere."""
    rest = os.path.relpath(os.path.abspath(path), existing).partition("/")[0]
    if os.path.lexists(os.path.join(existing, rest)) and not os.path.isdir(os.path.join(existing, rest)):
        raise NotADirectoryError(errno.ENOTDIR, f"{rest} is no directory")


def storage(existing: str) -> Storage:
    """Try what layers need, in a directory that is gone afterwards."""
    try:
        with _scratch(existing) as directory:
            return _tried(directory)
    except OSError as error:
        return Storage(words(error), words(error), words(error), words(error))


def disks() -> Disks:
    """What a container's own disk takes."""
    return Disks(opened("/dev/loop-control"), programs.find("mkfs.ext4", os.environ) or "")


def _tried(directory: str) -> Storage:
    source, target = os.path.join(directory, "source"), os.path.join(directory, "target")
    with open(source, "wb") as file:
        file.write(b"x" * _SAMPLE)
    stacked = os.path.join(directory, "layers")
    os.mkdir(stacked)
    machines_root = os.geteuid() == 0 and process.in_initial_user_namespace()
    trusted = words(trials.attempt(partial(trials.attribute, source, "trusted.kist")))
    return Storage(
        overlay=words(trials.attempt(partial(trials.overlay, stacked))),
        attributes=words(trials.attempt(partial(trials.attribute, source, "user.kist"))),
        trusted=trusted if machines_root else None,
        reflink=words(trials.attempt(partial(trials.reflink, source, target))),
    )


@contextmanager
def _scratch(existing: str) -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix=_PREFIX, dir=existing)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
