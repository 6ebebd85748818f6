"""The options of the driver ``local``: what they mean, and what they cannot."""

import pytest

from kist.errors import InvalidInput
from kist.spec.volume_options import LocalOptions, read_local_options, with_address, with_newer_version


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, LocalOptions()),
        ({"uid": "1000", "gid": "0", "mode": "1770"}, LocalOptions(uid=1000, gid=0, mode=0o1770)),
        ({"o": "uid=5,mode=700", "uid": "6"}, LocalOptions(uid=6, mode=0o700)),
        ({"size": "10g"}, LocalOptions(size=10 << 30)),
        ({"o": "size=1.5M"}, LocalOptions(size=3 << 19)),
        ({"type": "none", "o": "bind", "device": "/srv"}, LocalOptions("bind", "/srv", ("bind",))),
        ({"type": "bind", "device": "/srv"}, LocalOptions("bind", "/srv", ("bind",))),
        ({"o": "rbind,ro,rslave", "device": "/srv"}, LocalOptions("bind", "/srv", ("ro", "rslave"))),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=100m,uid=1000"},
         LocalOptions("tmpfs", "tmpfs", ("size=100m", "uid=1000"))),
        ({"type": "tmpfs", "size": "1m", "uid": "7", "o": "uid=8"},
         LocalOptions("tmpfs", "tmpfs", ("uid=8", "size=1048576"))),
        ({"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,rw"},
         LocalOptions("nfs", ":/export", ("addr=10.0.0.1", "rw"))),
        ({"type": "ext4", "device": "/dev/sdb1"}, LocalOptions("ext4", "/dev/sdb1")),
    ],
)  # fmt: skip
def test_what_options_mean(options: dict[str, str], wanted: LocalOptions) -> None:
    assert read_local_options(options) == wanted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"foo": "1"}, 'invalid option: "foo"'),
        ({"type": "ext4"}, 'missing required option: "device"'),
        ({"device": "/dev/sdb1"}, 'missing required option: "type"'),
        ({"type": "none", "device": "/x"}, 'missing required option: "o=bind"'),
        ({"type": "none", "device": "/x", "o": "ro"}, 'missing required option: "o=bind"'),
        ({"o": "bind"}, 'missing required option: "device"'),
        ({"o": "bind", "device": "srv"}, "invalid option: device=srv"),
        ({"o": "bind,size=1g", "device": "/srv"}, "invalid option: o=size=1g"),
        ({"o": "bind", "device": "/srv", "uid": "1"}, "uid is for a volume's own directory"),
        ({"o": "noatime"}, "invalid option: o=noatime"),
        ({"uid": "me"}, "invalid option: uid=me"),
        ({"gid": "-1"}, "invalid option: gid=-1"),
        ({"uid": "4294967295"}, "invalid option: uid="),
        ({"mode": "rwx"}, "invalid option: mode=rwx"),
        ({"mode": "10000"}, "invalid option: mode=10000"),
        ({"size": "0"}, "invalid option: size=0"),
        ({"size": "much"}, "invalid option: size=much"),
        ({"type": "tmpfs", "size": "much"}, "invalid option: size=much"),
        ({"type": "ext4", "device": "/dev/x", "size": "1g"}, "size is for a volume's own directory or a tmpfs"),
        ({"type": "nfs", "device": "/export"}, "invalid option: device=/export"),
    ],
)
def test_what_they_cannot_be(options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read_local_options(options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "asked", "words"),
    [
        (
            {"type": "nfs", "device": "files.example:/x", "o": "vers=4.2"},
            "files.example",
            ("vers=4.2", "addr=192.0.2.7"),
        ),
        ({"type": "nfs", "device": ":/x", "o": "addr=files,ro"}, "files", ("ro", "addr=192.0.2.7")),
        ({"type": "nfs4", "device": "[2001:db8::1]:/x"}, "2001:db8::1", ("vers=4", "addr=192.0.2.7")),
    ],
)
def test_an_nfs_mount_gets_the_address_that_the_kernel_needs(
    options: dict[str, str], asked: str, words: tuple[str, ...]
) -> None:
    def resolve(host: str) -> str:
        assert host == asked
        return "192.0.2.7"

    assert with_address(read_local_options(options), resolve).words == words


def test_another_version_is_tried_where_nobody_chose_one() -> None:
    newer = with_newer_version(read_local_options({"type": "nfs", "device": "files:/x", "o": "soft"}))
    assert newer is not None
    assert newer.words == ("soft", "vers=4.2")
    for kind, words in (("nfs", "vers=3"), ("nfs", "nfsvers=4"), ("nfs4", "soft")):
        assert with_newer_version(read_local_options({"type": kind, "device": "files:/x", "o": words})) is None
    assert with_newer_version(read_local_options({"type": "tmpfs"})) is None


def test_others_need_none() -> None:
    def resolve(host: str) -> str:
        raise AssertionError(host)

    options = read_local_options({"type": "tmpfs"})
    assert with_address(options, resolve) is options
