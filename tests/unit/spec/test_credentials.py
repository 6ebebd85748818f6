"""Logins by registry."""

import base64

import pytest

from kist.errors import InvalidInput
from kist.spec.credentials import HUB_KEY, Login, host_of, key_for, read_pair


@pytest.mark.parametrize(
    ("keys", "domain", "path", "found"),
    [
        ((), "r.example", "a", None),
        (("r.example",), "r.example", "a", "r.example"),
        (("r.example:5000",), "r.example", "a", None),
        (("https://r.example/v2/",), "r.example", "a", "https://r.example/v2/"),
        (("https://r.example/v1/", "r.example"), "r.example", "a", "r.example"),
        ((HUB_KEY,), "docker.io", "library/debian", HUB_KEY),
        (("docker.io",), "docker.io", "library/debian", "docker.io"),
        (("index.docker.io",), "docker.io", "library/debian", "index.docker.io"),
        (("r.example/team", "r.example"), "r.example", "team/tool", "r.example/team"),
        (("r.example/team/tool", "r.example/team"), "r.example", "team/tool", "r.example/team/tool"),
        (("r.example/team",), "r.example", "other/tool", None),
        (("r.example/team",), "r.example", "", None),
        (("other.example",), "r.example", "a", None),
    ],
)
def test_the_key_that_fits(keys: tuple[str, ...], domain: str, path: str, found: str | None) -> None:
    assert key_for(dict.fromkeys(keys), domain, path) == found


def test_a_login_shows_nothing() -> None:
    login = Login("ada", "secret", "secret", "secret")
    assert "secret" not in repr(login) + str(login) + f"{login}" + repr([login])
    assert host_of("https://index.docker.io/v1/") == "docker.io"


def test_a_pair() -> None:
    assert read_pair(base64.b64encode(b"ada:a:b").decode()) == Login("ada", "a:b")
    for text in ("?", base64.b64encode(b"ada").decode(), base64.b64encode(b"\xff:a").decode()):
        with pytest.raises(InvalidInput, match="NAME:PASSWORD"):
            read_pair(text)
