"""Which packages a command installs without saying which version."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class _Installer(NamedTuple):
    """A package manager.

    Attributes:
        verbs: that install.
        valued: options whose value is the next word.
        names: options of which one says that the versions are elsewhere.
        is_pinned: whether a word has a version, or is no name.
    """

    verbs: frozenset[str]
    valued: frozenset[str]
    names: frozenset[str]
    is_pinned: Callable[[str], object]


_NO_NAME = re.compile(r"[./$<>`~@]|.*[*/]|.*\.(?:deb|rpm|apk|whl|tar\.gz|zip)\Z|.*-\Z")
_VERSIONED = re.compile(r"[^=<>~]+[=~]")
_PIP_VERSIONED = re.compile(r"[^=<>~!]+(?:===?|@)")
_RPM_VERSIONED = re.compile(r".+-[0-9][^-]*(?:-[^-]+)?\Z")


def _pinned_by(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return lambda word: _NO_NAME.match(word) or pattern.match(word)


_APT = _Installer(
    frozenset({"install"}),
    frozenset({"-t", "--target-release", "--default-release", "-o", "--option", "-c", "--config-file", "-a"}),
    frozenset(),
    _pinned_by(_VERSIONED),
)
_APK = _Installer(
    frozenset({"add"}),
    frozenset({"-t", "--virtual", "-X", "--repository", "-p", "--root", "--arch", "--keys-dir", "--wait"}),
    frozenset(),
    _pinned_by(_VERSIONED),
)
_PIP = _Installer(
    frozenset({"install"}),
    frozenset(
        {
            "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "--prefix", "--root",
            "--platform", "--python-version", "--implementation", "--abi", "--trusted-host", "--proxy", "--cache-dir",
            "--src", "--no-binary", "--only-binary", "-e", "--editable", "-C", "--config-settings", "--log",
            "--timeout", "--retries", "--progress-bar", "--upgrade-strategy", "--global-option",
        }
    ),
    frozenset({"-r", "--requirement", "-c", "--constraint", "--require-hashes"}),
    _pinned_by(_PIP_VERSIONED),
)  # fmt: skip
_RPM = _Installer(
    frozenset({"install"}),
    frozenset({"-c", "--config", "--enablerepo", "--disablerepo", "--repo", "--releasever", "--setopt", "-x"}),
    frozenset(),
    _pinned_by(_RPM_VERSIONED),
)
_INSTALLERS = {
    "apt": _APT,
    "apt-get": _APT,
    "apk": _APK,
    "pip": _PIP,
    "pip3": _PIP,
    "dnf": _RPM,
    "yum": _RPM,
    "microdnf": _RPM,
}


def unpinned(words: tuple[str, ...]) -> list[str]:
    """The packages that a command installs in whatever version there is."""
    if len(words) > 2 and words[1:3] == ("-m", "pip"):
        words = words[2:]
    if not words or (installer := _INSTALLERS.get(words[0].rpartition("/")[2])) is None:
        return []
    given = list(_operands(words[1:], installer))
    if not given or given[0] not in installer.verbs:
        return []
    if any(word in installer.names or word.partition("=")[0] in installer.names for word in words):
        return []
    return [word for word in given[1:] if word and not installer.is_pinned(word)]


def _operands(words: tuple[str, ...], installer: _Installer) -> Iterator[str]:
    is_value = False
    for word in words:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            is_value = word in installer.valued
        elif word[:1] in {"<", ">"}:
            return  # what follows is the name of a file
        else:
            yield word
