"""The API versions that the engine speaks, and Docker's words for the ones that it does not."""

from functools import lru_cache

from kist.errors import InvalidInput

API_VERSION = "1.56"
MIN_API_VERSION = "1.24"

_MANY_DIGITS = 9


def parse_version(text: str) -> tuple[int, ...]:
    """``1.41`` as numbers that compare; as in Docker, what is no number is 0, and zeros at the end do not count."""
    numbers = [_number(part) for part in text.split(".")]
    while len(numbers) > 2 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers) if len(numbers) > 1 else (*numbers, 0)


def _number(text: str) -> int:
    return min(int(text[: _MANY_DIGITS + 1]), 10**_MANY_DIGITS) if text.isascii() and text.isdigit() else 0


def _pair(text: str) -> tuple[int, int]:
    major, minor, *_ = parse_version(text)
    return major, minor


LOWEST = _pair(MIN_API_VERSION)
LATEST = _pair(API_VERSION)


class VersionTooOld(InvalidInput):
    """A version below the lowest one: its clients expect errors as plain text."""


@lru_cache(maxsize=16)
def check_version(text: str) -> tuple[int, int]:
    """The version of a path's ``/v1.NN`` prefix.

    Raises:
        InvalidInput: the engine does not speak it; the texts are Docker's, because clients show and match them.
    """
    version = parse_version(text)
    if version < LOWEST:
        raise VersionTooOld(
            f"client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, "
            "please upgrade your client to a newer version"
        )
    if version > LATEST:
        raise InvalidInput(f"client version {text} is too new. Maximum supported API version is {API_VERSION}")
    return version[0], version[1]
