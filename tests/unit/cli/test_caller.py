"""Who calls, for ``--as-me`` and ``--userns keep-id``."""

import os
import pwd

import pytest

from kist.cli.caller import caller


def test_a_caller_without_an_entry_has_a_name_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    found = caller({"USER": "batch", "HOME": "/scratch"})
    assert (found["name"], found["home"]) == ("batch", "/scratch")
    found = caller({})
    assert (found["name"], found["home"]) == ("user54321", "/home/user54321")


def test_behind_sudo_it_is_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    known = pwd.getpwnam("daemon")
    words = {"SUDO_UID": str(known.pw_uid), "SUDO_GID": str(known.pw_gid), "SUDO_USER": "daemon", "HOME": "/root"}
    found = caller(words)
    assert (found["uid"], found["gid"], found["name"], found["home"]) == (
        known.pw_uid,
        known.pw_gid,
        "daemon",
        known.pw_dir,
    )
    assert known.pw_gid in found["groups"]


def test_behind_sudo_a_user_without_an_entry_is_called_as_sudo_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    found = caller({"SUDO_UID": "54321", "SUDO_GID": "54322", "SUDO_USER": "far", "USER": "root", "HOME": "/root"})
    assert found == {"uid": 54321, "gid": 54322, "groups": [54322], "name": "far", "home": "/home/far"}


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"SUDO_UID": "1000"},
        {"SUDO_UID": "-1", "SUDO_GID": "0"},
        {"SUDO_UID": "a", "SUDO_GID": "1"},
        {"SUDO_UID": str(2**31), "SUDO_GID": "1"},
    ],
)
def test_a_word_of_sudo_that_is_no_id_is_nobodys(words: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert caller(words)["uid"] == 0


def test_who_is_not_root_is_nobody_else_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert caller({"SUDO_UID": "1", "SUDO_GID": "1"})["uid"] == 54321
