"""Versions compared as each ecosystem does: dpkg, rpm, apk, PEP 440, SemVer, conda and Maven."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from packaging.version import InvalidVersion
from packaging.version import Version as PythonVersion

from kist.errors import InvalidInput
from kist.spec import debian_version

_RPM = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
_SEMVER = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?\Z")
_APK = re.compile(r"(\d+(?:\.\d+)*)([a-z]?)((?:_[a-z]+\d*)*)(?:~[0-9a-f]+)?(?:-r(\d+))?\Z")
_APK_SUFFIX = re.compile(r"_([a-z]+)(\d*)")
# apk(5): before the release itself, and after it.
_APK_ORDER = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}
_WORDS = re.compile(r"\d+|[a-z]+|[.-]")
# Maven: "POM reference", version order specification.
_MAVEN_ORDER = {"alpha": -5, "a": -5, "beta": -4, "b": -4, "milestone": -3, "m": -3, "rc": -2, "cr": -2, "snapshot": -1}
_MAVEN_RELEASE = frozenset({"", "ga", "final", "release"})
# conda: "Package match specifications", version ordering.
_CONDA_ORDER = {"dev": -2, "post": 2}
_MOST_PARTS = 16


def compare(kind: str, left: str, right: str) -> int:
    """Less than, equal to or greater than zero as ``left`` is older than, the same as or newer than ``right``.

    Args:
        kind: one of ``kist.spec.package.TYPES``.
        left: a version.
        right: another one. What is no version in the eyes of its ecosystem is compared as rpm would do it, which
            takes any text.
    """
    if left == right:
        return 0
    key = _KEYS.get(kind)
    if kind == "deb":
        try:
            return debian_version.compare(left, right)
        except InvalidInput:
            key = None
    if key is not None:
        a, b = key(left), key(right)
        if a is not None and b is not None:
            return _order(a, b)
    return _rpm(left, right)


def _rpm(left: str, right: str) -> int:
    """Epoch, version and release (rpm: docs/manual/dependencies.md, "Versioning"). One without a release is any."""
    a, b = _rpm_parts(left), _rpm_parts(right)
    if a[0] != b[0]:
        return -1 if a[0] < b[0] else 1
    order = _rpm_segments(a[1], b[1])
    return order or (_rpm_segments(a[2], b[2]) if a[2] and b[2] else 0)


@lru_cache(maxsize=8192)
def _rpm_parts(text: str) -> tuple[int, str, str]:
    head, colon, rest = text.partition(":")
    epoch, rest = (int(head), rest) if colon and head.isascii() and head.isdigit() else (0, text)
    version, _, release = rest.partition("-")
    return epoch, version, release


def _rpm_segments(left: str, right: str) -> int:
    """Segments of digits or of letters: a tilde is before everything, a caret after the end alone."""
    a, b = _RPM.findall(left), _RPM.findall(right)
    for mine, theirs in zip_longest(a, b, fillvalue=""):
        if mine == theirs:
            continue
        for mark, order in (("~", -1), ("^", 1)):
            if mark in {mine, theirs}:
                ahead = order if mine == mark else -order
                # 1^x is more than 1, and less than 1.1 (a caret ends only what has nothing more).
                return ahead if mark == "~" or "" in {mine, theirs} else -ahead
        if not mine or not theirs:
            return 1 if mine else -1
        if mine.isdigit() != theirs.isdigit():
            return 1 if mine.isdigit() else -1
        order = _order(int(mine), int(theirs)) if mine.isdigit() else _order(mine, theirs)
        if order:
            return order
    return 0


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


@lru_cache(maxsize=8192)
def _python(text: str) -> PythonVersion | None:
    try:
        return PythonVersion(text)
    except InvalidVersion:
        return None


@lru_cache(maxsize=8192)
def _semver(text: str) -> tuple[Any, ...] | None:
    """SemVer 2.0, section 11: what is before a release is less than it; numbers are less than words."""
    found = _SEMVER.match(text.strip())
    if found is None:
        return None
    major, minor, patch, before = found.groups()
    parts = tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in (before or "").split(".") if each)
    return int(major), int(minor or 0), int(patch or 0), not parts, parts


@lru_cache(maxsize=8192)
def _apk(text: str) -> tuple[Any, ...] | None:
    """apk-package(5), "Package versions"."""
    found = _APK.match(text)
    if found is None:
        return None
    numbers, letter, suffixes, revision = found.groups()
    parts = tuple((_APK_ORDER.get(name, 0), int(digits or 0)) for name, digits in _APK_SUFFIX.findall(suffixes))
    return tuple(map(int, numbers.split("."))), letter, (*parts, (0, 0)), int(revision or 0)


@lru_cache(maxsize=8192)
def _maven(text: str) -> tuple[Any, ...] | None:
    """Numbers and words with their weights; zeros and words for a release at the end of a part count for nothing."""
    tokens: list[tuple[int, int, str]] = []
    for word in _WORDS.findall(text.lower()):
        if word in {".", "-"}:
            continue
        if word.isdigit():
            tokens.append((2, int(word), ""))
        else:
            _strip(tokens)
            if word not in _MAVEN_RELEASE:
                tokens.append((0, _MAVEN_ORDER.get(word, 1), "" if word in _MAVEN_ORDER else word))
    _strip(tokens)
    return (*tokens, (0, 0, ""))


def _strip(tokens: list[tuple[int, int, str]]) -> None:
    """Zeros at the end of what is before a word, or the end, count for nothing."""
    while tokens and tokens[-1] == (2, 0, ""):
        tokens.pop()


@lru_cache(maxsize=8192)
def _conda(text: str) -> tuple[Any, ...] | None:
    """Epoch, then parts between dots, each of numbers and words by turns: a word is less than the number 0."""
    head, bang, rest = text.lower().partition("!")
    epoch, rest = (int(head), rest) if bang and head.isdigit() else (0, text.lower())
    parts = []
    for part in re.split(r"[._-]", rest.partition("+")[0]):
        items = re.findall(r"\d+|[a-z*]+", part)
        if items and not items[0].isdigit():
            items.insert(0, "0")
        parts.append(
            tuple((1, int(item), "") if item.isdigit() else (_CONDA_ORDER.get(item, -1), 0, item) for item in items)
        )
    # What a part, and the whole, goes on with after its end is the number 0.
    parts += [()] * (_MOST_PARTS - len(parts))
    return epoch, tuple((*part, (1, 0, "")) if part else ((1, 0, ""), (1, 0, "")) for part in parts)


_KEYS: Mapping[str, Callable[[str], Any]] = {
    "apk": _apk,
    "pypi": _python,
    "npm": _semver,
    "conda": _conda,
    "maven": _maven,
}
