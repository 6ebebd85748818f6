"""Modes of user namespaces, their maps, and ranges that nobody else has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine import userns
from kist.errors import InvalidInput, Unavailable
from kist.spec.container import Caller, ContainerOptions, Namespaces
from kist.spec.runtime import IdMap

START = 1000000


def caller(uid: int, gid: int) -> Caller:
    return Caller(uid, gid, (gid, 99), "me", "/home/me")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", userns.Mode()),
        ("host", userns.Mode()),
        ("auto", userns.Mode("auto")),
        ("auto:size=100", userns.Mode("auto", size=100)),
        (
            "auto:uidmapping=5:6,uidmapping=7:8:9,gidmapping=1:2:3",
            userns.Mode("auto", uids=(IdMap(5, 6, 1), IdMap(7, 8, 9)), gids=(IdMap(1, 2, 3),)),
        ),
        ("keep-id", userns.Mode("keep-id")),
        ("keep-id:uid=1,gid=2,size=30", userns.Mode("keep-id", uid=1, gid=2, size=30)),
        ("container:x", userns.Mode("container", "x")),
    ],
)
def test_modes(text: str, mode: userns.Mode) -> None:
    assert userns.read(text) == mode


@pytest.mark.parametrize(
    "text",
    ["no", "host:x", ":", "auto:", "auto:size=0", "auto:size=-1", "auto:size=99999999999", "auto:uid=1",
     "auto:uidmapping=1", "auto:uidmapping=1:2:3:4", "keep-id:uidmapping=1:2:3", "keep-id:uid=x", "container:",
     "nomap"],
)  # fmt: skip
def test_modes_that_there_are_not(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid USER mode"):
        userns.read(text)


@pytest.mark.parametrize(
    ("text", "ids", "expected"),
    [
        ("auto:size=10", (1, 1), [(0, START, 10)]),
        ("auto:size=10,uidmapping=3:7", (1, 1), [(0, START, 3), (3, 7, 1), (4, START + 4, 6)]),
        ("auto:size=10,uidmapping=0:7:2", (1, 1), [(0, 7, 2), (2, START + 2, 8)]),
        ("auto:size=10,uidmapping=20:7:2", (1, 1), [(0, START, 10), (20, 7, 2)]),
        ("keep-id:size=10", (5, 5), [(0, START, 5), (5, 5, 1), (6, START + 6, 4)]),
        ("keep-id:size=10", (5000, 5), [(0, START, 10), (5000, 5000, 1)]),
        ("keep-id:size=10,uid=0", (5000, 5), [(0, 5000, 1), (1, START + 1, 9)]),
        ("keep-id", (0, 0), [(0, 0, 0xFFFFFFFF)]),
    ],
)
def test_maps(text: str, ids: tuple[int, int], expected: list[tuple[int, int, int]]) -> None:
    found = userns.maps(userns.read(text), caller(*ids), START).uids
    assert [(entry.inside, entry.outside, entry.size) for entry in found] == expected


def test_on_binds_the_callers_files_are_the_callers() -> None:
    found = userns.maps(userns.read("keep-id:uid=3,size=10"), caller(6, 6), START)
    assert userns.mapped(found.uids, 3) == 6
    assert userns.mapped(found.bind_uids, 6) == 6
    # What belongs to the caller's number inside is nobody's: it would be the caller's otherwise.
    assert userns.mapped(found.bind_uids, 3) == -1
    assert userns.mapped(found.bind_uids, 0) == userns.mapped(found.uids, 0) == START
    assert found.bind_gids == userns.maps(userns.read("keep-id:uid=3,size=10"), caller(6, 6), START).bind_gids


def test_mappings_that_contradict_each_other() -> None:
    mode = userns.read("auto:uidmapping=3:7:5,uidmapping=4:9:1")
    with pytest.raises(InvalidInput, match="contradict"):
        userns.maps(mode, None, START)


def test_who_runs_with_keep_id() -> None:
    def options(text: str) -> ContainerOptions:
        return ContainerOptions(image="i", caller=caller(5, 6), namespaces=Namespaces(user=text))

    assert userns.caller_of(options("host")) == caller(5, 6)
    assert userns.caller_of(options("keep-id")) == Caller(5, 6, (6,), "me", "/home/me")
    assert userns.caller_of(options("keep-id:uid=1,gid=2")) == Caller(1, 2, (2,), "me", "/home/me")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("alice:100000:65536\n", ()),
        ("root:5:6\ncontainers:1:2 # ours\ncontainers:7:8\n", ((1, 2), (7, 8))),
        ("0:5:6\n", ((5, 6),)),
        ("kist:x:6\nroot:1\n#root:2:3\n", ()),
    ],
)
def test_subordinate_ids(text: str, expected: tuple[tuple[int, int], ...]) -> None:
    assert userns.subordinate(text) == expected


ranges = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=6)


@given(ranges, ranges, st.integers(1, 40), st.integers(0, 1000))
def test_a_chosen_range_is_allowed_and_nobodys(
    allowed: list[tuple[int, int]], taken: list[tuple[int, int]], size: int, first: int
) -> None:
    free = {i for start, length in allowed for i in range(start, start + length)}
    busy = {i for start, length in taken for i in range(start, start + length)}
    try:
        start, chosen = userns.choose(allowed, taken, size, first)
    except Unavailable:
        for begin, length in allowed:
            ids = [i not in busy for i in range(begin, begin + length)]
            assert all(not all(ids[at : at + size]) for at in range(length - size + 1)), "there was room"
    else:
        mine = set(range(start, start + size))
        assert chosen == size
        assert mine <= free - busy


def test_all_places_are_used() -> None:
    taken: list[tuple[int, int]] = []
    for number in range(10):
        taken.append(userns.choose([(100, 100)], taken, 10, first=7919 * number))
    assert sorted(taken) == [(start, 10) for start in range(100, 200, 10)]
    with pytest.raises(Unavailable, match="no 10 ids are left"):
        userns.choose([(100, 100)], taken, 10)
