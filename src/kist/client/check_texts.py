"""What rules look at of a context that is no directory here: an archive, or something that the engine fetches."""

import os
import tarfile
from binascii import a2b_base64

from kist.errors import InvalidInput
from kist.spec.dockerfile.ignore import NAME as IGNORE_NAME
from kist.spec.dockerfile.ignore import OF_ONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.client.wire import Wire

_USUAL = ("Dockerfile", "dockerfile", "Containerfile")
_LARGEST = 16 << 20
_CHUNK = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"


def from_archive(begin: bytes, fd: int, dockerfile: str, directory: str) -> None:
    """Put the Dockerfile of a tar archive, compressed or not, and what is ignored for it, into an empty directory.

    Args:
        begin: the first bytes of the archive.
        fd: the rest is read of it.
        dockerfile: its path in there.
        directory: the empty one.

    Raises:
        InvalidInput: it is no archive, or is damaged; a text is too large.
    """
    names = _USUAL if dockerfile == _USUAL[0] else (os.path.normpath(dockerfile.lstrip("/")),)
    wanted = {*names, *map(OF_ONE.format, names), IGNORE_NAME}
    try:
        with tarfile.open(fileobj=_plain(begin, fd), mode="r|*") as archive:
            for member in archive:
                name = os.path.normpath(member.name.lstrip("/"))
                if name in wanted and member.isreg():
                    if member.size > _LARGEST:
                        raise InvalidInput(f"{name!r} is larger than {_LARGEST >> 20} MiB")
                    content = archive.extractfile(member)
                    assert content is not None
                    _write(directory, name, content.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidInput(f"the archive on standard input cannot be read: {error}") from None


def fetched(wire: "Wire", url: str, dockerfile: str, directory: str) -> str:
    """The same of a context that the engine fetches; gives the path of the Dockerfile.

    Raises:
        KistError: it cannot be had.
    """
    texts = wire.call("POST", "/kist/build/texts", [("remote", url), ("dockerfile", dockerfile)])["texts"]
    for name, text in texts.items():
        _write(directory, name, a2b_base64(text))
    return str(next(iter(texts)))


def _plain(begin: bytes, fd: int) -> "Any":
    """What is read of a descriptor, after bytes that were; of zstd, which tarfile does not read, its plain bytes."""
    from kist.client.unpacking import Stream  # noqa: PLC0415 - for archives alone

    def pieces() -> "Iterator[bytes]":
        yield begin
        while data := os.read(fd, _CHUNK):
            yield data

    stream = Stream(pieces())
    if not begin.startswith(_ZSTD):
        return stream
    import zstandard  # noqa: PLC0415 - for who has such an archive

    return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)  # type: ignore[arg-type]


def _write(directory: str, name: str, text: bytes) -> None:
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text)
