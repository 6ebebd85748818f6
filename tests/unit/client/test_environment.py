"""The environment where a batch job, su or cron left a part of somebody else's."""

import os
import pwd
from pathlib import Path

from kist.client.environment import settled

UID = 1000


def test_what_is_the_users_own_stays(tmp_path: Path) -> None:
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert settled(environment, UID) is environment


def test_a_runtime_directory_that_could_be_made_stays(tmp_path: Path) -> None:
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": str(tmp_path / "new")}
    assert settled(environment, UID) is environment


def test_a_runtime_directory_of_another_machine_is_none(tmp_path: Path) -> None:
    there = str(tmp_path / "run" / "user" / "1000")
    assert settled({"HOME": "/h", "XDG_RUNTIME_DIR": there}, UID)["XDG_RUNTIME_DIR"] == ""


def test_a_lacking_home_is_the_user_databases() -> None:
    known = pwd.getpwuid(os.getuid())
    assert settled({}, known.pw_uid) == ({"HOME": known.pw_dir} if known.pw_uid else {})
    assert settled({}, 4_000_000_001)["HOME"] == ""


def test_roots_places_hang_on_neither() -> None:
    environment = {"XDG_RUNTIME_DIR": "/nowhere/at/all"}
    assert settled(environment, 0) is environment
