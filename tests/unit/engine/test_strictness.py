"""Who could put another socket in a socket's place."""

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from kist.api.wanted import places_wanted
from kist.engine.policy.strictness import check_way, danger_of, danger_on_the_way
from kist.errors import Forbidden
from kist.spec.listening import Listening
from kist.spec.scope import read_socket

OWN, SOMEBODY = os.geteuid(), 54321


def of(uid: int, gid: int, mode: int) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "danger"),
    [
        (0, 0, 0o755, ""),
        (OWN, SOMEBODY, 0o755, ""),
        (0, 0, 0o1777, ""),
        (OWN, SOMEBODY, 0o1770, ""),
        (0, SOMEBODY, 0o2755, ""),
        (OWN, SOMEBODY, 0o777, "everybody"),
        (OWN, SOMEBODY, 0o702, "everybody"),
        (0, SOMEBODY, 0o775, f"the group {SOMEBODY} (mode 0775)"),
        (OWN, SOMEBODY, 0o2770, f"the group {SOMEBODY} (mode 2770)"),
        (SOMEBODY, 0, 0o755, f"belongs to the user {SOMEBODY}"),
        (SOMEBODY, 0, 0o1777, f"belongs to the user {SOMEBODY}"),
    ],
)
def test_a_directory_is_safe_where_nobody_else_may_change_it(uid: int, gid: int, mode: int, danger: str) -> None:
    found = danger_of(of(uid, gid, mode))
    assert danger in found
    assert bool(found) is bool(danger)


def test_a_group_of_ones_own_is_nobody_else() -> None:
    user = pwd.getpwuid(OWN)
    try:
        group = grp.getgrnam(user.pw_name)
    except KeyError:
        pytest.skip("this user has no group of the same name")
    if {*group.gr_mem} - {user.pw_name, "root"}:
        pytest.skip("this user's group has others in it")
    assert danger_of(of(OWN, group.gr_gid, 0o775)) == ""


def test_each_directory_on_the_way_counts_by_all_its_names(tmp_path: Path) -> None:
    safe, open_to_all = tmp_path / "safe", tmp_path / "open"
    for each in (safe, open_to_all, open_to_all / "inner"):
        each.mkdir()
    open_to_all.chmod(0o777)
    (safe / "out").symlink_to(open_to_all / "inner")
    (open_to_all / "link").symlink_to(safe)
    assert danger_on_the_way(f"{safe}/s") == ""
    assert danger_on_the_way(f"{safe}/not/there/s") == ""
    for way in (open_to_all / "s", open_to_all / "inner" / "s", safe / "out" / "s", open_to_all / "link" / "s"):
        with pytest.raises(Forbidden, match=f"{open_to_all} may be written to by everybody") as caught:
            check_way(str(way))
        assert str(way) in str(caught.value)
        assert "chmod go-w" in caught.value.hint


def test_a_socket_with_a_role_is_refused_there_and_another_one_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)
    path = str(tmp_path / "s")
    with pytest.raises(Forbidden, match="could put another socket there"):
        places_wanted(Listening(sockets=(read_socket(path, "read-only", []),)), (), "/r", root=False)
    assert len(places_wanted(Listening((f"unix://{path}",)), (), "/r", root=False)) == 2
    assert f"{path}: {tmp_path} may be written to by everybody" in caplog.text
