"""``--storage-opt size=``: how much a container may write to its own files. Pure."""

import re

from kist.errors import InvalidInput
from kist.spec.container import ContainerOptions

LEAST = 16 << 20
"""Bytes of the smallest disk: below, there is more book-keeping than room."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_MOST = 16 << 40  # of ext4 with blocks of 4096 bytes


def asked_size(options: ContainerOptions) -> int:
    """The bytes that ``--storage-opt size=`` asks for; 0 where it does not.

    Raises:
        InvalidInput: another option is named, the size is none, or a directory of the host is the root.
    """
    unknown = next((name for name in options.storage_options if name != "size"), None)
    if unknown is not None:
        raise InvalidInput(f"unknown option {unknown!r} of --storage-opt", hint="write --storage-opt size=10G")
    text = options.storage_options.get("size")
    if text is None:
        return 0
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"invalid --storage-opt size={text}", hint="a size is a number with k, m, g or t: size=10G")
    size = int(float(found[1]) * 1024 ** " kmgtp".index(found[2].lower() or " "))
    if not LEAST <= size < _MOST:
        raise InvalidInput(
            f"invalid --storage-opt size={text}: it is less than {LEAST >> 20}M or more than {_MOST >> 40}T",
            hint="write --storage-opt size=10G",
        )
    if options.rootfs:
        raise InvalidInput(
            f"--storage-opt size={text} cannot limit {options.rootfs}, which is a directory of this machine",
            hint="leave out --storage-opt, or run an image",
        )
    return size
