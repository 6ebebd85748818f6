"""Versions compared by the rules of their ecosystems: cases of their own documents."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.inventory.versions import compare
from kist.spec.package import TYPES


@pytest.mark.parametrize(
    ("kind", "ordered"),
    [
        ("deb", ["1.0~rc1-1", "1.0-1", "1.0-1+deb12u1", "1.0-2", "1.0.1-1", "1:0.1-1"]),
        ("rpm", ["1.0~rc1-1", "1.0-1", "1.0^20200101-1", "1.0.1-1", "1.0.1a-1", "1.10-1", "2.0-1", "1:0.1-1"]),
        ("apk", ["1.2.3_alpha-r0", "1.2.3_rc1-r0", "1.2.3-r0", "1.2.3-r1", "1.2.3_p1-r0", "1.2.3a-r0", "1.2.10-r0"]),
        ("pypi", ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1!0.1"]),
        ("npm", ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                 "1.0.0", "1.2.0", "1.10.0"]),
        ("maven", ["1.0-alpha-1", "1.0-beta-1", "1.0-rc1", "1.0-SNAPSHOT", "1.0", "1.0-sp", "1.0.1", "1.10"]),
        ("conda", ["0.4.1.rc", "0.4.1", "0.5a1", "0.5b3", "0.5", "0.9.6", "1.1dev1", "1.1a1", "1.1", "1.1.post1",
                   "1996.07.12", "1!0.4.1"]),
    ],
)  # fmt: skip
def test_versions_are_in_the_order_of_their_ecosystem(kind: str, ordered: list[str]) -> None:
    for (low, older), (high, newer) in itertools.combinations(enumerate(ordered), 2):
        assert low < high
        assert compare(kind, older, newer) < 0, (older, newer)
        assert compare(kind, newer, older) > 0, (older, newer)


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [("rpm", "1.0", "1.0-5"), ("pypi", "1.0", "1.0.0"), ("maven", "1.0", "1.0.0-ga"), ("conda", "1.0", "1.0.0"),
     ("deb", "1.0", "1.0-0"), ("npm", "v1.2.3", "1.2.3+build"), ("rpm", "1_0", "1.0")],
)  # fmt: skip
def test_versions_that_are_the_same(kind: str, left: str, right: str) -> None:
    assert compare(kind, left, right) == 0
    assert compare(kind, right, left) == 0


@given(st.sampled_from(TYPES), st.text(max_size=12), st.text(max_size=12))
def test_any_texts_are_compared_and_both_ways_agree(kind: str, left: str, right: str) -> None:
    assert compare(kind, left, right) == -compare(kind, right, left)
