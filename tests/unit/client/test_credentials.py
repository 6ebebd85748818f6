"""Logins that Docker's and Podman's clients have."""

import base64
import json
from pathlib import Path

import pytest

from kist.client.credentials import HEADER, header_for, logins_for
from kist.errors import InvalidInput, KistError, NotFound, Unavailable
from kist.spec.credentials import HUB_KEY, Login
from kist.spec.docker.registries import read_registry_config


def pair(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


class Home:
    """A user's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {"HOME": str(path), "XDG_RUNTIME_DIR": str(path / "run")}

    def write(self, name: str, config: object) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(config if isinstance(config, str) else json.dumps(config))

    def helper(self, name: str, script: str) -> None:
        path = self.path / "bin" / f"docker-credential-{name}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def logins(self, *references: str) -> dict[str, Login]:
        return logins_for(references, self.environment)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return Home(tmp_path)


def test_nothing(home: Home) -> None:
    assert home.logins("r.example/a", "debian") == {}
    assert header_for(["r.example/a"], home.environment) == []
    home.write(".docker/config.json", {"auths": None, "credHelpers": 7})
    assert home.logins("r.example/a") == {}


def test_dockers_file(home: Home) -> None:
    auths = {"r.example": pair("ada:a:b"), HUB_KEY: pair("bob:c"), "other.example": pair("eve:d")}
    home.write(".docker/config.json", {"auths": auths})
    found = {"r.example": Login("ada", "a:b"), HUB_KEY: Login("bob", "c")}
    assert home.logins("r.example/a", "debian") == found
    # Only the registries that are named are told, in what the engine reads.
    [(name, value)] = header_for(["r.example/a", "debian:12"], home.environment)
    assert name == HEADER
    assert read_registry_config(value) == found


def test_another_directory_of_dockers(home: Home) -> None:
    home.environment["DOCKER_CONFIG"] = str(home.path / "elsewhere")
    home.write("elsewhere/config.json", {"auths": {"r.example": {"username": "ada", "password": "b"}}})
    home.write(".docker/config.json", {"auths": {"r.example": pair("bob:c")}})
    assert home.logins("r.example/a") == {"r.example": Login("ada", "b")}


def test_podmans_file_after_dockers_and_by_repositories(home: Home) -> None:
    home.write(".docker/config.json", {"auths": {"r.example": pair("ada:a")}})
    auths = {"r.example": pair("bob:b"), "s.example": pair("bob:s"), "s.example/team": pair("team:t")}
    home.write("run/containers/auth.json", {"auths": auths})
    assert home.logins("r.example/a") == {"r.example": Login("ada", "a")}
    assert home.logins("s.example/other/a", "s.example/team/b") == {
        "s.example": Login("bob", "s"),
        "s.example/team/b": Login("team", "t"),
    }


def test_an_identity_token(home: Home) -> None:
    home.write(".docker/config.json", {"auths": {"r.example": {**pair("ada:"), "identitytoken": "t"}}})
    found = home.logins("r.example/a")
    assert found == {"r.example": Login("ada", identity_token="t")}
    [(_, value)] = header_for(["r.example/a"], home.environment)
    assert read_registry_config(value) == found


def test_helpers(home: Home) -> None:
    home.helper("one", """[ "$1 $(cat)" = "get r.example:5000" ] && echo '{"Username": "ada", "Secret": "s"}'""")
    home.helper(
        "all",
        """[ "$(cat)" = https://index.docker.io/v1/ ] && echo '{"Username": "<token>", "Secret": "t"}' ||
        { echo credentials not found in native keychain; exit 1; }""",
    )
    home.write(
        ".docker/config.json",
        {
            "credHelpers": {"r.example:5000": "one"},
            "credsStore": "all",
            "auths": {"r.example:5000": {}, "s.example": pair("bob:b")},
        },
    )
    assert home.logins("r.example:5000/a", "debian", "s.example/a", "t.example/a") == {
        "r.example:5000": Login("ada", "s"),
        HUB_KEY: Login(identity_token="t"),
        "s.example": Login("bob", "b"),
    }


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (None, NotFound, "docker-credential-kist, which .*config.json names, cannot be run: no such file"),
        ("echo the keychain is locked; exit 1", Unavailable, "has no login for r.example: the keychain is locked"),
        ("echo '{}'", InvalidInput, "does not tell a login"),
        ("echo", InvalidInput, "does not tell a login"),
    ],
)
def test_a_helper_that_fails(home: Home, script: str | None, kind: type[KistError], words: str) -> None:
    if script:
        home.helper("kist", script)
    home.write(".docker/config.json", {"credsStore": "kist"})
    with pytest.raises(kind, match=words):
        home.logins("r.example/a")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "config.json is no JSON"),
        ({"auths": {"r.example": {"auth": "?"}}}, "r.example: invalid auth"),
    ],
)
def test_a_file_that_is_damaged(home: Home, config: object, words: str) -> None:
    home.write(".docker/config.json", config)
    with pytest.raises(InvalidInput, match=words):
        home.logins("r.example/a")


def test_a_name_that_is_none(home: Home) -> None:
    with pytest.raises(InvalidInput, match="invalid reference format"):
        home.logins("R/A")
