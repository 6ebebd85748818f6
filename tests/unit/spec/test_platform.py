"""Platforms as they are written and read (OCI image, descriptor.md and image-index.md)."""

import json

from kist.spec.json import decode, encode
from kist.spec.platform import Platform


def test_the_operating_system_is_always_written() -> None:
    assert json.loads(encode(Platform("amd64"))) == {"architecture": "amd64", "os": "linux"}


def test_what_was_written_without_one_is_still_read() -> None:
    assert decode(b'{"architecture":"arm","variant":"v7"}', Platform) == Platform("arm", "linux", "v7")
