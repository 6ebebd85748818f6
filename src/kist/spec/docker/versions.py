"""The API versions that the engine speaks, and Docker's words for the ones that it does not."""

import re

from kist.errors import InvalidInput

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"

_PATTERN = re.compile(r"(\d{1,4})\.(\d{1,4})\Z")


def parse_version(text: str) -> tuple[int, int]:
    """``1.41`` as a pair that compares.

    Raises:
        InvalidInput: it is not two numbers with a point between.
    """
    found = _PATTERN.match(text)
    if not found:
        raise InvalidInput(f"invalid API version {text!r}", hint=f"a version looks like {API_VERSION}")
    return int(found[1]), int(found[2])


_LOWEST = parse_version(MIN_API_VERSION)
_HIGHEST = parse_version(API_VERSION)
LATEST = _HIGHEST


def check_version(text: str) -> tuple[int, int]:
    """The version of a path's ``/v1.NN`` prefix.

    Raises:
        InvalidInput: the engine does not speak it; the texts are Docker's, because clients show and match them.
    """
    version = parse_version(text)
    if version < _LOWEST:
        raise InvalidInput(
            f"client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version"
        )
    if version > _HIGHEST:
        raise InvalidInput(f"client version {text} is too new. Maximum supported API version is {API_VERSION}")
    return version
