"""How much space may be taken by what can be made again: ``[gc]`` of ``engine.toml``. Pure."""

import re
from typing import Any

import msgspec

from kist.errors import InvalidInput

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]i?)?B?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
_TIME = re.compile(r"(\d+) ?([smhd])")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NONE = "none"


class Ceiling(msgspec.Struct, frozen=True):
    """The most that something may take; the smaller of the two where both are given, nothing where neither is.

    Attributes:
        size: in bytes.
        percent: of the data root's file system.
    """

    size: int | None = None
    percent: float | None = None

    def of(self, file_system: int) -> int | None:
        """In bytes, on a file system of so many; None for no ceiling."""
        share = None if self.percent is None else int(file_system * self.percent / 100)
        given = [each for each in (self.size, share) if each is not None]
        return min(given) if given else None


class Ceilings(msgspec.Struct, frozen=True):
    """What is given up when there is too much of it. The defaults leave most of a small disk to others.

    Attributes:
        build_cache: of what only the build cache keeps.
        images: of all images; only such go that a registry or a lock file makes again.
        downloads: of packages that bootstraps have downloaded.
        keep_for: seconds for which an entry of the build cache stays that was used, above the ceiling too.
        keep_images_for: the same, of images.
    """

    build_cache: Ceiling = Ceiling(20 * 10**9, 20)
    images: Ceiling = Ceiling(50 * 10**9, 40)
    downloads: Ceiling = Ceiling(3 * 10**9, 10)
    keep_for: int = 3600
    keep_images_for: int = 2 * 86400


_SIZES = {"build-cache": "build_cache", "images": "images", "downloads": "downloads"}
_TIMES = {"keep-for": "keep_for", "keep-images-for": "keep_images_for"}


def read(table: Any) -> Ceilings:
    """The settings of ``[gc]``.

    Raises:
        InvalidInput: says what is wrong there, and what is allowed.
    """
    if not isinstance(table, dict):
        raise InvalidInput("it must be a table", hint='write [gc] and then build-cache = "20GB"')
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name in _TIMES:
            found[_TIMES[name]] = _seconds(name, value)
        elif name in _SIZES:
            found[_SIZES[name]] = _ceiling(name, value)
        else:
            raise InvalidInput(f"there is no setting {name!r}", hint=f"settings are {', '.join([*_SIZES, *_TIMES])}")
    return Ceilings(**found)


def _ceiling(name: str, value: Any) -> Ceiling:
    text = str(value)
    if text == NONE:
        return Ceiling()
    if found := _PERCENT.fullmatch(text):
        if float(found[1]) <= 100:
            return Ceiling(percent=float(found[1]))
    elif found := _SIZE.fullmatch(text):
        prefix = found[2] or ""
        base = 1024 if prefix.endswith("i") else 1000
        return Ceiling(size=int(float(found[1]) * base ** _POWERS[prefix.removesuffix("i")]))
    raise InvalidInput(
        f"{name} is a size, not {value!r}", hint=f'write {name} = "20GB", "10%" (of the file system) or "{NONE}"'
    )


def _seconds(name: str, value: Any) -> int:
    found = _TIME.fullmatch(str(value))
    if found is None:
        raise InvalidInput(f"{name} is a length of time, not {value!r}", hint=f'write {name} = "12h", "30m" or "7d"')
    return int(found[1]) * _SECONDS[found[2]]
