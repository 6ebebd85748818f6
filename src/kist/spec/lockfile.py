"""``kist.lock``: what a Dockerfile was built from (text to values and back; docs/reference/kist-lock.md).

TOML, for it is read by people and by tools; written here line by line, in one order, so that it diffs well.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Self

import msgspec

from kist.errors import InvalidInput, ParseError
from kist.spec.digest import Digest

_HEAD = """\
# What this Dockerfile was built from. Keep it with the Dockerfile: `kist build` takes the images that it names, and
# tells when a RUN installs other packages. `kist build --update-lock` renews it.
version = 1
"""
_VERSION = 1


class LockedImage(msgspec.Struct, frozen=True):
    """An image that a FROM or a ``--from`` names.

    Attributes:
        name: as the Dockerfile has it, its variables replaced.
        platform: that was asked for: ``linux/amd64``.
        digest: of its manifest, as a registry names it.
        id: the digest of its config, which says which files it has.
    """

    name: str
    platform: str
    digest: Digest
    id: Digest


class LockedSource(msgspec.Struct, frozen=True):
    """A URL or a Git repository that an ADD fetches, and the digest of what came, or its commit."""

    url: str
    digest: str


class LockedStep(msgspec.Struct, frozen=True):
    """A RUN and the packages that it installs.

    Attributes:
        stage: the name of its stage, or its number.
        run: the instruction, on one line.
        packages: ``TYPE:NAME[:ARCHITECTURE]=VERSION``, in order; those that were there before are none of them.
        platform: that the build was for: ``linux/amd64``; empty in an older lock.
    """

    stage: str
    run: str
    packages: tuple[str, ...] = ()
    platform: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Which step it is."""
        return self.stage, self.run, self.platform


class Lock(msgspec.Struct, frozen=True):
    """A whole lock; the steps are in the order of the Dockerfile."""

    images: tuple[LockedImage, ...] = ()
    sources: tuple[LockedSource, ...] = ()
    steps: tuple[LockedStep, ...] = ()

    def with_platforms(self, first: str) -> Self:
        """The lock with the platform of each step, of which an older one does not tell.

        Args:
            first: the platform that is taken where the images of the lock are not all for one.
        """
        platforms = {image.platform for image in self.images}
        meant = platforms.pop() if len(platforms) == 1 else first
        steps = (msgspec.structs.replace(step, platform=step.platform or meant) for step in self.steps)
        return msgspec.structs.replace(self, steps=tuple(steps))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    image: tuple[LockedImage, ...] = ()
    source: tuple[LockedSource, ...] = ()
    step: tuple[LockedStep, ...] = ()


def parse_lock(text: str, name: str = "kist.lock") -> Lock:
    """Read a lock.

    Raises:
        ParseError: it is no TOML; tells the line.
        InvalidInput: it is no lock, or one of a newer version.
    """
    hint = "kist build --update-lock writes it anew"
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParseError(f"{name}: {error}", hint=hint) from None
    except RecursionError:
        raise ParseError(f"{name}: it is nested too deep", hint=hint) from None
    if table.get("version") != _VERSION:
        raise InvalidInput(
            f"{name} is of version {table.get('version')!r}, and this Kist knows {_VERSION}",
            hint=f"use the Kist that wrote it, or: {hint}",
        )
    try:
        found = msgspec.convert(table, _File, dec_hook=_digest)
    except (msgspec.ValidationError, InvalidInput) as error:
        raise InvalidInput(f"{name} is no lock of a build: {error}", hint=hint) from None
    return Lock(found.image, found.source, found.step)


def format_lock(lock: Lock) -> str:
    """The text of a lock; equal locks give equal texts, whatever order their images and sources are in."""
    lines = [_HEAD]
    for image in sorted(set(lock.images), key=lambda each: (each.name, each.platform)):
        lines += ["[[image]]", *_fields(msgspec.structs.asdict(image)), ""]
    for source in sorted(set(lock.sources), key=lambda each: each.url):
        lines += ["[[source]]", *_fields(msgspec.structs.asdict(source)), ""]
    for step in lock.steps:
        told = {"stage": step.stage, "run": step.run} | ({"platform": step.platform} if step.platform else {})
        lines += ["[[step]]", *_fields(told), *_list(step.packages), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _fields(values: dict[str, Any]) -> Iterator[str]:
    return (f"{name} = {_text(str(value))}" for name, value in values.items())


def _list(values: Iterable[str]) -> list[str]:
    lines = [f"    {_text(value)}," for value in sorted(set(values))]
    return ["packages = [", *lines, "]"] if lines else ["packages = []"]


def _text(value: str) -> str:
    """A basic string of TOML 1.0: JSON's, but for DEL, which has to be escaped; what is no Unicode is U+FFFD."""
    whole = value.encode("utf-8", "replace").decode()
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def _digest(kind: type, value: object) -> object:
    if kind is Digest and isinstance(value, str):
        return Digest(value)
    raise NotImplementedError
