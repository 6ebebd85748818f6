import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.bootstrap.distribution import RELEASES, Archive
from kist.bootstrap.lock import Lock, LockedPackage, format_lock, parse_lock
from kist.errors import ParseError

NAMES = st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,9}", fullmatch=True)
WORDS = st.from_regex(r"[a-z0-9][a-z0-9.+~-]{0,9}", fullmatch=True)
PACKAGES = st.builds(
    LockedPackage,
    kind=st.sampled_from(["base", "asked", "needed"]),
    name=NAMES,
    version=WORDS,
    architecture=st.sampled_from(["amd64", "all"]),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    size=st.integers(0, 1 << 40),
    suite=WORDS,
    path=WORDS,
)
LOCKS = st.builds(
    Lock,
    release=st.sampled_from(RELEASES),
    architecture=WORDS,
    variant=WORDS,
    date=st.integers(0, 4_000_000_000),
    archives=st.lists(st.builds(Archive, uri=st.just("http://a/debian"), suite=WORDS), max_size=3).map(tuple),
    include=st.lists(WORDS, unique=True).map(sorted).map(tuple),
    packages=st.lists(PACKAGES, min_size=1, unique_by=lambda p: p.name)
    .map(lambda packages: sorted(packages, key=lambda p: (p.kind != "base", p.name)))
    .map(tuple),
)

TEXT = f"""\
# a comment
kist-lock 1
distribution debian 12 bookworm
architecture amd64
variant minbase
date 2026-07-02T19:05:00Z
archive bookworm main http://deb.debian.org/debian
base apt 2.6.1 amd64 sha256:{"a" * 64} 100 bookworm pool/a.deb
"""


@given(LOCKS)
def test_a_lock_that_is_written_is_read(lock: Lock) -> None:
    assert parse_lock(format_lock(lock)) == lock


def test_the_text_is_stable_whatever_the_order_of_the_packages() -> None:
    more = TEXT + f"asked b 1 all sha256:{'b' * 64} 1 bookworm pool/b.deb\n"
    turned = "\n".join([*more.split("\n")[:7], *reversed(more.split("\n")[7:])])
    assert format_lock(parse_lock(more)) == format_lock(parse_lock(turned))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("kist-lock 1", "kist-lock 2", 2, "newer Kist"),
        ("kist-lock 1\n", "", 2, "no lock file of Kist"),
        ("variant", "varient", 5, "unknown word 'varient'"),
        ("sha256:", "md5:", 8, "is not sha256:"),
        ("aaaa", "AAAA", 8, "is not sha256:"),
        (" 100 ", " many ", 8, "the size 'many'"),
        (" pool/a.deb", "", 8, "expected KIND NAME VERSION"),
        ("base apt", "base ../apt", 8, r"invalid name of a package: '\.\./apt'"),
        (" 2.6.1 ", " ../1 ", 8, "invalid version of a package"),
        (" amd64 sha", " a/b sha", 8, "invalid architecture of a package"),
        ("date 2026-07-02T19:05:00Z", "date yesterday", 0, "the date 'yesterday'"),
        ("variant minbase\n", "", 0, "no 'variant' line"),
        ("base apt", "# base apt", 0, "no 'packages' line"),
        ("base apt 2.6.1 amd64", f"base apt 1 all sha256:{'a' * 64} 1 s p\nbase apt 2.6.1 amd64", 9, "listed twice"),
    ],
)
def test_an_error_points_at_the_line(old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(ParseError, match=message) as caught:
        parse_lock(TEXT.replace(old, new, 1))
    assert caught.value.line == line
