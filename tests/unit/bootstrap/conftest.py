"""A small Debian archive, made and signed in the test, and an HTTP server that serves it."""

import gzip
import hashlib
import http.server
import io
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pysequoia
import pytest
import zstandard

NOW = 1_700_000_000

# In ``Mirror.broken``: an answer whose connection is lost on the way.
CUT = 0

Entry = tuple[tarfile.TarInfo, bytes]


def entry(
    name: str, content: bytes = b"", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> Entry:
    info = tarfile.TarInfo(name)
    info.uid, info.gid = os.getuid(), os.getgid()
    info.mode, info.type, info.linkname, info.size, info.mtime = mode, kind, link, len(content), NOW
    return info, content


def directory(name: str, *, mode: int = 0o755) -> Entry:
    return entry(name, mode=mode, kind=tarfile.DIRTYPE)


def tar(entries: Sequence[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def ar(members: Sequence[tuple[str, bytes]], *, time: int = NOW) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{time:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def deb(
    name: str = "hello",
    version: str = "1.0-1",
    *,
    fields: str = "",
    files: Sequence[Entry] = (),
    control: Sequence[tuple[str, bytes]] = (),
    compression: str = ".xz",
    time: int = NOW,
) -> bytes:
    text = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n"
    text += f"Description: a test\n{fields}"
    compress = COMPRESSIONS[compression]
    controls = [entry("./control", text.encode())] + [entry(f"./{n}", data, mode=0o755) for n, data in control]
    members = [
        ("debian-binary", b"2.0\n"),
        (f"control.tar{compression}", compress(tar(controls))),
        (f"data.tar{compression}", compress(tar(files or [directory("./")]))),
    ]
    return ar(members, time=time)


@dataclass
class Mirror:
    """An archive below ``root``: add packages, then ``publish``."""

    root: Path
    url: str
    key: pysequoia.Tsk
    stanzas: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    broken: dict[str, list[int]] = field(default_factory=dict)

    @property
    def keyring(self) -> str:
        return str(self.key.extract_certificate())

    def add(
        self, name: str, version: str = "1.0-1", *, fields: str = "", suite: str = "bookworm", **more: object
    ) -> str:
        data = deb(name, version, fields=fields, **more)  # type: ignore[arg-type]
        path = f"pool/main/{name}/{name}_{version}_all.deb"
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.stanzas.setdefault(suite, []).append(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n{fields}Filename: {path}\n"
            f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
        return path

    def publish(
        self,
        *,
        suite: str = "bookworm",
        codename: str = "",
        date: float = NOW,
        valid_until: float | None = None,
        architecture: str = "amd64",
        by_hash: bool = False,
        key: pysequoia.Tsk | None = None,
    ) -> Path:
        packages = lzma.compress("\n".join(self.stanzas.get(suite, [])).encode())
        dists = self.root / "dists" / suite
        lists = dists / f"main/binary-{architecture}"
        digest = hashlib.sha256(packages).hexdigest()
        target = lists / f"by-hash/SHA256/{digest}" if by_hash else lists / "Packages.xz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(packages)
        release = f"Origin: Debian\nSuite: test\nCodename: {codename or suite}\nDate: {formatdate(date, usegmt=True)}\n"
        if valid_until is not None:
            release += f"Valid-Until: {formatdate(valid_until, usegmt=True)}\n"
        release += "Acquire-By-Hash: yes\n" if by_hash else ""
        release += f"SHA256:\n {digest} {len(packages)} main/binary-{architecture}/Packages.xz\n"
        signed = pysequoia.sign((key or self.key).signer(), release.encode(), mode=pysequoia.SignatureMode.CLEAR)
        (dists / "InRelease").write_bytes(signed)
        return dists / "InRelease"


@pytest.fixture(scope="session")
def key() -> pysequoia.Tsk:
    return pysequoia.Tsk.generate("archive@example.org")


@pytest.fixture
def mirror(tmp_path: Path, key: pysequoia.Tsk) -> Iterator[Mirror]:
    root = tmp_path / "mirror" / "debian"
    root.mkdir(parents=True)
    made = Mirror(root, "", key)

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root.parent))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            statuses = made.broken.get(self.path)
            if statuses and statuses[0] == CUT:
                statuses.pop(0)
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"con")
                self.close_connection = True
            elif statuses:
                self.send_error(statuses.pop(0))
            else:
                super().do_GET()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - overridden
            made.requests.append((self.path, int(code)))

        def log_message(self, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """A client that has seen enough goes away, and that is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/debian"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def make_deb() -> Callable[..., bytes]:
    return deb


@pytest.fixture(scope="session")
def make_ar() -> Callable[..., bytes]:
    return ar


@pytest.fixture(scope="session")
def make_tar() -> Callable[..., bytes]:
    return tar


@pytest.fixture(scope="session")
def make() -> Callable[..., Entry]:
    """An entry of a tar by the kind of file in words."""
    kinds = {
        "file": tarfile.REGTYPE,
        "directory": tarfile.DIRTYPE,
        "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "fifo": tarfile.FIFOTYPE,
    }

    def run(name: str, content: bytes = b"", *, kind: str = "file", mode: int = 0o755, link: str = "") -> Entry:
        return entry(name, content, mode=mode, kind=kinds[kind], link=link)

    return run
