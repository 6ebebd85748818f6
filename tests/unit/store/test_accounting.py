import pytest

from kist.store.accounting import Parts

PARTS = Parts(
    {"base": 100, "top": 10, "other": 1, "blob a": 1000},
    {"base": None, "top": "base", "other": "base", "container": "top", "build": None},
)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((), set()),
        (("base",), {"base"}),
        (("top",), {"top", "base"}),
        (("container",), {"top", "base"}),
        (("other", "container"), {"other", "top", "base"}),
        (("build", "nosuch"), set()),
        (("blob a",), {"blob a"}),
    ],
)
def test_a_layer_brings_those_that_it_stands_on(keys, found):
    assert PARTS.with_below(keys) == found


@pytest.mark.parametrize(
    ("claims", "sizes"),
    [
        ((), (1111,)),
        (({"base", "top"}, {"base", "other"}), (110, 1, 1000)),
        (({"base", "other"}, {"base", "top"}), (101, 10, 1000)),
        (({"base", "top", "other", "blob a"}, {"base"}, {"nosuch"}), (1111, 0, 0, 0)),
        ((["base", "base"],), (100, 1011)),
    ],
)
def test_every_part_is_of_the_first_who_needs_it_or_of_nobody(claims, sizes):
    assert PARTS.assigned(claims) == sizes
    assert sum(sizes) == PARTS.size(PARTS.sizes)
