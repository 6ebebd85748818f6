"""Callers of root's engine who are not root: what they get, and what no trick gives them."""

import stat
from collections.abc import Iterator

import pytest

from guests import Room, a_room

pytestmark = pytest.mark.root


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(tmp_path_factory.mktemp("guests")) as made:
        yield made


# who gets in


def test_the_groups_socket_is_the_groups_alone(room: Room) -> None:
    assert stat.S_IMODE(room.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(room.run_root.stat().st_mode) == 0o700
    assert "Version" in room.ada.good("version")
    assert "permission denied" in room.eve.refused("version")


def test_what_is_the_engines_users_alone_is_refused(room: Room) -> None:
    for words in (
        ("system", "df"),
        ("system", "check", "--repair"),
        ("image", "prune", "-f"),
        ("events", "--until", "1"),
    ):
        assert "engine's own user" in room.ada.refused(*words)
