"""WWW-Authenticate, and the scopes of tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.registry.challenge import Challenge, merged_scopes, read_challenges, token_query


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], []),
        (['Basic realm="kist"'], [("basic", {"realm": "kist"})]),
        (
            ['Bearer realm="https://auth.example.org/token",service="a b",scope="repository:x:pull,push"'],
            [
                (
                    "bearer",
                    {"realm": "https://auth.example.org/token", "service": "a b", "scope": "repository:x:pull,push"},
                )
            ],
        ),
        (["BEARER Realm = x , SERVICE=y"], [("bearer", {"realm": "x", "service": "y"})]),
        (['Basic realm="a", Bearer realm="b"'], [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        (['Basic realm="a"', "Negotiate"], [("basic", {"realm": "a"}), ("negotiate", {})]),
        (["Negotiate YWJj=, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (['Basic realm="a \\"b\\" c"'], [("basic", {"realm": 'a "b" c'})]),
        (['Basic realm="never ends'], [("basic", {})]),
        (['Bearer realm="a",realm="b"'], [("bearer", {"realm": "a"})]),
        (["="], []),
        ([""], []),
    ],
)
def test_challenges(headers: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    assert read_challenges(headers) == [Challenge(*each) for each in found]


@given(st.text())
def test_whatever_a_server_says(text: str) -> None:
    for challenge in read_challenges([text]):
        assert challenge.scheme


def test_scopes_of_one_repository_are_one() -> None:
    assert merged_scopes(("repository:a:pull",), "") == ("repository:a:pull",)
    assert merged_scopes(("repository:a:pull,push",), "repository:a:pull repository:b:delete") == (
        "repository:a:pull,push",
        "repository:b:delete",
    )
    assert merged_scopes((), "repository:localhost:5000/a:pull") == ("repository:localhost:5000/a:pull",)


def test_the_query_for_a_token() -> None:
    assert token_query("s", ("repository:a:pull", "repository:b:pull"), "ada") == (
        "service=s&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull&account=ada"
    )
    assert token_query("", ()) == ""
