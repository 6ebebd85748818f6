"""Volumes on an nfs server, as far as they are nfs: what is mounted by the words of a volume's options.

The server is the machine's own, so the machine has to be one that ends with the tests: the guest of
script/test-cgroup2, where that has Debian's nfs-kernel-server and nfs-common.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import until
from kist.engine import volume_holding
from kist.spec.volume_options import read_local_options, with_address

pytestmark = [
    pytest.mark.root("is an nfs server"),
    pytest.mark.skipif(
        "KIST_DISPOSABLE_MACHINE" not in os.environ, reason="makes the machine an nfs server: see script/test-cgroup2"
    ),
    pytest.mark.skipif(not shutil.which("exportfs"), reason="needs nfs-kernel-server and nfs-common"),
]

EXPORT = Path("/srv/kist-test")


def do(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, timeout=300, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The directory that this machine exports to itself."""
    do("modprobe", "-a", "nfsd", "nfs", "nfsv3", "nfsv4")
    EXPORT.mkdir(parents=True)
    do("mount", "-t", "tmpfs", "tmpfs", str(EXPORT))
    if not os.path.exists("/proc/fs/nfsd/threads"):
        do("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
    Path("/proc/fs/nfsd/nfsv4gracetime").write_text("10", encoding="ascii")
    Path("/run/rpcbind").mkdir(exist_ok=True)
    do("exportfs", "-o", "rw,no_root_squash,insecure,no_subtree_check,fsid=1", f"127.0.0.1:{EXPORT}")
    with subprocess.Popen(["rpcbind", "-f", "-w"]) as names:
        until(_finds_services)
        with subprocess.Popen(["rpc.mountd", "--foreground"]) as mounts:
            do("rpc.nfsd", "2")
            yield EXPORT
            do("exportfs", "-ua")
            do("rpc.nfsd", "0")
            mounts.terminate()
        names.terminate()
    do("umount", str(EXPORT))


def _finds_services() -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", 111)) == 0


def mounted(**options: str) -> int:
    """A descriptor of what the volume shows."""
    return volume_holding._opened(with_address(read_local_options(options), socket.gethostbyname))


@pytest.mark.parametrize(
    ("kind", "host", "words"),
    [
        ("nfs", "", "addr=127.0.0.1,rw,vers=4.2"),
        ("nfs4", "localhost", "rw"),
        ("nfs", "localhost", "rw,vers=3,nolock"),
        ("nfs", "localhost", "soft,timeo=50"),
    ],
)
def test_what_is_on_the_server_is_in_the_volume(server: Path, kind: str, host: str, words: str) -> None:
    (server / "there").write_text("from there", encoding="ascii")
    tree = mounted(type=kind, device=f"{host}:{server}", o=words)
    try:
        with open("there", encoding="ascii", opener=lambda name, flags: os.open(name, flags, dir_fd=tree)) as file:
            assert file.read() == "from there"
        here = os.open("here", os.O_CREAT | os.O_WRONLY, dir_fd=tree)
        os.write(here, b"from here")
        os.fsync(here)
        os.close(here)
    finally:
        os.close(tree)
    assert (server / "here").read_text(encoding="ascii") == "from here"
    (server / "here").unlink()


def test_what_is_not_exported_is_refused(server: Path) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - which error depends on the version of the protocol
        mounted(type="nfs", device=f"127.0.0.1:{server}-not", o="vers=4.2")
    assert caught.value.errno
