"""Events in Docker's shape, and its filters for them."""

import json

import pytest

from kist.errors import InvalidInput
from kist.spec.docker.events import match_event, read_event_filters, write_event
from kist.spec.event import SystemEvent

CONTAINER = SystemEvent(
    "container",
    "exec_create: sh -c true",
    "abcdef",
    1_700_000_000_123_456_789,
    {"image": "debian:12", "name": "web", "tier": "front", "empty": ""},
)
IMAGE = SystemEvent("image", "tag", "sha256:1234", 5, {"name": "localhost:5000/app:1"})


def test_an_event_in_dockers_shape() -> None:
    assert write_event(CONTAINER) == {
        "Type": "container",
        "Action": "exec_create: sh -c true",
        "Actor": {"ID": "abcdef", "Attributes": CONTAINER.attributes},
        "scope": "local",
        "time": 1_700_000_000,
        "timeNano": 1_700_000_000_123_456_789,
    }
    assert "from" not in write_event(IMAGE)
    assert "id" not in write_event(SystemEvent("network", "connect", "n", 1))


@pytest.mark.parametrize(
    ("event", "filters", "passes"),
    [
        (CONTAINER, {}, True),
        (CONTAINER, {"type": ["container"]}, True),
        (CONTAINER, {"type": ["image", "container"]}, True),
        (CONTAINER, {"type": ["image"]}, False),
        (CONTAINER, {"event": ["exec_create"]}, True),
        (CONTAINER, {"event": ["exec_create: sh -c true"]}, True),
        (CONTAINER, {"event": ["exec"]}, False),
        (CONTAINER, {"container": ["web"]}, True),
        (CONTAINER, {"container": ["abc"]}, True),
        (CONTAINER, {"container": ["bcd"]}, False),
        (IMAGE, {"container": ["sha256"]}, False),
        (CONTAINER, {"image": ["debian"]}, True),
        (CONTAINER, {"image": ["debian:12"]}, True),
        (CONTAINER, {"image": ["deb"]}, False),
        (IMAGE, {"image": ["localhost:5000/app"]}, True),
        (IMAGE, {"image": ["sha256:1234"]}, True),
        (IMAGE, {"image": ["localhost"]}, False),
        (CONTAINER, {"label": ["tier"]}, True),
        (CONTAINER, {"label": ["tier=front", "empty="]}, True),
        (CONTAINER, {"label": ["tier=front", "tier=back"]}, False),
        (CONTAINER, {"scope": ["local"]}, True),
        (CONTAINER, {"scope": ["swarm"]}, False),
        (CONTAINER, {"network": ["web"]}, False),
        (CONTAINER, {"type": ["container"], "event": ["die"]}, False),
    ],
)
def test_filters(event: SystemEvent, filters: dict[str, list[str]], passes: bool) -> None:
    assert match_event(event, read_event_filters(json.dumps(filters))) is passes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"colour": ["red"]}', "invalid filter 'colour'"),
        ('{"type": ["cotainer"]}', "invalid filter 'type=cotainer'"),
        ('{"scope": ["global"]}', "invalid filter 'scope=global'"),
        ('{"type": "container"}', "invalid filter 'type'"),
        ("[", "invalid filters"),
    ],
)
def test_a_wrong_filter_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="invalid filter") as caught:
        read_event_filters(text)
    assert said in str(caught.value)
