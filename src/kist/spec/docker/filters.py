"""The ``filters`` parameter of lists (Engine API, ContainerList and ImageList): reading, checking, matching."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from kist.errors import InvalidInput
from kist.spec.container import Container
from kist.spec.digest import Digest
from kist.spec.docker.times import read_time
from kist.spec.json import decode
from kist.spec.networking import read_exposed
from kist.spec.reference import Reference
from kist.spec.summary import Image

Filters = Mapping[str, tuple[str, ...]]

_CONTAINER_FILTERS = frozenset(
    {
        "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
        "publish", "since", "status", "volume",
    }
)  # fmt: skip
_ISOLATIONS = frozenset({"default", "hyperv", "process"})
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z")
_IMAGE_FILTERS = frozenset({"before", "dangling", "label", "label!", "reference", "since", "until"})
_HEALTHS = frozenset({"none", "starting", "healthy", "unhealthy"})
_STATES = frozenset({"created", "running", "paused", "restarting", "removing", "exited", "dead"})


def read_filters(text: str, known: frozenset[str], *, alone: frozenset[str] = frozenset()) -> Filters:
    """Filters by name: ``{"name": ["value"]}``, or the older ``{"name": {"value": true}}``.

    Those of ``alone`` are ``true`` where they have no value.

    Raises:
        InvalidInput: it is not JSON of that shape, or a filter is unknown.
    """
    if not text:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, values in _read_object(text).items():
        if isinstance(values, dict):
            values = [value for value, wanted in values.items() if wanted]  # noqa: PLW2901 - one form from here on
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InvalidInput(f"invalid filter {name!r}: a filter has a list of strings")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise InvalidInput(f"invalid filter '{name}'", hint=f"{meant}the filters are " + ", ".join(sorted(known)))
        if values or name in alone:
            found[name] = tuple(values) or ("true",)
    return found


def _read_object(text: str) -> dict[str, Any]:
    return {} if text == "null" else decode(text, dict[str, Any], what="filters")


def read_container_filters(text: str) -> Filters:
    """The filters of ContainerList, values checked as far as they can be without the containers."""
    filters = read_filters(text, _CONTAINER_FILTERS)
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
    for name in ("expose", "publish"):
        for value in filters.get(name, ()):
            read_ports(value, name)
    for value in filters.get("isolation", ()):
        if value.lower() not in _ISOLATIONS:
            raise InvalidInput(
                f"invalid filter 'isolation={value}'", hint="an isolation is one of " + ", ".join(sorted(_ISOLATIONS))
            )
    for value in filters.get("is-task", ()):
        read_truth("is-task", value)
    return filters


def read_ports(text: str, name: str) -> tuple[int, int, str]:
    """The first and the last port and the protocol of ``80``, ``80/udp`` or ``8000-8010/tcp``.

    Raises:
        InvalidInput: it is none of them; names the filter.
    """
    found = _PORTS.match(text)
    first = int(found[1]) if found else -1
    last = int(found[2] or first) if found else -1
    if found is None or not 0 < first <= last <= 0xFFFF:
        raise InvalidInput(
            f"invalid filter '{name}={text}'", hint="a port is like 80, 80/udp or 8000-8010/tcp, from 1 to 65535"
        )
    return first, last, found[3] or "tcp"


def read_truth(name: str, value: str, meaning: str = "") -> bool:
    """The value of a filter that is true or false.

    Args:
        name: of the filter.
        value: as it was given.
        meaning: what is shown where it is true.

    Raises:
        InvalidInput: it is neither.
    """
    if value.lower() not in {"true", "t", "1", "false", "f", "0"}:
        meant = f" ({meaning})" if meaning else ""
        raise InvalidInput(f"invalid filter '{name}={value}'", hint=f"write {name}=true{meant} or {name}=false")
    return value.lower() in {"true", "t", "1"}


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


def _match_port(
    name: str, ports_of: Callable[[Container], Iterable[tuple[int, str]]]
) -> Callable[[Container, str], bool]:
    """A matcher of ports, by number and protocol; of a container that does not run, those that it has when it does."""

    def match(container: Container, value: str) -> bool:
        first, last, wanted = read_ports(value, name)
        return any(first <= port <= last and protocol == wanted for port, protocol in ports_of(container))

    return match


def _exposed(container: Container) -> Iterable[tuple[int, str]]:
    return read_exposed(container.config.exposed_ports or {})


def _published(container: Container) -> Iterable[tuple[int, str]]:
    """The machine's ports, as ``8080:80`` publishes its port 8080, that were asked for or have been found.

    So does a Docker Engine filter, whatever its client's documentation shows.
    """
    asked = container.options.networking.ports
    named = {(int(each.host_port), each.protocol) for each in asked if each.host_port.isdecimal()}
    return named | {(each.host_port, each.protocol) for each in container.state.ports}


def _match_exited(container: Container, value: str) -> bool:
    return container.state.status == "exited" and container.state.exit_code == int(value)


_CONTAINER_MATCHERS: dict[str, Callable[[Container, str], bool]] = {
    "exited": _match_exited,
    "health": lambda container, value: value == (container.state.health.status if container.state.health else "none"),
    "id": lambda container, value: _match_pattern(container.id, value),
    "expose": _match_port("expose", _exposed),
    "is-task": lambda _container, value: not read_truth("is-task", value),
    "isolation": lambda _container, value: value.lower() == "default",
    "name": _match_name,
    "network": lambda container, value: (
        value in {container.options.network, *(each.network for each in container.options.networking.endpoints)}
        or any(value and end.network_id.startswith(value) for end in container.networks)
    ),
    "publish": _match_port("publish", _published),
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
        read_truth("dangling", value)
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
    if wanted and all(read_truth("dangling", value) == bool(image.references) for value in wanted):
        return False
    if "reference" in filters and not matching_references(image, filters["reference"]):
        return False
    labels = image.config.config.labels or {}
    if any(match_labels(labels, (each,)) for each in filters.get("label!", ())):
        return False
    return match_labels(labels, filters.get("label", ()))


def matching_references(image: Image, patterns: Iterable[str]) -> tuple[str, ...]:
    """The names of an image that match one of the patterns of ``reference``.

    A pattern matches a name, as people write it, with or without its tag; ``*`` does not cross a slash.
    """
    found = []
    for name in image.references:
        parsed = Reference.parse(name)
        shown = (parsed.familiar, parsed.familiar_name)
        if any(each.count("/") == p.count("/") and fnmatchcase(each, p) for p in patterns for each in shown):
            found.append(name)
    return tuple(found)
