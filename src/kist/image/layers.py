"""Tar to file tree: a layer to a snapshot (image-spec 1.1, layer.md, "Applying Changesets"), any tar to a directory.

A layer is unpacked straight into the upper directory that its snapshot's mounts name; nothing is mounted for it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import BinaryIO, TypeVar

import msgspec

from kist.errors import from_os_error
from kist.image.deletions import Deletions
from kist.image.earlier import Earlier
from kist.image.filling import filling_of
from kist.image.lowers import Lowers
from kist.image.tar import TarReader
from kist.image.unpack import Manner, Unpacker
from kist.image.whiteouts import Whiteouts
from kist.kernel import files, userns
from kist.kernel.userns import Ids
from kist.spec.mount import Mount

T = TypeVar("T")


class Applied(msgspec.Struct, frozen=True):
    """What came out of a layer: bytes of its regular files, and the number of its members."""

    size: int
    entries: int


def apply(stream: BinaryIO, mounts: Sequence[Mount], *, what: str = "layer", end_mark: bool = False) -> Applied:
    """Unpack the layer in ``stream`` (plain tar) into a snapshot's mounts, owners and devices as they are written.

    The stream is read to its end; without ``end_mark`` it may lack the tar's end mark. After a failure the snapshot
    holds rubbish and is to be removed.

    Raises:
        Corrupt: the tar is damaged or cut short, or a hard link names nothing.
        InvalidInput: a member would lead out of the layer.
        Unsupported: a member is of a kind that cannot be kept.
        Unavailable: the disk is full.
        Forbidden: a device or an owner that this user may not make.
    """
    filling = filling_of(mounts)
    # In a directory that began as a copy there are default ACLs and set-group-id bits.
    born_right = not filling.copy_of

    def work(*, exact: bool) -> Applied:
        reader = TarReader(stream, what=what, end_mark=end_mark)
        with ExitStack() as stack:
            below = stack.enter_context(Lowers(filling.lowers, filling.opaque))
            whiteouts = Whiteouts(below if filling.lowers else None, filling.opaque)
            unpacker = stack.enter_context(
                Unpacker(
                    filling.directory,
                    what,
                    whiteouts=Deletions() if filling.copy_of else whiteouts,
                    fresh=exact and born_right,
                    ids=userns.limited_ids(),
                )
            )
            applied = unpack_all(reader, unpacker)
        reader.drain()
        return applied

    return _with_exact_modes(work, f"unpack {what}")


def unpack(
    stream: BinaryIO,
    directory: str | int,
    *,
    devices: bool,
    what: str = "archive",
    manner: Manner | None = None,
    ids: Ids | None = None,
    sparse: bool = False,
    end_mark: bool = True,
    owner: tuple[int, int] | None = None,
    earlier: Earlier | None = None,
) -> Applied:
    """Unpack a plain tar into a directory that may hold things already; whiteouts are files like any other.

    Args:
        stream: plain tar.
        directory: path or descriptor of the root that nothing leaves.
        devices: whether device nodes are made; otherwise they are refused.
        what: the archive in messages.
        manner: how members are put into a tree that somebody uses.
        ids: those that files can be of, where these are not all.
        sparse: take sparse files in GNU's format 1.0.
        end_mark: whether an archive without the tar's end mark is one that was cut short.
        owner: user and group of all members, in place of their own.
        earlier: has files that may be the same.

    Raises:
        Corrupt, InvalidInput, Unsupported, Unavailable, Forbidden: as for ``apply``.
    """

    def work(*, exact: bool) -> Applied:
        del exact  # a directory that was there may have a default ACL or the set-group-id bit
        if manner is not None and manner.acts_as != (0, 0):
            files.make_files_as(*manner.acts_as)  # this thread ends with the archive
        if manner is not None and manner.harmless:
            files.only_owned_files()
        reader = TarReader(stream, what=what, end_mark=end_mark, sparse=sparse)
        with Unpacker(
            directory, what, whiteouts=None, fresh=False, devices=devices, manner=manner, ids=ids, earlier=earlier
        ) as unpacker:
            return unpack_all(reader, unpacker, owner)

    return _with_exact_modes(work, f"unpack {what}")


def unpack_all(reader: TarReader, unpacker: Unpacker, owner: tuple[int, int] | None = None) -> Applied:
    """Unpack each member, then set what only the end can: the attributes of directories."""
    size = entries = 0
    for member in reader:
        entry = member if owner is None else msgspec.structs.replace(member, uid=owner[0], gid=owner[1])
        unpacker.add(entry, reader)
        size += entry.size
        entries += 1
    unpacker.finish()
    return Applied(size, entries)


def _with_exact_modes(work: Callable[..., T], doing: str) -> T:
    """Run ``work(exact=True)`` in a thread without umask, so that a file is born with its mode and needs no chmod."""
    try:
        with ThreadPoolExecutor(1, "kist-unpack") as pool:
            return pool.submit(_in_thread, work).result()
    except OSError as error:
        raise from_os_error(error, doing) from error


def _in_thread(work: Callable[..., T]) -> T:
    try:
        files.private_umask(0)
    except PermissionError:  # a seccomp filter that forbids unshare altogether
        return work(exact=False)
    return work(exact=True)
