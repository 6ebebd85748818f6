"""A build context that comes as a tar archive: unpacked where the build reads it."""

from typing import BinaryIO

from kist.image.compression import plain
from kist.image.earlier import Earlier
from kist.image.layers import Applied, unpack
from kist.image.unpack import Manner


def receive_context(
    stream: BinaryIO, directory: str, *, whole: bool = False, earlier: Earlier | None = None
) -> Applied:
    """Unpack the archive (plain, or compressed by gzip, bzip2, xz or zstd) into ``directory``; nothing leaves it.

    All files are root's, whosever they are in the archive: COPY sets owners itself, and not every engine has all ids.

    The archive may lack its end, unless it is to be ``whole``: what the docker client sends with ``-f -`` does, and
    the request's own framing tells whether all has come. Files that are the same are taken from an ``earlier`` one.

    Raises:
        Corrupt: it is damaged or cut short.
        InvalidInput: a member would lead out of the context.
        Unsupported: a member is of a kind that no context has, a device for example.
        Unavailable: the disk is full.
    """
    manner = Manner(owners=lambda _uid, _gid: (0, 0))
    return unpack(
        plain(stream),
        directory,
        devices=False,
        what="build context",
        manner=manner,
        end_mark=whole,
        sparse=True,
        earlier=earlier,
    )
