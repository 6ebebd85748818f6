"""``-v SOURCE:TARGET:U``: what is mounted becomes the container's user's, before the container starts.

Owners on the disk are meant. Where mounts are mapped (``--userns``) they are the ids inside; in an ordinary user's
engine they are ids of its user namespace, and nobody else's can be had.
"""

import os
import posixpath
import pwd
from collections.abc import Collection, Mapping, Sequence

from kist.engine import userns as own_ids
from kist.engine.means import Means
from kist.engine.owners import user_of
from kist.errors import Forbidden, InvalidInput, NotFound, from_os_error
from kist.kernel import handover, paths, trees
from kist.kernel.handover import DEEPEST
from kist.spec.mount import Mount
from kist.spec.runtime import IdMap, IdMaps, RuntimeSpec
from kist.spec.volume import VolumeSource

OPTION = "U"
# Of the system: no directory in these is given away, and of the others not the directory itself.
_WHOLE = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr")
_ITSELF = frozenset({
    "/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var", "/var/cache", "/var/lib",  # noqa: S108
    "/var/log", "/var/mail", "/var/run", "/var/spool", "/var/tmp", "/run/user",  # noqa: S108
})  # fmt: skip


def hand_over(
    mounts: Sequence[Mount], spec: RuntimeSpec, volumes: Mapping[str, VolumeSource], means: Means, data_root: str
) -> None:
    """Give the sources of the mounts that have the option ``U`` to the user whom the specification names.

    Args:
        mounts: of the container's options.
        spec: fitted to ``means``.
        volumes: what each volume is on the host.
        means: what can be done here.
        data_root: the engine's own files, which are nobody's.

    Raises:
        InvalidInput: a directory of the system, or an id that the container has not.
        Forbidden: a file that is not the user's to give.
        NotFound: there is no such source.
    """
    wanted = [mount for mount in mounts if OPTION in mount.options and mount.type in {"bind", "volume"}]
    if not wanted or (means.ids is not None and means.ids.alone):
        return  # with one id all that can be anybody's is the user's
    inside = _user(spec)
    for mount in wanted:
        source = VolumeSource(mount.source, is_host=True) if mount.type == "bind" else volumes[mount.source]
        if source.is_held:
            raise InvalidInput(
                f"option U: the volume {mount.source} is mounted for the container, and has no files before",
                hint="say whose it is to be when it is made: kist volume create -o uid=… -o gid=…",
            )
        owner = _on_disk(inside, spec.linux.ids, means, mapped=source.is_host)
        _give(source, owner, data_root)


def _user(spec: RuntimeSpec) -> tuple[int, int]:
    """The ids of the command's user in the container; of who changes places with root, root's."""
    if spec.process.within is not None:
        return 0, 0
    who = spec.process.user
    if not who.username:
        return who.uid, who.gid
    tree = trees.open_tree_of([(mount.type, mount.source, (*mount.options, "ro")) for mount in spec.root])
    try:
        return user_of(tree, who.username)
    finally:
        os.close(tree)


def _on_disk(inside: tuple[int, int], ids: IdMaps | None, means: Means, *, mapped: bool) -> tuple[int, int]:
    """What the ids inside are on the disk.

    Raises:
        InvalidInput: there are no such ids.
    """
    owner: tuple[int, int] = inside
    if ids is not None:
        pairs = ((ids.uids, ids.bind_uids), (ids.gids, ids.bind_gids))
        uid, gid = (
            _through(number, own, binds if mapped else ()) for number, (own, binds) in zip(inside, pairs, strict=True)
        )
        owner = (uid, gid)
    known = means.ids is None or means.ids.holds(*owner)
    if not known or -1 in owner:
        uid, gid = inside
        raise InvalidInput(
            f"option U: the container's user {uid}:{gid} has no id on this machine",
            hint="choose another user for the container (-u), or leave U out",
        )
    return owner


def _through(number: int, own: Sequence[IdMap], binds: Sequence[IdMap]) -> int:
    """The id on the disk that a mapped mount shows as ``number``; -1 for none."""
    outside = own_ids.mapped(own, number)
    if outside < 0 or not binds:
        return number if outside >= 0 else -1
    for entry in binds:
        if entry.outside <= outside < entry.outside + entry.size:
            return entry.inside + outside - entry.outside
    return -1


def _give(source: VolumeSource, owner: tuple[int, int], data_root: str) -> None:
    path = source.path
    try:
        held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"option U: no such file or directory: {path}", hint="make it first") from None
    try:
        if source.is_host:
            # Of the very directory that is given away, wherever links on the way lead by then.
            refuse(paths.place_of(held), os.path.realpath(data_root), _homes())
        handover.give_tree(held, *owner)
    except PermissionError as error:
        raise Forbidden(
            f"option U: {posixpath.normpath(posixpath.join(path, error.filename or ''))} is not yours to give away",
            hint="change its owner yourself, or leave U out",
        ) from error
    except OSError as error:
        raise from_os_error(error, f"option U: give {path} to the container's user (at most {DEEPEST} deep)") from error
    finally:
        os.close(held)


def _homes() -> frozenset[str]:
    return frozenset(posixpath.normpath(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_dir)


def refuse(path: str, data_root: str, homes: Collection[str]) -> None:
    """Refuse to change the owners of what the machine, a user or the engine lives on.

    Args:
        path: absolute, without symbolic links.
        data_root: the engine's.
        homes: of the machine's users.

    Raises:
        InvalidInput: names the path and what can be done.
    """
    whose = ""
    if path in _ITSELF or any(_is_in(path, top) for top in _WHOLE):
        whose = "the system's"
    elif path in homes:
        whose = "a user's home"
    elif _is_in(path, data_root) or _is_in(data_root, path):
        whose = "the engine's own"
    if whose:
        raise InvalidInput(
            f"option U: {path} is {whose}, and its owner is not changed for a container",
            hint="mount a directory below it, or leave U out",
        )


def _is_in(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")
