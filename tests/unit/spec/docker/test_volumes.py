"""Volumes in Docker's JSON, and which of them a filter means."""

import json

import pytest

from kist.errors import InvalidInput, Unsupported
from kist.spec.docker.volumes import match_volume, read_create, read_volume_filters, write_create, write_volume
from kist.spec.volume import Volume, VolumeOptions

NAMED = Volume("store", 1_700_000_000_123_456_789, labels={"a": "1", "b": ""}, mountpoint="/v/store/_data")
NAMELESS = Volume("f" * 64, 1, anonymous=True)


def test_a_volume_as_docker_tells_it() -> None:
    assert list(write_volume(NAMED).items()) == [
        ("CreatedAt", "2023-11-14T22:13:20Z"),
        ("Driver", "local"),
        ("Labels", {"a": "1", "b": ""}),
        ("Mountpoint", "/v/store/_data"),
        ("Name", "store"),
        ("Options", None),
        ("Scope", "local"),
    ]
    assert write_volume(NAMELESS)["Labels"] == {"com.docker.volume.anonymous": ""}


def test_what_is_asked_for_survives_the_way() -> None:
    asked = VolumeOptions("x", labels={"a": "b"}, options={"type": "tmpfs"})
    assert read_create(write_create(asked)) == asked
    assert read_create({}) == VolumeOptions()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"Name": 1}, InvalidInput),
        ({"Labels": {"a": 1}}, InvalidInput),
        ({"DriverOpts": []}, InvalidInput),
        ({"ClusterVolumeSpec": {"Group": "x"}}, Unsupported),
    ],
)
def test_bodies_that_are_refused(body: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        read_create(body)


@pytest.mark.parametrize(
    ("filters", "used", "wanted"),
    [
        ({}, False, True),
        ({"dangling": ["true"]}, False, True),
        ({"dangling": ["1"]}, True, False),
        ({"dangling": ["false"]}, True, True),
        ({"dangling": ["true", "false"]}, True, True),
        ({"driver": ["local"]}, True, True),
        ({"driver": ["other"]}, True, False),
        ({"name": ["tor"]}, True, True),
        ({"name": ["nope", "st"]}, True, True),
        ({"name": ["^store$"]}, True, False),
        ({"label": ["a"]}, True, True),
        ({"label": ["a=1", "b"]}, True, True),
        ({"label": ["a=2"]}, True, False),
        ({"label": ["com.docker.volume.anonymous"]}, True, False),
    ],
)
def test_filters(filters: dict[str, list[str]], used: bool, wanted: bool) -> None:
    assert match_volume(NAMED, read_volume_filters(json.dumps(filters)), used=used) is wanted


def test_filters_that_are_none() -> None:
    with pytest.raises(InvalidInput, match="invalid filter 'until'"):
        read_volume_filters('{"until": ["1h"]}')
    with pytest.raises(InvalidInput, match="dangling=maybe"):
        read_volume_filters('{"dangling": {"maybe": true}}')
