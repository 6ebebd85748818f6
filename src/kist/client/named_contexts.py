"""``--build-context NAME=VALUE``: what of it the engine is told, and which directories the caller gives.

The engine hears of a directory that it is one, and asks for it over the build session when a step needs it.
"""

import os

from kist.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local:"
LAYOUT = "oci-layout:"
_WHAT_IT_IS = "a context is a directory, docker-image://IMAGE, oci-layout://PATH or a URL"
_FETCHED = ("docker-image://", "http://", "https://", "git://", "ssh://", "git@")


def split(contexts: "Mapping[str, str]") -> "tuple[dict[str, str], dict[str, str]]":
    """What the engine is told of each context, and the directories of those that are the caller's, by name.

    Raises:
        NotFound: there is no such directory.
        InvalidInput: it is no context.
    """
    told: dict[str, str] = {}
    given: dict[str, str] = {}
    for name, value in contexts.items():
        if not name or not value:
            raise InvalidInput(f"invalid build context {name}={value}", hint="--build-context NAME=DIRECTORY")
        if value.startswith(_FETCHED) and not os.path.isdir(value):
            told[name] = value
        elif value.startswith("target:"):
            raise InvalidInput(f"the build context {name}={value} is one of bake files", hint="build that target first")
        elif value.startswith("oci-layout://"):
            path, which = _layout(value.removeprefix("oci-layout://"))
            if not os.path.isfile(os.path.join(path, "oci-layout")):
                raise NotFound(f"the build context {name}: there is no OCI layout at {path!r}",
                               hint="kist build -o type=oci,tar=false,dest=DIRECTORY makes one")  # fmt: skip
            told[name], given[name] = LAYOUT + which, path
        else:
            if not os.path.isdir(value):
                raise NotFound(f"the build context {name}: directory {value!r} not found", hint=_WHAT_IT_IS)
            told[name], given[name] = LOCAL, value
    return told, given


def _layout(text: str) -> "tuple[str, str]":
    """The path, and ``TAG`` or ``@DIGEST``; empty for the only image that is there."""
    path, at, digest = text.partition("@")
    if at:
        return path, f"@{digest}"
    head, colon, tag = text.rpartition(":")
    return (head, tag) if colon and "/" not in tag and not os.path.isdir(text) else (text, "")
