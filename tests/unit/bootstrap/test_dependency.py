import pytest

from kist.bootstrap.dependency import Relation, parse_relations, show
from kist.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("a", ((Relation("a"),),)),
        ("a, b", ((Relation("a"),), (Relation("b"),))),
        ("a | b (>= 2), c", ((Relation("a"), Relation("b", ">=", "2")), (Relation("c"),))),
        ("python3:any (<< 3.12~)", ((Relation("python3", "<<", "3.12~", "any"),),)),
        ("libc6:amd64(=2.36-9)", ((Relation("libc6", "=", "2.36-9", "amd64"),),)),
        ("a (>= 1) [linux-any],", ((Relation("a", ">=", "1"),),)),
        ("g++-12", ((Relation("g++-12"),),)),
        ("a\n , b", ((Relation("a"),), (Relation("b"),))),
    ],
)
def test_relations_are_read(text: str, expected: object) -> None:
    assert parse_relations(text) == expected


@pytest.mark.parametrize("text", ["a (>= )", "a (2)", "a b", "a | ", "(>= 1)", "a (=> 1)", "a (>= 1"])
def test_what_is_no_relation_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid package relation"):
        parse_relations(text)


def test_a_relation_is_shown_as_the_policy_writes_it() -> None:
    assert [show(a) for a in parse_relations("a:any(>=1)|b, c")] == ["a:any (>= 1) | b", "c"]


def test_a_relation_holds_for_the_versions_that_it_means() -> None:
    relation = Relation("a", ">=", "2")
    assert (relation.holds("1"), relation.holds("2"), Relation("a").holds("0")) == (False, True, True)
