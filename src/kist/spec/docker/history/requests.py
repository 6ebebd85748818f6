"""Paths and parameters that came and went, and what is done otherwise since some version."""

from typing import Literal

from kist.errors import InvalidInput
from kist.spec.docker.history.rows import Version
from kist.spec.docker.versions import LATEST, LOWEST

# Since when there is a path; others have been there from the lowest version on.
PATHS: dict[tuple[str, str], Version] = {
    ("POST", "/containers/prune"): (1, 25),
    ("POST", "/images/prune"): (1, 25),
    ("POST", "/networks/prune"): (1, 25),
    ("POST", "/volumes/prune"): (1, 25),
    ("POST", "/build/prune"): (1, 31),
    ("GET", "/distribution/{name:*}/json"): (1, 30),
    ("GET", "/images/{name:*}/attestations"): (1, 55),
    ("PUT", "/volumes/{name}"): (1, 42),
    ("POST", "/plugins/{name:*}/upgrade"): (1, 26),
    ("GET", "/secrets"): (1, 25),
    ("POST", "/secrets/create"): (1, 25),
    ("GET", "/secrets/{id}"): (1, 25),
    ("DELETE", "/secrets/{id}"): (1, 25),
    ("POST", "/secrets/{id}/update"): (1, 25),
    ("GET", "/configs"): (1, 30),
    ("POST", "/configs/create"): (1, 30),
    ("GET", "/configs/{id}"): (1, 30),
    ("DELETE", "/configs/{id}"): (1, 30),
    ("POST", "/configs/{id}/update"): (1, 30),
}

_AFTER_ALL = (LATEST[0] + 1, 0)

# Parameters that are not read before a version, or from a second one on: nobody is told, as an engine that does not
# know a parameter ignores it. Docker reads all others at every version.
PARAMETERS: dict[tuple[str, str], dict[str, tuple[Version, Version]]] = {
    ("POST", "/build"): {"platform": ((1, 32), _AFTER_ALL), "outputs": ((1, 40), _AFTER_ALL)},
    ("POST", "/build/prune"): dict.fromkeys(
        ("max-used-space", "min-free-space", "reserved-space"), ((1, 48), _AFTER_ALL)
    ),
    ("POST", "/containers/create"): {"platform": ((1, 41), _AFTER_ALL)},
    ("GET", "/containers/{id}/attach/ws"): dict.fromkeys(("stdin", "stdout", "stderr"), ((1, 42), _AFTER_ALL)),
    ("POST", "/containers/{id}/restart"): {"signal": ((1, 42), _AFTER_ALL)},
    ("GET", "/containers/{id}/stats"): {"one-shot": ((1, 41), _AFTER_ALL)},
    ("POST", "/containers/{id}/stop"): {"signal": ((1, 42), _AFTER_ALL)},
    ("POST", "/containers/{id}/wait"): {"condition": ((1, 30), _AFTER_ALL)},
    ("POST", "/images/create"): {"platform": ((1, 32), _AFTER_ALL)},
    ("GET", "/images/get"): {"platform": ((1, 48), _AFTER_ALL)},
    ("GET", "/images/json"): {
        "filter": (LOWEST, (1, 41)),
        "identity": ((1, 54), _AFTER_ALL),
        "manifests": ((1, 47), _AFTER_ALL),
        "shared-size": ((1, 42), _AFTER_ALL),
    },
    ("POST", "/images/load"): {"platform": ((1, 48), _AFTER_ALL)},
    ("DELETE", "/images/{name:*}"): {"platforms": ((1, 50), _AFTER_ALL)},
    ("GET", "/images/{name:*}/get"): {"platform": ((1, 48), _AFTER_ALL)},
    ("GET", "/images/{name:*}/history"): {"platform": ((1, 48), _AFTER_ALL)},
    ("GET", "/images/{name:*}/json"): {"manifests": ((1, 48), _AFTER_ALL), "platform": ((1, 49), _AFTER_ALL)},
    ("POST", "/images/{name:*}/push"): {"platform": ((1, 46), _AFTER_ALL)},
    ("GET", "/system/df"): {"type": ((1, 42), _AFTER_ALL), "verbose": ((1, 52), _AFTER_ALL)},
}

Behaviour = Literal[
    "a build tells ids",
    "a wait answers its headers at once",
    "a websocket's frames are binary",
    "a websocket's streams are chosen",
    "events are lines of JSON by their type",
    "events tell of images that are made",
    "lists of networks are short",
    "several platforms may be named",
    "streams tell their kind",
    "volumes with a name are spared",
]

BEHAVIOURS: dict[Behaviour, Version] = {
    "a build tells ids": (1, 30),
    "a wait answers its headers at once": (1, 30),
    "a websocket's frames are binary": (1, 28),
    "a websocket's streams are chosen": (1, 42),
    "events are lines of JSON by their type": (1, 52),
    "events tell of images that are made": (1, 46),
    "lists of networks are short": (1, 28),
    "several platforms may be named": (1, 52),
    "streams tell their kind": (1, 42),
    "volumes with a name are spared": (1, 42),
}

_NONE: frozenset[str] = frozenset()


def check_path(method: str, pattern: str, version: Version) -> None:
    """Raise ``InvalidInput`` where a version had no such path; the text is Docker's."""
    since = PATHS.get((method, pattern), LOWEST)
    if version < since:
        shown = pattern.replace(":*}", ":.*}")
        raise InvalidInput(f"{method} {shown} requires minimum API version {since[0]}.{since[1]}")


def unread(method: str, pattern: str, version: Version) -> frozenset[str]:
    """The names of the parameters that are not read at a version."""
    told = PARAMETERS.get((method, pattern))
    if told is None:
        return _NONE
    return frozenset(name for name, (since, until) in told.items() if not since <= version < until)


def follows(what: Behaviour, version: Version) -> bool:
    """Whether a version has a behaviour."""
    return version >= BEHAVIOURS[what]
