"""Digests of bytes (OCI image specification, descriptor.md, "Digests")."""

import hashlib
import re
from typing import Self

from kist.errors import InvalidInput

_PATTERN = re.compile(r"sha256:[0-9a-f]{64}\Z|sha512:[0-9a-f]{128}\Z")


class Digest(str):
    """``algorithm:hex``, checked when it is made.

    Raises:
        InvalidInput: the text is not a digest of a registered algorithm (sha256, sha512).
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check and wrap ``text``."""
        if not _PATTERN.match(text):
            raise InvalidInput(
                f"invalid digest {text!r}", hint="a digest is sha256: and 64 hexadecimal digits in lower case"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The SHA-256 digest of ``data``."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The part after the colon."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hexadecimal digits, as tables show them."""
        return self.hex[:12]


def chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    """The identity of a layer with all layers below it (OCI image specification, config.md, "Layer ChainID")."""
    return diff_id if parent is None else Digest.of(f"{parent} {diff_id}".encode())


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The chain id of each layer, from the lowest up."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(chain_id(chain[-1] if chain else None, diff_id))
    return tuple(chain)
