import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.engine.ceilings import Ceiling, Ceilings, read
from kist.engine.eviction import Entry, choose, contexts
from kist.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "ceiling"),
    [
        ("20GB", Ceiling(size=20 * 10**9)),
        ("1.5G", Ceiling(size=1_500_000_000)),
        ("512 MiB", Ceiling(size=512 << 20)),
        ("100kB", Ceiling(size=100_000)),
        ("0", Ceiling(size=0)),
        (4096, Ceiling(size=4096)),
        ("12.5%", Ceiling(percent=12.5)),
        ("none", Ceiling()),
    ],
)
def test_a_ceiling_is_a_size_or_a_share_or_none(text, ceiling):
    assert read({"images": text}) == Ceilings(images=ceiling)


@pytest.mark.parametrize(
    ("ceiling", "size"),
    [
        (Ceiling(), None),
        (Ceiling(size=0), 0),
        (Ceiling(size=500), 500),
        (Ceiling(percent=10), 100),
        (Ceiling(500, 10), 100),
        (Ceiling(50, 10), 50),
    ],
)
def test_the_smaller_one_holds(ceiling, size):
    assert ceiling.of(1000) == size


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([], "must be a table"),
        ({"cache": "1GB"}, "there is no setting 'cache'"),
        ({"images": "much"}, "images is a size, not 'much'"),
        ({"images": "101%"}, "images is a size, not '101%'"),
        ({"images": "-1GB"}, "images is a size"),
        ({"build-cache": True}, "build-cache is a size"),
        ({"keep-for": "1w"}, "keep-for is a length of time, not '1w'"),
    ],
)
def test_what_cannot_be_a_setting(table, said):
    with pytest.raises(InvalidInput, match=said) as error:
        read(table)
    assert error.value.hint


def test_what_was_used_lately_is_told_in_a_length_of_time():
    assert read({"keep-for": "2d"}).keep_for == 2 * 86400
    assert read({}) == Ceilings()


SIZES = {"base": 100, "a": 10, "b": 10, "c": 10}
A = Entry("A", ("base", "a"), may_go=True)
B = Entry("B", ("base", "b"), may_go=True)
C = Entry("C", ("c",), may_go=True)
EMPTY = Entry("empty", (), may_go=True)
# A step, one that stands on it, and the first one under another key.
BELOW = Entry("below", ("base",), may_go=True)
AGAIN = Entry("again", ("base",), may_go=True)


@pytest.mark.parametrize(
    ("entries", "kept", "excess", "gone"),
    [
        ((A, B, C), (), 0, []),
        ((A, B, C), (), -5, []),
        ((A, B, C), (), 10, ["A"]),
        ((A, B, C), (), 11, ["A", "B"]),  # the second gives back what both stand on
        ((A, B, C), (), 120, ["A", "B"]),
        ((A, B, C), (), 500, ["A", "B", "C"]),
        ((A, B, C), ("base",), 15, ["A", "B"]),
        ((C, A, B), (), 1, ["C"]),
        ((EMPTY, C), (), 1, ["C"]),  # what gives nothing back stays
        ((A, C), ("base", "a"), 1, ["C"]),
        ((A._replace(may_go=False), B, C), (), 500, ["B", "C"]),
        ((BELOW, A), (), 1, ["A"]),  # the one that stands on the other goes first
        ((BELOW, A), (), 11, ["A", "below"]),
        ((BELOW, C, A), (), 1, ["C"]),
        ((BELOW, A, AGAIN), (), 11, ["A", "below", "again"]),
        ((BELOW, A, AGAIN._replace(may_go=False)), (), 500, ["A"]),
        ((BELOW, A._replace(may_go=False)), (), 500, []),  # it would give nothing back, and break the other
    ],
)
def test_the_longest_unused_go_until_it_is_enough(entries, kept, excess, gone):
    assert choose(entries, kept, SIZES, excess) == gone


@st.composite
def stores(draw):
    sizes = draw(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 100), min_size=1))
    parts = st.frozensets(st.sampled_from(sorted(sizes)))
    entries = [
        Entry(str(n), own, may_go) for n, (own, may_go) in enumerate(draw(st.lists(st.tuples(parts, st.booleans()))))
    ]
    return sizes, entries, draw(parts), draw(st.integers(-10, 400))


@given(stores())
def test_enough_goes_or_all_that_may_and_nothing_else(store):
    sizes, entries, kept, excess = store

    def size(which):
        return sum(sizes[part] for part in set().union(*(entry.parts for entry in which)) - kept)

    gone = choose(entries, kept, sizes, excess)
    left = [entry for entry in entries if entry.key not in gone]
    given_back = size(entries) - size(left)
    may = {entry.key for entry in entries if entry.may_go and not kept.issuperset(entry.parts)}
    assert set(gone) <= may
    if given_back < excess:  # nothing of what is left would give anything back
        assert size(left) == size([entry for entry in left if entry.key not in may])
    if gone:  # not one more than was needed
        own = {entry.key: entry.parts - kept for entry in entries}
        last = [entry for entry in entries if entry.key not in gone or own[entry.key] == own[gone[-1]]]
        assert size(entries) - size(last) < excess


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        ([], []),
        ([("a", 10, 101), ("b", 90, 102)], []),
        ([("a", 10, 100), ("b", 20, 101)], ["a"]),
        ([("a", 10, 99), ("b", 20, 100)], ["a", "b"]),
        ([("a", 10, 101), ("b", 60, 102), ("c", 35, 103)], ["a"]),
        ([("a", 10, 101), ("b", 60, 102), ("c", 100, 103)], ["a", "b"]),
        ([("a", 5, 50), ("b", 60, 102), ("c", 41, 103)], ["a", "b"]),
        ([("a", 101, 102)], ["a"]),
    ],
)
def test_contexts_go_with_time_and_by_size(kept: list[tuple[str, int, int]], gone: list[str]) -> None:
    assert contexts(kept, most=100, since=100) == gone
