import pytest

from kist.errors import InvalidInput
from kist.spec.owner import FIRST_SCOPE, Owner, labels_of, whose
from kist.spec.scope import ScopedSocket, read_scope, read_socket


def test_a_scope_covers_what_has_all_of_its_labels() -> None:
    scope = read_scope("operator", ["team=ci", "job=7"])
    assert scope.labels == ("job=7", "team=ci")
    assert scope.covers({"team": "ci", "job": "7", "more": "x"})
    for labels in ({}, {"team": "ci"}, {"team": "ci", "job": ""}, {"team": "other", "job": "7"}):
        assert not scope.covers(labels)
    assert read_scope("operator", []).covers({})


def test_only_an_operator_with_labels_makes_things() -> None:
    made = {(role, bool(labels)): read_scope(role, labels).makes
            for role in ("read-only", "operator") for labels in ([], ["a=b"])}  # fmt: skip
    assert made == {
        ("read-only", False): False, ("read-only", True): False, ("operator", False): False, ("operator", True): True
    }  # fmt: skip


def test_the_same_labels_are_the_same_owner_and_nobody_of_the_machines() -> None:
    first, second = read_scope("operator", ["a=1", "b=2"]), read_scope("read-only", ["b=2", "a=1", "a=1"])
    assert first.owner.uid == second.owner.uid >= FIRST_SCOPE
    assert first.owner.uid != read_scope("operator", ["a=1"]).owner.uid
    assert read_scope("operator", ["a=1,b=2"]).owner.uid != first.owner.uid
    assert not first.owner.is_user
    assert Owner(1000, 1000).is_user
    assert labels_of(first.owner) == {"a": "1", "b": "2"}
    assert labels_of(None) == {}
    assert str(first.owner.uid) not in whose(first.owner.uid)


def test_the_value_of_a_label_may_have_equals_signs() -> None:
    assert read_scope("operator", ["a=b=c"]).covers({"a": "b=c"})


@pytest.mark.parametrize(
    ("role", "labels", "said"),
    [
        ("viewer", [], "no role 'viewer'"),
        ("Admin", [], "no role"),
        ("operator", ["ci"], "not KEY=VALUE"),
        ("operator", ["=ci"], "not KEY=VALUE"),
        ("operator", ["a=1", "a=2"], "both '1' and '2'"),
        ("admin", ["a=1"], "bounded by no labels"),
    ],
)
def test_what_means_nothing_is_refused(role: str, labels: list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_scope(role, labels)


@pytest.mark.parametrize(("text", "mode"), [("", 0), ("0600", 0o600), ("0660", 0o660), ("0666", 0o666)])
def test_a_socket_as_it_is_written(text: str, mode: int) -> None:
    found = read_socket("/run/x.sock", "read-only", ["a=1"], "lab", text)
    assert found == ScopedSocket("/run/x.sock", read_scope("read-only", ["a=1"]), "lab", mode)


@pytest.mark.parametrize(
    ("path", "role", "mode", "said"),
    [
        ("run/x.sock", "read-only", "", "no absolute path"),
        ("/x", "", "", "has no role"),
        ("/x", "read-only", "0777", "none of a socket"),
        ("/x", "read-only", "0060", "none of a socket"),
        ("/x", "read-only", "0o600", "none of a socket"),
        ("/x", "read-only", "660", "none of a socket"),
    ],
)
def test_a_socket_that_cannot_be_is_refused(path: str, role: str, mode: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_socket(path, role, [], "", mode)
