"""User namespaces and subordinate ids."""

import os
from functools import partial

from kist.doctor.facts import Helper, Namespaces, SubordinateIds
from kist.doctor.looking.machine import words
from kist.engine import range_on_disk, rootless
from kist.kernel import files, marks, process, programs, trials, userns

_MOST = "/proc/sys/user/max_user_namespaces"


def namespaces(data_root: str) -> Namespaces:
    """Make a user namespace, and in it what a container needs.

    Args:
        data_root: an existing directory of the file system that images are on.
    """
    machines_root = os.geteuid() == 0 and process.in_initial_user_namespace()
    made = words(trials.attempt(trials.user_namespace))
    return Namespaces(
        made=made,
        settings={path: marks.setting(path) for path, *_ in rootless.REFUSALS},
        most=marks.setting(_MOST),
        proc=words(trials.attempt(trials.proc)),
        mapped=words(trials.attempt(partial(trials.mapped_mount, data_root))) if machines_root else None,
    )


def subordinate(data_root: str, *, trial: bool) -> SubordinateIds:
    """The user's subordinate ids.

    Args:
        data_root: an existing directory of the file system that images are on.
        trial: whether they are taken as the engine would take them.
    """
    uid, gid = os.geteuid(), os.getegid()
    standing = rootless.look(uid, gid)
    found = {name: programs.find(name, os.environ) for name in rootless.HELPERS}
    tried = words(trials.attempt(partial(_take, standing))) if standing.uids and uid and trial else None
    owned = None
    if tried == "":
        owned = words(range_on_disk.refusal(data_root, partial(_write_maps, standing)))
    return SubordinateIds(
        subuid=files.read_text("/etc/subuid"),
        subgid=files.read_text("/etc/subgid"),
        count=1 if tried or owned else sum(size for *_, size in standing.maps()[0]),
        helpers={name: Helper(path, marks.sets_ids(path)) if path else None for name, path in found.items()},
        locked=marks.no_new_privileges(),
        mapped=tried,
        owned=owned,
        left=range_on_disk.may_be_in(data_root),
    )


def _take(standing: rootless.Standing) -> None:
    """Be root of a user namespace with the whole range."""
    userns.become_root(partial(_write_maps, standing))


def _write_maps(standing: rootless.Standing, pid: int) -> str:
    return rootless.run_helpers(pid, standing)[0]
