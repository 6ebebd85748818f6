"""Who is on a container's networks, by files that change."""

import os
from pathlib import Path

import pytest

from dns import Room
from kist.runtime.names import message, upstreams
from kist.runtime.names.registry import Seen

_TICK = 30_000_000


def test_what_is_young_is_read_again() -> None:
    seen = Seen()
    assert seen.is_new((1, 1, 1), 0)
    assert seen.is_new((1, 1, 1), 1)  # a change within the same tick would look like this
    assert seen.is_new((1, 1, 1), _TICK)  # the last time: what is read now is older than a tick
    assert not seen.is_new((1, 1, 1), _TICK + 1)
    assert seen.is_new((2, 1, 1), _TICK + 2)
    assert seen.is_new(None, _TICK * 2)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    room = Room(tmp_path)
    room.enter("front", "1", ["web", "www", "1"], ["10.1.0.2", "fd00::2"])
    room.enter("front", "2", ["db", "www"], ["10.1.0.3"])
    room.enter("back", "3", ["db", "cache"], ["10.2.0.3"])
    return room


def test_names_are_those_of_the_containers_networks(room: Room) -> None:
    room.tell("front")
    assert room.addresses("WEB") == room.addresses("web.front") == ["10.1.0.2", "253.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2"]
    assert room.addresses("www") == ["10.1.0.2", "253.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2", "10.1.0.3"]
    assert room.addresses("cache") is None
    room.tell("front", "back")
    assert room.addresses("cache") == ["10.2.0.3"]
    assert room.addresses("db") == ["10.1.0.3"]
    assert room.addresses("db.back") == ["10.2.0.3"]
    room.tell("back", "front")
    assert room.addresses("db") == ["10.2.0.3"]


def test_addresses_have_the_first_name_and_the_network(room: Room) -> None:
    room.tell("front")
    assert room.name_of(10, 1, 0, 2) == [message.encode_name("web.front")]
    assert room.name_of(*[0xFD] + [0] * 14 + [2]) == [message.encode_name("web.front")]
    assert room.name_of(10, 2, 0, 3) is None


def test_a_link_is_a_name_that_only_this_container_knows(room: Room) -> None:
    room.tell("front", links={"database": "db", "gone": "nobody"})
    assert room.addresses("database") == ["10.1.0.3"]
    assert room.addresses("gone") is None
    room.enter("front", "2", ["db"], ["10.1.0.9"])
    assert room.addresses("database") == ["10.1.0.9"]


def test_who_comes_goes_and_moves_is_seen_at_once(room: Room) -> None:
    room.tell("front")
    for number in range(30):
        room.enter("front", "4", ["late"], [f"10.1.0.{number + 10}"])
        assert room.addresses("late") == [f"10.1.0.{number + 10}"]
        os.unlink(room.root / "front" / "4")
        assert room.addresses("late") is None


def test_a_network_may_come_after_the_container(room: Room) -> None:
    room.tell("new")
    assert room.addresses("late") is None
    room.enter("new", "5", ["late"], ["10.3.0.2"])
    assert room.addresses("late") == ["10.3.0.2"]


def test_what_is_being_written_and_what_is_broken_is_nobody(room: Room) -> None:
    (room.root / "front" / ".6").write_text('{"names": ["half')
    (room.root / "front" / "7").write_text('{"names": ["half')
    (room.root / "front" / "8").write_text(
        '{"names": [5, "", "a..b", "good"], "addresses": ["10.1.0.300", 3, "10.1.0.8"]}'
    )
    room.tell("front")
    assert room.addresses("half") is None
    assert room.addresses("good") == ["10.1.0.8"]


def test_nobody_on_a_network_is_taken_for_the_host(room: Room) -> None:
    room.enter("front", "4", ["host.docker.internal"], ["10.1.0.66"])
    room.tell("front", fixed={"host.docker.internal": ["10.1.0.1"]})
    assert room.addresses("host.docker.internal") == ["10.1.0.1"]
    assert room.addresses("host.docker.internal.front") == ["10.1.0.66"]
    # A link is the container's own word.
    room.tell("front", links={"host.docker.internal": "db"}, fixed={"host.docker.internal": ["10.1.0.1"]})
    assert room.addresses("host.docker.internal") == ["10.1.0.3"]


def test_what_was_known_is_kept_while_the_container_is_removed(room: Room) -> None:
    room.tell("front", fixed={"host.docker.internal": ["10.1.0.1"]})
    assert room.addresses("host.docker.internal") == ["10.1.0.1"]
    os.unlink(room.root / "names.json")
    assert room.addresses("web") is not None


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"forwards": True}, ["127.0.0.53", "192.0.2.1", "fe80::1"]),
        ({}, []),
        ({"forwards": False}, []),
        ({"forwards": True, "servers": ["192.0.2.7", "name", "2001:db8::1"]}, ["192.0.2.7", "2001:db8::1"]),
        ({"servers": ["192.0.2.7"], "forwards": False}, []),
        ({"forwards": True, "resolver": "10.0.2.3"}, ["192.0.2.1", "192.0.2.4"]),
    ],
)
def test_whom_to_ask(told: dict[str, object], wanted: list[str], tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# mine\nnameserver 127.0.0.53\nsearch a b\nnameserver\t192.0.2.1 \n nameserver 192.0.2.9\n"
                    "nameserver fe80::1%lo\nnameserver 192.0.2.4\n")  # fmt: skip
    chosen = upstreams.Upstreams(str(path))
    chosen.look(0)
    assert [place[1][0] for place in chosen.servers(told)] == wanted


def test_the_hosts_servers_are_read_again_and_may_be_out_of_reach(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    chosen = upstreams.Upstreams(str(path))
    chosen.look(0)
    assert chosen.servers({"forwards": True}) == []
    path.write_text("nameserver 127.0.0.53\nnameserver ::1\n")
    chosen.look(1)
    assert [place[1][0] for place in chosen.servers({"forwards": True})] == ["127.0.0.53", "::1"]
    assert [place[1][0] for place in chosen.servers({"forwards": True, "resolver": "10.0.2.3"})] == ["10.0.2.3"]
    assert chosen.servers({"forwards": True, "resolver": ""}) == []
