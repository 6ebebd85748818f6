"""The few files of a base image that no package brings (pure)."""

from collections.abc import Iterable, Iterator, Sequence

from kist.bootstrap.distribution import Archive
from kist.bootstrap.lock import Lock

LOCK_PATH = "usr/share/kist/bootstrap.lock"
EXTENDED_STATES = "var/lib/apt/extended_states"
SOURCES = "etc/apt/sources.list.d/debian.sources"

# A container runs one program: nothing starts because a package was installed (invoke-rc.d(8) asks this program).
_POLICY = """\
#!/bin/sh
# No service is started in a container by installing its package.
exit 101
"""

# The name is known to many Dockerfiles, which remove this file to keep downloaded packages in a cache of their own.
_NOTHING_KEPT = """\
// A layer of an image keeps for good what a step leaves behind, so apt keeps neither downloaded packages nor the caches
// that it can compute again.
APT::Keep-Downloaded-Packages "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""

_SMALL = """\
// No translated descriptions: nobody browses packages here.
Acquire::Languages "none";
// Lists of packages stay compressed on the disk.
Acquire::GzipIndexes "true";
// "apt-get purge --auto-remove" also takes what another package merely suggests.
APT::AutoRemove::SuggestsImportant "false";
"""

_FAST = """\
# A build step that is interrupted by a power cut starts again, so dpkg need not wait for the disk after each file.
force-unsafe-io
"""


def files_before(archives: Sequence[Archive], keyring: str) -> Iterator[tuple[str, bytes, int]]:
    """What is there before the packages are configured: path, bytes and mode.

    Args:
        archives: those that apt in the image uses.
        keyring: the path of Debian's keyring in the image.
    """
    yield "usr/sbin/policy-rc.d", _POLICY.encode(), 0o755
    yield "etc/apt/apt.conf.d/docker-clean", _NOTHING_KEPT.encode(), 0o644
    yield "etc/apt/apt.conf.d/container", _SMALL.encode(), 0o644
    yield "etc/dpkg/dpkg.cfg.d/container", _FAST.encode(), 0o644
    yield SOURCES, sources(archives, keyring).encode(), 0o644


def sources(archives: Iterable[Archive], keyring: str) -> str:
    """Sources for apt in the deb822 style: one paragraph for each archive, with its suites."""
    suites: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for archive in archives:
        suites.setdefault((archive.uri, archive.components), []).append(archive.suite)
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(names)}\nComponents: {' '.join(components)}\n"
        f"Signed-By: {keyring}\n"
        for (uri, components), names in suites.items()
    )


def extended_states(lock: Lock) -> str:
    """Which packages apt may remove when nothing needs them any more; all of them under the machine's architecture."""
    return "".join(
        f"Package: {package.name}\nArchitecture: {lock.architecture}\nAuto-Installed: 1\n\n"
        for package in sorted(lock.packages, key=lambda package: package.name)
        if package.kind == "needed"
    )
