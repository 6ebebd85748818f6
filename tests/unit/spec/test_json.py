"""JSON of names of files, which may be any bytes."""

import json
import os

import pytest

from kist.spec.files import Change, ChangeKind
from kist.spec.json import decode, encode, encode_escaped, encode_replaced

NAME = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("write", [encode_escaped, encode_replaced])
def test_what_is_unicode_is_written_as_ever(write: object) -> None:
    value = [{"Path": "/café", "Kind": 1}]
    assert write(value) == encode(value)  # type: ignore[operator]


def test_a_name_that_is_none_comes_through() -> None:
    assert json.loads(encode_escaped([{"Path": NAME}])) == [{"Path": NAME}]
    change = Change("/" + NAME, ChangeKind.ADDED)
    assert decode(encode_replaced((change,)), tuple[Change, ...]) == (Change("/caf�", ChangeKind.ADDED),)
