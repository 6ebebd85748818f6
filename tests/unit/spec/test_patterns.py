"""Which regular expressions of others are matched."""

import pytest

from kist.errors import Forbidden
from kist.spec.patterns import check_quick, is_quick


@pytest.mark.parametrize("pattern", ["", "web", "^/web$", "a.c", r"\(a\+\)\+\$", "[a-z][0-9]", r"\d\d", r"\bweb\b"])
def test_what_is_matched_in_one_way_is_quick(pattern: str) -> None:
    assert is_quick(pattern)
    check_quick(pattern, "grep")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)(a|a)", "a*a*b", r"\\*", "a?a?", "(?:.|.)*!", "a{1,9}", "a" * 257])
def test_what_could_be_tried_in_many_ways_is_refused(pattern: str) -> None:
    with pytest.raises(Forbidden, match="the regular expression of grep is refused"):
        check_quick(pattern, "grep")
