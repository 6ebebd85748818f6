"""--secret and --ssh as they are written."""

import pytest

from kist.cli.build_given import read_agent, read_secret
from kist.errors import InvalidInput

ENVIRONMENT = {"TOKEN": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=a,src=/f", ("a", ("/f", ""))),
        ("id=a,source=f", ("a", ("f", ""))),
        ("id=a,env=B", ("a", ("", "B"))),
        ("type=env,id=a,src=B", ("a", ("", "B"))),
        ("id=TOKEN", ("TOKEN", ("", "TOKEN"))),
        ("type=file,id=TOKEN", ("TOKEN", ("TOKEN", ""))),
        ("id=other", ("other", ("other", ""))),
        ('id=a,"src=/with,comma"', ("a", ("/with,comma", ""))),
    ],
)
def test_a_secret_is_a_file_or_a_variable(text: str, expected: tuple[str, tuple[str, str]]) -> None:
    assert read_secret(text, ENVIRONMENT) == expected


@pytest.mark.parametrize("text", ["", "src=/f", "id=", "id=a,src=/f,env=B", "type=x,id=a", "a", "id=a,value=hush"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_secret(text, ENVIRONMENT)
    assert "hush" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("default", ("default", ())), ("a=/s", ("a", ("/s",))), ("a=k1,k2", ("a", ("k1", "k2")))],
)
def test_an_agent_has_a_name_and_perhaps_paths(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert read_agent(text) == expected


def test_an_agent_needs_a_name() -> None:
    with pytest.raises(InvalidInput):
        read_agent("=/s")
