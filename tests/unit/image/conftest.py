"""Tars made with the standard library, and directories to unpack them into."""

import io
import os
import tarfile
from collections.abc import Callable, Iterable

import pytest

from kist.spec.mount import Mount

Member = tuple[tarfile.TarInfo, bytes]


def member(
    name: str,
    content: bytes | str | None = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
    mtime: float = 1_700_000_000,
    uid: int | None = None,
    gid: int | None = None,
    device: tuple[int, int] = (0, 0),
    pax: dict[str, str] | None = None,
) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, mtime
    info.uid = os.geteuid() if uid is None else uid
    info.gid = os.getegid() if gid is None else gid
    info.devmajor, info.devminor = device
    info.pax_headers = pax or {}
    data = content.encode() if isinstance(content, str) else content or b""
    info.size = len(data)
    return info, data


def pack(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


@pytest.fixture(scope="session")
def entry() -> Callable[..., Member]:
    return member


@pytest.fixture(scope="session")
def tar() -> Callable[..., bytes]:
    """``tar(member, …)`` gives the bytes of an archive."""
    return lambda *members, form=tarfile.PAX_FORMAT: pack(members, form)


@pytest.fixture
def upper(tmp_path) -> str:
    path = tmp_path / "upper"
    path.mkdir(mode=0o755)
    return str(path)


@pytest.fixture
def lower(tmp_path) -> str:
    path = tmp_path / "lower"
    path.mkdir(mode=0o755)
    return str(path)


@pytest.fixture
def bottom(upper) -> tuple[Mount, ...]:
    """The mounts of a snapshot with nothing below."""
    return (Mount("bind", upper, "", ("rbind", "rw")),)


@pytest.fixture
def stacked(upper, lower, tmp_path) -> tuple[Mount, ...]:
    """The mounts of a snapshot on top of ``lower``."""
    options = (f"lowerdir={lower}", f"upperdir={upper}", f"workdir={tmp_path}/work")
    return (Mount("overlay", "overlay", "", options),)
