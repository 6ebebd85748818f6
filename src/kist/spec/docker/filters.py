"""The ``filters`` parameter of lists (Engine API, ContainerList and ImageList): reading, checking, matching."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from kist.errors import InvalidInput, Unsupported
from kist.spec.container import Container
from kist.spec.digest import Digest
from kist.spec.docker.times import read_time
from kist.spec.json import decode
from kist.spec.reference import Reference
from kist.spec.summary import Image

Filters = Mapping[str, tuple[str, ...]]

_CONTAINER_FILTERS = frozenset(
    {"ancestor", "before", "exited", "health", "id", "is-task", "label", "name", "network", "since", "status", "volume"}
)
_CONTAINER_UNSUPPORTED = frozenset({"expose", "isolation", "publish"})
_IMAGE_FILTERS = frozenset({"before", "dangling", "label", "reference", "since", "until"})
_HEALTHS = frozenset({"none", "starting", "healthy", "unhealthy"})
_STATES = frozenset({"created", "running", "paused", "restarting", "removing", "exited", "dead"})


def read_filters(text: str, known: frozenset[str], unsupported: frozenset[str] = frozenset()) -> Filters:
    """Filters by name: ``{"name": ["value"]}``, or the older ``{"name": {"value": true}}``.

    Raises:
        InvalidInput: it is not JSON of that shape, or a filter is unknown.
        Unsupported: names a filter that Docker has and Kist has not.
    """
    if not text:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, values in _read_object(text).items():
        if isinstance(values, dict):
            values = [value for value, wanted in values.items() if wanted]  # noqa: PLW2901 - one form from here on
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InvalidInput(f"invalid filter {name!r}: a filter has a list of strings")
        if name in unsupported:
            raise Unsupported(f"the filter {name!r} is not supported yet", hint=f"leave {name} out")
        if name not in known:
            raise InvalidInput(f"invalid filter '{name}'", hint="the filters are " + ", ".join(sorted(known)))
        if values:
            found[name] = tuple(values)
    return found


def _read_object(text: str) -> dict[str, Any]:
    return {} if text == "null" else decode(text, dict[str, Any], what="filters")


def read_container_filters(text: str) -> Filters:
    """The filters of ContainerList, values checked as far as they can be without the containers."""
    filters = read_filters(text, _CONTAINER_FILTERS, _CONTAINER_UNSUPPORTED)
    for status in filters.get("status", ()):
        if status not in _STATES:
            raise InvalidInput(
                f"invalid filter 'status={status}'", hint="a status is one of " + ", ".join(sorted(_STATES))
            )
    for health in filters.get("health", ()):
        if health not in _HEALTHS:
            raise InvalidInput(f"invalid filter 'health={health}'", hint="it is one of " + ", ".join(sorted(_HEALTHS)))
    for code in filters.get("exited", ()):
        if not re.fullmatch(r"-?\d{1,9}", code):
            raise InvalidInput(f"invalid filter 'exited={code}'", hint="an exit code is a number")
    return filters


class Resolved(msgspec.Struct, frozen=True):
    """What the names in filters stand for; the engine looks them up.

    Attributes:
        ancestors: the images of ``ancestor`` and their descendants; None where that filter is not set.
        before: containers must be older than this (ns since the epoch).
        since: containers must be younger than this.
    """

    ancestors: frozenset[Digest] | None = None
    before: int | None = None
    since: int | None = None


def match_container(container: Container, filters: Filters, resolved: Resolved) -> bool:
    """Whether a container passes all filters: one value of each filter must match, and all labels."""
    if resolved.ancestors is not None and container.image_id not in resolved.ancestors:
        return False
    if resolved.before is not None and container.created_at >= resolved.before:
        return False
    if resolved.since is not None and container.created_at <= resolved.since:
        return False
    if not match_labels(container.config.labels or {}, filters.get("label", ())):
        return False
    return all(
        any(matches(container, value) for value in filters[name])
        for name, matches in _CONTAINER_MATCHERS.items()
        if name in filters
    )


def _match_pattern(text: str, pattern: str) -> bool:
    """Docker matches names and ids as regular expressions; what is none is searched for as it stands."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


def _match_name(container: Container, value: str) -> bool:
    return _match_pattern("/" + container.name, value) or _match_pattern(container.name, value.removeprefix("/"))


def _match_volume(container: Container, value: str) -> bool:
    return any(value in {mount.source, mount.target} for mount in container.options.mounts)


def _match_exited(container: Container, value: str) -> bool:
    return container.state.status == "exited" and container.state.exit_code == int(value)


_CONTAINER_MATCHERS: dict[str, Callable[[Container, str], bool]] = {
    "exited": _match_exited,
    "health": lambda container, value: value == (container.state.health.status if container.state.health else "none"),
    "id": lambda container, value: _match_pattern(container.id, value),
    "is-task": lambda _container, value: value.lower() in {"false", "0"},
    "name": _match_name,
    "network": lambda container, value: (
        value in {container.options.network, *(end.network for end in container.networks)}
    ),
    "status": lambda container, value: value == container.state.status,
    "volume": _match_volume,
}


def match_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether the labels have every ``key`` or ``key=value`` that is wanted."""
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def descendants(images: Sequence[Image], ancestors: Iterable[Digest]) -> frozenset[Digest]:
    """The ancestors and every image that is built on one of them: its layers begin with the ancestor's."""
    by_id = {image.id: image.config.rootfs.diff_ids for image in images}
    found = set(ancestors)
    for base in [by_id[ancestor] for ancestor in ancestors if by_id.get(ancestor)]:
        found |= {identity for identity, layers in by_id.items() if layers[: len(base)] == base}
    return frozenset(found)


def read_image_filters(text: str) -> Filters:
    """The filters of ImageList."""
    filters = read_filters(text, _IMAGE_FILTERS)
    for value in filters.get("dangling", ()):
        if value.lower() not in {"true", "1", "false", "0"}:
            raise InvalidInput(f"invalid filter 'dangling={value}'", hint="write dangling=true or dangling=false")
    return filters


def match_image(
    image: Image, filters: Filters, *, now: int, before: int | None = None, since: int | None = None
) -> bool:
    """Whether an image passes all filters; ``before`` and ``since`` are the times of creation that they stand for."""
    if before is not None and image.created_at >= before:
        return False
    if since is not None and image.created_at <= since:
        return False
    if any(image.created_at >= read_time(value, now=now, what="until") for value in filters.get("until", ())):
        return False
    wanted = filters.get("dangling")
    if wanted and all((value.lower() in {"true", "1"}) == bool(image.references) for value in wanted):
        return False
    patterns = filters.get("reference")
    if patterns and not any(_match_reference(image, pattern) for pattern in patterns):
        return False
    return match_labels(image.config.config.labels or {}, filters.get("label", ()))


def _match_reference(image: Image, pattern: str) -> bool:
    """A pattern matches a name, as people write it, with or without its tag; ``*`` does not cross a slash."""
    for name in image.references:
        parsed = Reference.parse(name)
        for shown in (parsed.familiar, parsed.familiar_name):
            if shown.count("/") == pattern.count("/") and fnmatchcase(shown, pattern):
                return True
    return False
