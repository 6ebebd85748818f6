"""What the rows work on: a small image, a real one, build contexts and a bundle for the bare runtimes."""

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from bench.measure import CommandError, run

COMMANDS = ("cat", "echo", "head", "ls", "seq", "sh", "sleep", "true", "yes")


def _busybox_root(root: Path) -> None:
    """A root file system of one static program and links to it."""
    program = "/bin/busybox" if os.path.exists("/bin/busybox") else shutil.which("busybox")
    if program is None:
        raise CommandError("busybox is missing: apt-get install busybox-static")
    for directory in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (root / directory).mkdir(parents=True)
    shutil.copy(program, root / "bin/busybox")
    for command in COMMANDS:
        (root / "bin" / command).symlink_to("busybox")


def _docker_archive(layer: Path, target: Path, reference: str) -> None:
    """Wrap one layer as what ``docker save`` writes."""
    digest = hashlib.sha256()
    with layer.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    config = {
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
        "history": [{"created_by": "bench"}],
    }  # fmt: skip
    raw = json.dumps(config).encode()
    name = f"{hashlib.sha256(raw).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as archive:
        archive.add(layer, "layer.tar")
        for path, data in ((name, raw), ("manifest.json", manifest)):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def debian_archive(cache: Path) -> Path:
    """A docker-save archive of Debian 12 minbase, made once and kept; needs the Debian archive, so not in the room."""
    target = cache / "debian-12.tar"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    print("making an archive of debian:12 (once) …", file=sys.stderr, flush=True)
    if shutil.which("mmdebstrap"):
        layer = cache / "debian-12-root.tar"
        run(["mmdebstrap", "--variant=minbase", "bookworm", str(layer)])
        _docker_archive(layer, cache / "partial", "debian:12")
        layer.unlink()
    else:
        kist = str(Path(sys.executable).parent / "kist")
        run([kist, "bootstrap", "debian:12"])
        run([kist, "save", "-o", str(cache / "partial"), "debian:12"])
    os.rename(cache / "partial", target)
    return target


@dataclass(frozen=True)
class Things:
    """Paths of what the rows use.

    Attributes:
        work: a directory for the rows' own files.
        busybox: tar of a small root file system.
        debian: docker-save archive of a real image (170 MB, 8,700 files).
    """

    work: Path
    busybox: Path
    debian: Path

    @classmethod
    def make(cls, work: Path, cache: Path) -> "Things":
        root = work / "busybox"
        _busybox_root(root)
        with tarfile.open(work / "busybox.tar", "w") as archive:
            archive.add(root, ".")
        return cls(work, work / "busybox.tar", debian_archive(cache))

    def context(self, name: str, dockerfile: str, files: int = 0) -> Path:
        """A build context with this Dockerfile and a number of small files under ``files/``."""
        directory = self.work / name
        (directory / "files").mkdir(parents=True, exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        for number in range(files):
            (directory / "files" / f"{number}.txt").write_text(f"{number}\n" * 100, encoding="utf-8")
        return directory

    def bundle(self) -> Path:
        """An OCI bundle that runs ``true`` with runc's own default configuration, read-only as the image is shared."""
        directory = self.work / "bundle"
        if not directory.exists():
            directory.mkdir()
            (directory / "rootfs").symlink_to(self.work / "busybox")
            run(["runc", "spec", "--bundle", str(directory)])
            config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
            config["process"] |= {"terminal": False, "args": ["true"]}
            config["process"]["env"] = ["PATH=/bin"]
            config["root"]["path"] = str(self.work / "busybox")
            (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return directory
