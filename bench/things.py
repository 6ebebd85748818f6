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


def _layer_of(archive: Path, target: Path) -> None:
    """The one layer of what ``save`` wrote."""
    with tarfile.open(archive) as source:
        manifest = source.extractfile("manifest.json")
        assert manifest is not None
        [name] = json.load(manifest)[0]["Layers"]
        layer = source.extractfile(name)
        assert layer is not None
        with target.open("wb") as file:
            shutil.copyfileobj(layer, file, 1 << 20)


def debian_layer(cache: Path) -> Path:
    """Debian 12 minbase as a tar, made once and kept; needs the Debian archive, so not in the room."""
    target = cache / "debian-12.tar"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    print("making a tar of debian:12 (once) …", file=sys.stderr, flush=True)
    partial = cache / "partial.tar"
    if shutil.which("mmdebstrap"):
        run(["mmdebstrap", "--variant=minbase", "bookworm", str(partial)])
    else:
        kist, saved = str(Path(sys.executable).parent / "kist"), cache / "saved.tar"
        run([kist, "bootstrap", "debian:12"])
        run([kist, "save", "-o", str(saved), "debian:12"])
        _layer_of(saved, partial)
        saved.unlink()
    os.rename(partial, target)
    return target


@dataclass(frozen=True)
class Things:
    """Paths of what the rows use.

    Attributes:
        work: a directory for the rows' own files.
        busybox: tar of a small root file system.
        layer: tar of a real root file system (Debian 12 minbase: 170 MB, 8,700 files).
    """

    work: Path
    busybox: Path
    layer: Path

    @classmethod
    def make(cls, work: Path, cache: Path) -> "Things":
        root = work / "busybox"
        _busybox_root(root)
        with tarfile.open(work / "busybox.tar", "w") as archive:
            archive.add(root, ".")
        return cls(work, work / "busybox.tar", debian_layer(cache))

    def context(self, name: str, dockerfile: str, files: int, size: int) -> Path:
        """A build context with this Dockerfile and a number of files of about that many bytes under ``files/``."""
        directory = self.work / name
        (directory / "files").mkdir(parents=True, exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        for number in range(files):
            (directory / "files" / f"{number}.txt").write_text(f"{number:<9}\n" * (size // 10), encoding="utf-8")
        return directory

    def debian(self, number: int) -> Path:
        """A docker-save archive of Debian, another one for each number, so that no engine has its layer already."""
        archive = self.work / f"debian-{number}.tar"
        if not archive.exists():
            layer = self.work / "layer.tar"
            shutil.copyfile(self.layer, layer)
            with tarfile.open(layer, "a") as appended:
                appended.addfile(tarfile.TarInfo(f"bench-{number}"))
            _docker_archive(layer, archive, "debian:12")
            layer.unlink()
        return archive

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
