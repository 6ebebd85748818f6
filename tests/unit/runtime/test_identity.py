"""``--user`` by the container's files, as Docker resolves it."""

import os
from pathlib import Path

import pytest

from kist.runtime import identity

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment
user:x:1000:1001:A User:/home/user:/bin/sh
broken line
noshell:x:12:34
7:x:70:71::/seven:/bin/sh
naughty:x:80:none::/naughty:/bin/sh
\xff\xfe:x:90:90::/bytes:/bin/sh
user:x:2000:2001::/second:/bin/sh
"""
GROUP = b"""root:x:0:
users:x:1001:
extra:x:3000:other,user
more:x:3001:user
odd
999:x:4000:
last:x:1001:user"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "passwd").write_bytes(PASSWD)
    (tmp_path / "group").write_bytes(GROUP)
    return str(tmp_path / "passwd"), str(tmp_path / "group")


@pytest.mark.parametrize(
    ("text", "uid", "gid", "groups", "home"),
    [
        ("root", 0, 0, [0], "/root"),
        ("0", 0, 0, [0], "/root"),
        ("", 0, 0, [0], "/root"),
        (":users", 0, 1001, [1001], "/root"),
        ("user", 1000, 1001, [1001, 3000, 3001], "/home/user"),
        ("1000", 1000, 1001, [1001, 3000, 3001], "/home/user"),
        ("user:extra", 1000, 3000, [3000], "/home/user"),
        ("user:3000", 1000, 3000, [3000], "/home/user"),
        ("user:5555", 1000, 5555, [5555], "/home/user"),
        ("user:999", 1000, 999, [999], "/home/user"),  # a group has this name
        ("2000", 2000, 2001, [2001, 3000, 3001, 1001], "/second"),
        ("4711", 4711, 0, [0], ""),
        ("4711:4712", 4711, 4712, [4712], ""),
        ("7", 7, 0, [0], ""),  # a user has this name
        ("naughty", 80, 0, [0], "/naughty"),
        ("2147483647", 2147483647, 0, [0], ""),
    ],
)
def test_who_a_user_is(files: tuple[str, str], text: str, uid: int, gid: int, groups: list[int], home: str) -> None:
    found = identity.look_up(text, *files)
    assert (found.uid, found.gid, found.groups, found.home) == (uid, gid, groups, home)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nobody-here", "unable to find user nobody-here: no matching entries in passwd file"),
        ("noshell", "unable to find user noshell"),
        ("user:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("-1", "unable to find user -1"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("0:9999999999", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_who_cannot_be_found(files: tuple[str, str], text: str, words: str) -> None:
    with pytest.raises(LookupError) as caught:
        identity.look_up(text, *files)
    assert words in str(caught.value.args[0])


def test_without_files_numbers_are_still_users(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none")
    found = identity.look_up("1000:1000", nowhere, nowhere)
    assert (found.uid, found.gid, found.groups, found.home) == (1000, 1000, [1000], "")
    with pytest.raises(LookupError):
        identity.look_up("root", nowhere, nowhere)


@pytest.mark.parametrize(("groups", "expected"), [(None, [5]), ((), []), ((5, 6), [5, 6])])
def test_plain_ids_have_the_home_that_passwd_tells(
    files: tuple[str, str], groups: tuple[int, ...] | None, expected: list[int]
) -> None:
    found = identity.of_ids(1000, 5, groups, files[0])
    assert (found.uid, found.gid, found.groups, found.home, found.name) == (1000, 5, expected, "/home/user", "user")
    assert identity.of_ids(99, 5, groups, files[0]).home == ""


def test_a_name_of_digits_is_nobodys_way_to_root(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("1000:x:0:0::/root:/bin/sh\n", encoding="ascii")
    found = identity.look_up("1000:1000", str(tmp_path / "passwd"), str(tmp_path / "passwd"))
    assert (found.uid, found.gid) == (1000, 1000)


@pytest.mark.parametrize(
    "target", ["/dev/zero", "/proc/kmsg", "/proc/self/fd/0", "/proc/self/status", "pipe", "itself"]
)
def test_what_is_no_regular_file_has_no_users(tmp_path: Path, target: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "itself").symlink_to(target)
    with pytest.raises(LookupError, match="no matching entries"):
        identity.look_up("root", str(tmp_path / "itself"))


def test_a_file_of_users_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    os.truncate(tmp_path / "passwd", 1 << 40)
    with pytest.raises(LookupError, match="1099511627776 bytes"):
        identity.look_up("root", str(tmp_path / "passwd"))
