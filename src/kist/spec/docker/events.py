"""Events as Docker's API streams them, and its filters for them (Engine API, SystemEvents)."""

from typing import Any

from kist.errors import InvalidInput
from kist.spec.docker.filters import Filters, match_labels, read_filters
from kist.spec.event import SystemEvent

# Each of these is a filter too, which names objects of its own kind.
_OBJECTS = frozenset({"config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"})
_KINDS = tuple(sorted({*_OBJECTS, "builder", "image"}))
_KNOWN = frozenset({*_OBJECTS, "event", "image", "label", "scope", "type"})
_SCOPE = "local"
_SECOND = 1_000_000_000


def read_event_filters(text: str) -> Filters:
    """The ``filters`` parameter, its values checked.

    Raises:
        InvalidInput: an unknown filter, or a type or scope that there is none of.
    """
    return check_event_filters(read_filters(text, _KNOWN))


def check_event_filters(filters: Filters) -> Filters:
    """The same filters, their names and values checked; raises ``InvalidInput``."""
    for name in filters.keys() - _KNOWN:
        raise InvalidInput(f"invalid filter '{name}'", hint="the filters are " + ", ".join(sorted(_KNOWN)))
    for name, allowed in (("type", _KINDS), ("scope", (_SCOPE, "swarm"))):
        for value in filters.get(name, ()):
            if value not in allowed:
                raise InvalidInput(f"invalid filter '{name}={value}'", hint="allowed are " + ", ".join(allowed))
    return filters


def match_event(event: SystemEvent, filters: Filters) -> bool:
    """Whether an event passes all filters: one value of each must match, and all labels."""
    if "type" in filters and event.kind not in filters["type"]:
        return False
    if "scope" in filters and _SCOPE not in filters["scope"]:
        return False
    if "event" in filters and not {event.action, event.action.partition(":")[0]} & set(filters["event"]):
        return False
    if "image" in filters and not _is_of_image(event, filters["image"]):
        return False
    if any(not _is_object(event, kind, filters[kind]) for kind in _OBJECTS & filters.keys()):
        return False
    return match_labels(event.attributes, filters.get("label", ()))


def _is_object(event: SystemEvent, kind: str, values: tuple[str, ...]) -> bool:
    """An object is named by its name or its id, or the beginning of one."""
    names = (event.actor, event.attributes.get("name", ""))
    return event.kind == kind and any(name.startswith(value) for name in names for value in values)


def _is_of_image(event: SystemEvent, values: tuple[str, ...]) -> bool:
    name = event.attributes.get("name" if event.kind == "image" else "image", "")
    return bool({event.actor, name, _without_tag(name)} & set(values))


def _without_tag(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


LINE_TYPES = ("application/jsonl", "application/x-ndjson", "application/json-seq")
"""The types that a stream of events can have; of the last each event begins with a mark (RFC 7464)."""
_MARK = b"\x1e"


def choose_type(accept: str, usual: str) -> str:
    """Which of the types a client named in its ``Accept`` and likes best; ``usual`` where it named none of them."""
    liked: dict[str, float] = {}
    for entry in accept.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weights = [_weight(text) for text in parameters if text.startswith("q=")]
        liked[name] = max(liked.get(name, 0.0), *weights, *([] if weights else [1.0]))
    best = max(LINE_TYPES, key=lambda name: liked.get(name, 0.0))
    return best if liked.get(best, 0.0) > 0 else usual


def _weight(text: str) -> float:
    try:
        return float(text.removeprefix("q="))
    except ValueError:
        return 0.0


def frame_event(line: bytes, content_type: str) -> bytes:
    """One event of a stream, with what is around it in a stream of this type."""
    return (_MARK if content_type == LINE_TYPES[-1] else b"") + line + b"\n"


def write_event(event: SystemEvent) -> dict[str, Any]:
    """An event in Docker's shape."""
    return {
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": event.attributes},
        "scope": _SCOPE,
        "time": event.time // _SECOND,
        "timeNano": event.time,
    }
