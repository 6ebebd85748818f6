"""Platforms as they are written and read (OCI image, descriptor.md and image-index.md)."""

import json

import pytest

from kist.spec.json import decode, encode
from kist.spec.platform import Platform


def test_the_operating_system_is_always_written() -> None:
    assert json.loads(encode(Platform("amd64"))) == {"architecture": "amd64", "os": "linux"}


def test_what_was_written_without_one_is_still_read() -> None:
    assert decode(b'{"architecture":"arm","variant":"v7"}', Platform) == Platform("arm", "linux", "v7")


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("linux/arm64/v8", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/arm/v7", "linux/arm/v7"),
    ],
)
def test_a_variant_that_an_architecture_has_anyway_is_none(text: str, usual: str) -> None:
    assert str(Platform.parse(text)) == usual


def test_an_image_is_of_a_platform_in_whatever_way_both_are_written() -> None:
    plain, written = Platform("arm64"), Platform("arm64", "linux", "v8")
    assert all(one.is_one_of(other) for one in (plain, written) for other in (plain, written))
    assert not Platform("arm", "linux", "v6").is_one_of(Platform("arm", "linux", "v7"))
    assert Platform("arm", "linux", "v6").is_one_of(Platform("arm"))
