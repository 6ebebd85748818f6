import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.errors import InvalidInput
from kist.spec.debian_version import compare, satisfies

VERSIONS = st.from_regex(r"(?:[0-3]:)?[0-9][0-9a-zA-Z.+~]{0,6}(?:-[0-9a-zA-Z.+~]{1,4})?", fullmatch=True)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("0~", "0"),
        ("1.0-0~", "1.0-0"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+"),
        ("1.0-1", "1.0-1.1"),
        ("2.36-9+deb12u13", "2.36-9+deb12u14"),
        ("9.0", "1:0.1"),
        ("1.0-1~bpo12+1", "1.0-1"),
        ("1.2.3-a-1", "1.2.3-b-0"),
    ],
)
def test_a_later_version_is_newer(older: str, newer: str) -> None:
    assert compare(older, newer) < 0 < compare(newer, older)


@pytest.mark.parametrize(("left", "right"), [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0-0", "1.0"), ("1", "1-0")])
def test_versions_that_are_written_differently_may_be_the_same(left: str, right: str) -> None:
    assert compare(left, right) == 0


@pytest.mark.parametrize(
    ("relation", "older", "same", "newer"),
    [
        ("<<", True, False, False),
        ("<=", True, True, False),
        ("=", False, True, False),
        (">=", False, True, True),
        (">>", False, False, True),
    ],
)
def test_relations(relation: str, older: bool, same: bool, newer: bool) -> None:
    assert [satisfies(v, relation, "2") for v in ("1", "2", "3")] == [older, same, newer]


@pytest.mark.parametrize("text", ["", "a b", "1:2:3 ", "1/2", "é"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid Debian version"):
        compare(text, "1")


@given(VERSIONS, VERSIONS)
def test_the_order_is_total(left: str, right: str) -> None:
    assert compare(left, right) == -compare(right, left)
    assert compare(left, left) == 0


@given(st.lists(VERSIONS, min_size=3, max_size=3))
def test_the_order_is_transitive(versions: list[str]) -> None:
    a, b, c = versions
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg, the oracle, is not installed")
@settings(max_examples=150, deadline=None)
@given(VERSIONS, VERSIONS)
def test_dpkg_agrees(left: str, right: str) -> None:
    ours = compare(left, right)
    relation = "lt" if ours < 0 else "gt" if ours > 0 else "eq"
    assert subprocess.run(["dpkg", "--compare-versions", left, relation, right], check=False).returncode == 0
