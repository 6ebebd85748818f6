"""Layers on top of others: whiteouts, what is implied by the layers below, and the way back to a tar."""

import hashlib
import io
import os
import socket
import stat
import tarfile

import pytest

from kist.errors import Corrupt, InvalidInput, KistError, Unsupported
from kist.image.diff import diff, is_unchanged
from kist.image.layers import apply
from kist.spec.mount import Mount

DIR, SYM, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts and trusted attributes need root"),
]


def changes(mounts, mtime=None) -> bytes:
    target = io.BytesIO()
    diff(mounts, target.write, mtime=mtime)
    return target.getvalue()


def listing(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [m.name + ("/" if m.isdir() else "") for m in archive]


def content(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def is_whiteout(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def opaque(path: str) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


def test_whiteouts_become_the_signs_of_overlayfs_and_come_back(stacked, upper, tar, entry):
    data = tar(
        entry("etc/", kind=DIR, mode=0o755),
        entry("etc/.wh..wh..opq"),
        entry("etc/new", "x"),
        entry("usr/", kind=DIR, mode=0o755),
        entry("usr/.wh.gone"),
        entry(".wh..wh.plnk", kind=DIR),
    )
    apply(io.BytesIO(data), stacked)
    assert opaque(f"{upper}/etc")
    assert is_whiteout(f"{upper}/usr/gone")
    assert sorted(os.listdir(upper)) == ["etc", "usr"]
    assert listing(changes(stacked)) == ["etc/", "etc/.wh..wh..opq", "etc/new", "usr/", "usr/.wh.gone"]


@pytest.mark.parametrize("first", ["mark", "files", "mark, and no directory of its own"])
def test_an_opaque_root_hides_each_thing_below(first, stacked, upper, lower, tar, entry):
    os.makedirs(f"{lower}/d")
    for name in ("gone", "f"):
        open(f"{lower}/{name}", "w", encoding="ascii").close()
    members = [entry(".wh..wh..opq"), entry("d/", kind=DIR, mode=0o755), entry("d/x", "x"), entry("f", "mine")]
    if "and no directory" in first:
        del members[1]
    apply(io.BytesIO(tar(*(members[::-1] if first == "files" else members))), stacked)
    assert is_whiteout(f"{upper}/gone")
    assert opaque(f"{upper}/d")
    assert content(f"{upper}/f") == "mine"


def test_the_lowest_layer_has_nothing_to_delete(bottom, upper, tar, entry):
    apply(io.BytesIO(tar(entry(".wh.a"), entry("d/.wh..wh..opq"), entry("f", "x"))), bottom)
    assert sorted(os.listdir(upper)) == ["d", "f"]
    assert not opaque(f"{upper}/d")


@pytest.mark.parametrize("first", ["whiteout", "file"])
def test_a_whiteout_speaks_of_the_layers_below_only(first, stacked, upper, tar, entry):
    """Whatever the order, the layer's own file stays, and its own directory hides what was below."""
    members = [entry(".wh.f"), entry("f", "mine"), entry(".wh.d"), entry("d/", kind=DIR, mode=0o755), entry("d/x", "x")]
    if first == "file":
        members = [members[1], members[0], members[3], members[4], members[2]]
    apply(io.BytesIO(tar(*members)), stacked)
    assert content(f"{upper}/f") == "mine"
    assert os.listdir(f"{upper}/d") == ["x"]
    assert opaque(f"{upper}/d")


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh.."])
def test_a_whiteout_of_nothing_is_refused(name, stacked, tar, entry):
    with pytest.raises(InvalidInput, match="whiteout"):
        apply(io.BytesIO(tar(entry(name))), stacked)


def test_implied_directories_look_like_those_below(stacked, upper, lower, tar, entry):
    os.makedirs(f"{lower}/a/b")
    os.chown(f"{lower}/a/b", 12, 34)
    os.chmod(f"{lower}/a/b", 0o2750)
    os.setxattr(f"{lower}/a/b", "user.note", b"n")
    os.utime(f"{lower}/a/b", (1_500_000_000, 1_500_000_000))
    apply(io.BytesIO(tar(entry("a/b/c/f", "x"))), stacked)
    status = os.stat(f"{upper}/a/b")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o2750)
    assert status.st_mtime == 1_500_000_000
    assert os.getxattr(f"{upper}/a/b", "user.note") == b"n"
    assert stat.S_IMODE(os.stat(f"{upper}/a/b/c").st_mode) == 0o755


def test_implied_directories_do_not_look_like_what_is_hidden(tmp_path, upper, lower, tar, entry):
    middle = tmp_path / "middle"
    (middle / "a").mkdir(parents=True)
    os.mknod(middle / "a" / "b", stat.S_IFCHR)
    os.makedirs(f"{lower}/a/b", 0o700)
    mounts = (Mount("overlay", "overlay", "", (f"lowerdir={middle}:{lower}", f"upperdir={upper}", "workdir=/w")),)
    apply(io.BytesIO(tar(entry("a/b/f", "x"))), mounts)
    assert stat.S_IMODE(os.stat(f"{upper}/a/b").st_mode) == 0o755


def test_a_hard_link_to_a_file_below_brings_it_up(stacked, upper, lower, tar, entry):
    os.mkdir(f"{lower}/d", 0o750)
    with open(f"{lower}/d/f", "w", encoding="utf-8") as file:
        file.write("below")
    os.chown(f"{lower}/d/f", 7, 8)
    os.chmod(f"{lower}/d/f", 0o4711)
    members = [entry(name, kind=HARD, link="d/f") for name in ("here/deep/link", "here/deep/again")]
    apply(io.BytesIO(tar(*members)), stacked)
    status = os.stat(f"{upper}/here/deep/link")
    assert (status.st_nlink, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (3, 7, 8, 0o4711)
    assert content(f"{upper}/d/f") == "below"
    assert stat.S_IMODE(os.stat(f"{upper}/d").st_mode) == 0o750


def test_a_hard_link_to_a_deleted_file_is_refused(stacked, lower, tar, entry):
    with open(f"{lower}/f", "w", encoding="utf-8"):
        pass
    with pytest.raises(Corrupt, match="'f', which is not there"):
        apply(io.BytesIO(tar(entry(".wh.f"), entry("link", kind=HARD, link="f"))), stacked)


def test_links_of_the_layers_below_are_not_followed(stacked, upper, lower, tmp_path, tar, entry):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o711)
    (outside / "secret").write_text("s")
    os.symlink(outside, f"{lower}/a")
    apply(io.BytesIO(tar(entry("a/f", "x"))), stacked)
    assert stat.S_IMODE(os.lstat(f"{upper}/a").st_mode) == 0o755
    assert os.listdir(outside) == ["secret"]
    with pytest.raises(Corrupt, match="not there"):
        apply(io.BytesIO(tar(entry("h", kind=HARD, link="a/secret"))), stacked)


def test_the_tar_of_a_tree_is_the_same_every_time_and_holds_all_of_it(bottom, upper, tar, entry):
    data = tar(
        entry("z", "last", uid=1, gid=2, mtime=1_234_567_890.5),
        entry("d/", kind=DIR, mode=0o1777),
        entry("d/long" + "x" * 120, "long name"),
        entry("d/first", "one", mode=0o4755),
        entry("d/second", kind=HARD, link="d/first"),
        entry("l", kind=SYM, link="t" * 150),
        entry("null", kind=tarfile.CHRTYPE, device=(1, 3)),
        entry("fifo", kind=tarfile.FIFOTYPE),
        entry("attr", "x", pax={"SCHILY.xattr.user.k": "v"}),
        entry("é", "non-ascii"),
    )
    apply(io.BytesIO(data), bottom)
    with socket.socket(socket.AF_UNIX) as ours:
        descriptor = os.open(upper, os.O_RDONLY)
        ours.bind(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
    first = changes(bottom)
    assert hashlib.sha256(first).digest() == hashlib.sha256(changes(bottom)).digest()
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        found = {m.name: m for m in archive}
    assert list(found) == ["attr", "d", "d/first", "d/long" + "x" * 120, "d/second", "fifo", "l", "null", "z", "é"]
    assert (found["d/second"].type, found["d/second"].linkname) == (HARD, "d/first")
    assert (found["z"].uid, found["z"].gid, found["z"].mtime, found["z"].uname) == (1, 2, 1_234_567_890, "")
    assert found["l"].linkname == "t" * 150
    assert (found["null"].devmajor, found["null"].devminor) == (1, 3)
    assert found["attr"].pax_headers["SCHILY.xattr.user.k"] == "v"


def test_a_round_trip_through_another_directory_gives_the_same_tar(bottom, tmp_path, tar, entry):
    apply(io.BytesIO(tar(entry("a/b", "x", mode=0o600), entry("s", kind=SYM, link="a"))), bottom)
    os.setxattr(
        bottom[0].source + "/a/b", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")
    )
    first = changes(bottom)
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    again = (Mount("bind", str(other), "", ("rw",)),)
    apply(io.BytesIO(first), again)
    assert changes(again) == first


def test_times_are_clamped_in_the_tar_and_in_the_snapshot(bottom, upper, tar, entry):
    data = tar(
        entry("new", "x", mtime=2_000),
        entry("old", "x", mtime=500),
        entry("d/", kind=DIR, mtime=3_000),
        entry("l", kind=SYM, link="x", mtime=4_000),
    )
    apply(io.BytesIO(data), bottom)
    with tarfile.open(fileobj=io.BytesIO(changes(bottom, mtime=1_000))) as archive:
        assert {m.name: m.mtime for m in archive} == {"new": 1_000, "old": 500, "d": 1_000, "l": 1_000}
    assert {n: os.lstat(f"{upper}/{n}").st_mtime for n in ("new", "old", "d", "l")} == {
        "new": 1_000, "old": 500, "d": 1_000, "l": 1_000
    }  # fmt: skip


def test_marks_of_overlayfs_stay_out_of_the_tar(stacked, upper):
    os.mkdir(f"{upper}/d")
    os.setxattr(f"{upper}/d", "trusted.overlay.origin", b"x")
    os.setxattr(f"{upper}/d", "trusted.overlay.impure", b"y")
    with tarfile.open(fileobj=io.BytesIO(changes(stacked))) as archive:
        assert [m.pax_headers for m in archive] == [{}]


@pytest.mark.parametrize("mark", ["redirect", "metacopy"])
def test_an_incomplete_upper_directory_is_refused(mark, stacked, upper):
    os.mkdir(f"{upper}/d")
    os.setxattr(f"{upper}/d", f"trusted.overlay.{mark}", b"x")
    with pytest.raises(Unsupported, match="'d/'"):
        changes(stacked)


def test_a_file_that_looks_like_a_whiteout_cannot_be_in_a_layer(bottom, upper):
    with open(f"{upper}/.wh.x", "w", encoding="utf-8"):
        pass
    with pytest.raises(Unsupported, match=r"'\.wh\.x'"):
        changes(bottom)


def test_a_tree_that_is_nested_too_deep_is_refused(bottom, upper):
    directory = os.open(upper, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=directory)
        deeper = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = deeper
    os.close(directory)
    with pytest.raises(Unsupported, match="nested deeper"):
        changes(bottom)


def test_a_change_of_the_root_itself_is_a_change(stacked, upper):
    assert is_unchanged(stacked)
    os.chmod(upper, 0o700)
    assert not is_unchanged(stacked)
    assert listing(changes(stacked)) == ["./"]


def test_mounts_of_a_committed_snapshot_are_refused(lower):
    with pytest.raises(InvalidInput, match="active"):
        apply(io.BytesIO(b""), (Mount("bind", lower, "", ("rbind", "ro")),))


def test_what_goes_while_it_is_read_is_left_out_of_a_moving_snapshot_and_an_error_in_another(stacked, upper):
    large = bytes(8 << 20)  # more than the writer holds back

    def fill() -> None:
        for name, text in (("a", large), ("gone", b"gone"), ("turned", b"turned"), ("z", b"z")):
            with open(f"{upper}/{name}", "wb") as file:
                file.write(text)
        os.link(f"{upper}/gone", f"{upper}/kept")

    target = io.BytesIO()

    def write(data: bytes) -> None:
        target.write(data)
        if os.path.lexists(f"{upper}/gone"):
            os.unlink(f"{upper}/gone")
            os.unlink(f"{upper}/turned")
            os.mkfifo(f"{upper}/turned")

    fill()
    diff(stacked, write, moving=True)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive if member.isreg()}
    assert files == {"a": large, "kept": b"gone", "z": b"z"}
    os.unlink(f"{upper}/kept")
    os.unlink(f"{upper}/turned")
    fill()
    with pytest.raises(KistError, match="gone"):
        diff(stacked, write)
