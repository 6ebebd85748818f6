"""A build context that comes as a tar archive: unpacked where the build reads it."""

from typing import BinaryIO

from kist.image.compression import plain
from kist.image.layers import unpack


def receive_context(stream: BinaryIO, directory: str) -> None:
    """Unpack the archive (plain, or compressed by gzip, bzip2, xz or zstd) into ``directory``; nothing leaves it.

    The archive may lack its end: what the docker client sends with ``-f -`` does, and the request's own framing tells
    whether all has come.

    Raises:
        Corrupt: it is damaged or cut short.
        InvalidInput: a member would lead out of the context.
        Unsupported: a member is of a kind that no context has, a device for example.
        Unavailable: the disk is full.
    """
    unpack(plain(stream), directory, devices=False, what="build context", end_mark=False)
