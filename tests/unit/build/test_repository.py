"""Git repositories as contexts: what git is called with."""

from pathlib import Path

import pytest

from kist.build import repository
from kist.engine.stop import Stop
from kist.errors import Unavailable


@pytest.mark.parametrize(
    ("address", "plain", "header"),
    [
        ("https://host/x.git", "https://host/x.git", ""),
        ("https://me:pw@host:8443/x.git", "https://host:8443/x.git", "Authorization: Basic bWU6cHc="),
        ("https://me:p%40w@host/x.git", "https://host/x.git", "Authorization: Basic bWU6cEB3"),
        ("http://token@host/x.git", "http://host/x.git", "Authorization: Basic dG9rZW46"),
        ("ssh://me@host/x.git", "ssh://me@host/x.git", ""),
        ("git@host:x.git", "git@host:x.git", ""),
    ],
)
def test_a_login_is_shown_to_its_host(address: str, plain: str, header: str) -> None:
    found, variables = repository.settled_login(address)
    assert found == plain
    assert variables.get("GIT_CONFIG_VALUE_0", "") == header
    if header:
        origin = plain.removesuffix("x.git")
        assert variables["GIT_CONFIG_KEY_0"] == f"http.{origin}.extraHeader"


def test_nobody_on_the_machine_sees_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "context").mkdir()
    git = tmp_path / "git"
    git.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/words\ncase "$*" in *fetch*) exit 1;; esac\n', encoding="utf-8")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    wanted = repository.read_address("https://me:secret@host/x.git#main")
    with pytest.raises(Unavailable) as raised:
        repository.check_out(wanted, str(tmp_path / "context"), Stop())
    words = (tmp_path / "words").read_text(encoding="utf-8")
    assert "fetch --quiet --depth=1 -- https://host/x.git main" in words
    assert "secret" not in words + str(raised.value)
