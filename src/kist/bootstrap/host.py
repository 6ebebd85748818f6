"""The apt configuration of this machine, read from its files."""

import glob
import os

from kist.bootstrap.aptconf import Source, parse_deb822_sources, parse_settings, parse_sources_list
from kist.bootstrap.archives import HostApt
from kist.errors import ParseError


def read_host_apt(etc: str = "/etc/apt") -> HostApt:
    """What apt on this machine is told; a machine without apt has an empty configuration.

    A file that cannot be read or understood counts as absent: apt itself will have complained about it already, and
    there is always the public mirror.
    """
    conf = [*sorted(glob.glob(f"{etc}/apt.conf.d/*")), f"{etc}/apt.conf"]
    lists = [f"{etc}/sources.list", *sorted(glob.glob(f"{etc}/sources.list.d/*.list"))]
    sources = [source for path in lists for source in parse_sources_list(_read(path))]
    for path in sorted(glob.glob(f"{etc}/sources.list.d/*.sources")):
        sources += _deb822(path)
    return HostApt(tuple(sources), parse_settings(tuple(_read(path) for path in conf)))


def _deb822(path: str) -> tuple[Source, ...]:
    try:
        return parse_deb822_sources(_read(path), source=path)
    except ParseError:
        return ()


def _read(path: str) -> str:
    try:
        with open(os.fspath(path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
