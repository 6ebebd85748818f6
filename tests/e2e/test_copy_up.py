"""Copy-up: what a new volume gets of the image, and what is left where the disk is full meanwhile."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from harness import BUSYBOX, a_cli, busybox_tar
from kist.engine import Engine
from kist.kernel import mounts
from kist.spec.container import ContainerOptions
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount

QUIET = ("--network", "none")
MEGABYTE = 1 << 20


def archive_with_data(size: int) -> bytes:
    """The small image, and a directory that has one of each kind."""
    archive = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=archive, mode="a", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, mode, link in (
            ("data", tarfile.DIRTYPE, 0o2750, ""),
            ("data/sub", tarfile.DIRTYPE, 0o700, ""),
            ("data/link", tarfile.SYMTYPE, 0o777, "/nowhere"),
            ("data/pipe", tarfile.FIFOTYPE, 0o640, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.mtime = kind, mode, link, 1_000_000
            tar.addfile(entry)
        entry = tarfile.TarInfo("data/sub/file")
        entry.size, entry.mode, entry.mtime = size, 0o4755, 2_000_000
        entry.pax_headers = {"SCHILY.xattr.user.kist.test": "kept"}
        tar.addfile(entry, io.BytesIO(os.urandom(size)))
        entry = tarfile.TarInfo("data/same")
        entry.type, entry.linkname, entry.mode = tarfile.LNKTYPE, "data/sub/file", 0o4755
        tar.addfile(entry)
    return archive.getvalue()


def test_a_volume_gets_all_that_belongs_to_the_images_files(engine: Engine):
    image = engine.import_image(io.BytesIO(archive_with_data(5000)), "", config=ContainerConfig(cmd=("sh",)))
    options = ContainerOptions(image=str(image.id), network="none", mounts=(Mount("volume", "kinds", "/data"),))
    script = (
        "cd /data && stat -c '%n %F %a %Y' . link pipe sub sub/file && stat -c %h same && "
        "test same -ef sub/file && readlink link"
    )
    try:
        seen = engine.run(str(image.id), ["sh", "-c", script], options=options).stdout.splitlines()
        assert seen == [
            ". directory 2750 1000000",
            "link symbolic link 777 1000000",
            "pipe fifo 640 1000000",
            "sub directory 700 1000000",
            "sub/file regular file 4755 2000000",
            "2",
            "/nowhere",
        ]
        path = engine.volume("kinds").mountpoint
        if os.access(path, os.R_OK):
            assert os.getxattr(f"{path}/same", "user.kist.test") == b"kept"
    finally:
        engine.remove_volume("kinds")
        engine.remove_image(str(image.id))


@pytest.mark.root("mounts a small file system")
def test_a_full_disk_leaves_a_volume_empty_to_be_filled_again(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    mounts.mount("tmpfs", str(data), "tmpfs", mounts.MS_NOSUID, "size=40m")
    try:
        with a_cli(tmp_path) as cli:
            archive = tmp_path / "data.tar"
            archive.write_bytes(archive_with_data(8 * MEGABYTE))
            cli.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
            filler = data / "filler"
            with filler.open("wb") as file:
                free = os.statvfs(data)
                file.truncate(0)
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 2 * MEGABYTE)
            words = ("create", "--name", "it", *QUIET, "-v", "full:/data", BUSYBOX, "ls", "/data")
            done = cli(*words)
            assert done.returncode != 0
            assert "fill the volume full with what the image has at /data" in done.stderr
            assert f"{data}/volumes" in done.stderr
            assert "no space left on device" in done.stderr
            assert "free some space there" in done.stderr
            # The volume is there, for somebody named it, and nothing of the attempt is.
            assert cli.good("ps", "-aq") == ""
            assert cli.good("volume", "ls", "-q") == "full"
            assert os.listdir(data / "volumes" / "full") == ["_data"]
            assert os.listdir(data / "volumes" / "full" / "_data") == []
            assert os.statvfs(data).f_bavail * free.f_frsize > MEGABYTE
            filler.unlink()
            cli.good(*words)
            assert cli.good("start", "-a", "it").split() == ["link", "pipe", "same", "sub"]
            status = (data / "volumes" / "full" / "_data").stat()
            assert stat.S_IMODE(status.st_mode) == 0o2750
            cli.good("rm", "it")
            # One that nobody named goes with the container that could not be made.
            with filler.open("wb") as file:
                free = os.statvfs(data)
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 2 * MEGABYTE)
            assert cli("create", *QUIET, "-v", "/data", BUSYBOX).returncode != 0
            filler.unlink()
            assert cli.good("volume", "ls", "-q") == "full"
            assert cli.good("volume", "rm", "full") == "full"
    finally:
        mounts.unmount(str(data))


@pytest.mark.root("mounts a small file system")
def test_a_mounted_volume_that_is_too_small_for_the_image(tmp_path: Path):
    with a_cli(tmp_path) as cli:
        archive = tmp_path / "data.tar"
        archive.write_bytes(archive_with_data(2 * MEGABYTE))
        cli.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
        cli.good("volume", "create", "-o", "type=tmpfs", "-o", "size=1m", "small")
        done = cli("run", "--rm", *QUIET, "-v", "small:/data", BUSYBOX, "ls", "/data")
        assert done.returncode != 0
        assert "fill the volume small with what the image has at /data" in done.stderr
        assert "no space left on device" in done.stderr
        assert cli.good("run", "--rm", *QUIET, "-v", "small:/data:nocopy", BUSYBOX, "ls", "/data") == ""
        assert cli.good("volume", "rm", "small") == "small"
