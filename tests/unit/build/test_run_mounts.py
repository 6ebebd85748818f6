"""RUN --mount, settled: defaults, places, and what the cache key has of it."""

import socket
from collections.abc import Set as AbstractSet

import pytest

from kist.build import cache, secrets
from kist.build.plan import Run
from kist.build.run_mount import BindMount, CacheMount, Mounted, SecretMount, SshMount, TmpfsMount, settle
from kist.errors import InvalidInput, ParseError, Unavailable
from kist.spec.dockerfile import Source, Word
from kist.spec.dockerfile.mounts import read_mount
from kist.spec.dockerfile.source import Location

SOURCE = Source.of("RUN true", "Dockerfile")
PLACE = Location(1, 1)


def settled(text: str, agents: int = 0) -> Mounted:
    flag = Word(text, PLACE)
    asked = read_mount(flag, SOURCE, lambda word: word.text)
    return settle(asked, flag, SOURCE, "/work", lambda word: f"step of {word.text}", agents)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", BindMount("/a")),
        ("target=a/../b,source=./x//y", BindMount("/work/b", "/x/y")),
        ("source=../../etc,target=/e", BindMount("/e", "/etc")),  # of the tree, whose root nobody leaves
        ("from=s,target=/a,rw", BindMount("/a", "/", "step of s", "s", writable=True)),
        ("", BindMount("/work")),
        ("type=cache,target=/c/", CacheMount("/c", "/c")),
        ("type=cache,target=c", CacheMount("/work/c", "c")),
        ("type=cache,id=n,target=/c,from=s,source=/x", CacheMount("/c", "n", "shared", "step of s", "s", "/x")),
        ("type=cache,target=/c,mode=0700,uid=3,ro", CacheMount("/c", "/c", mode=0o700, uid=3, read_only=True)),
        ("type=tmpfs,target=/t,size=1k", TmpfsMount("/t", 1024)),
        ("type=secret,id=a/b", SecretMount("a/b", "/run/secrets/b")),
        ("type=secret,source=a", SecretMount("a", "/run/secrets/a")),
        ("type=secret,target=/x/key", SecretMount("key", "/x/key")),
        ("type=secret,id=a,env=A", SecretMount("a", "", "A")),
        ("type=secret,id=a,env=A,target=t,mode=0444", SecretMount("a", "/t", "A", mode=0o444)),
        ("type=ssh", SshMount("default", "/run/buildkit/ssh_agent.2")),
        ("type=ssh,id=a,target=/s,gid=5", SshMount("a", "/s", gid=5)),
    ],
)
def test_defaults_are_settled(text: str, expected: Mounted) -> None:
    assert settled(text, agents=2) == expected


@pytest.mark.parametrize(
    "text", ["target=/", "type=tmpfs,target=/a/..", "type=secret,id=a,target=/", "type=ssh,target=/."]
)
def test_nothing_is_mounted_over_the_root(text: str) -> None:
    with pytest.raises(ParseError, match="invalid mount target"):
        settled(text)


class Broken:
    """A client whose streams end where they should not."""

    secrets: AbstractSet[str] = frozenset({"a"})
    agents: AbstractSet[str] = frozenset()
    contexts: AbstractSet[str] = frozenset()
    terminal = False

    def __init__(self, said: bytes) -> None:
        self._said = said

    def open(self, kind: str, name: str) -> socket.socket:
        assert (kind, name) == ("secret", "a")
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(self._said)
        return ours

    def watch_size(self, listener: object) -> None:
        """It has no terminal."""

    def check(self) -> None:
        """It is there."""


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\0\0\0\5four", b"\0\0\0\1two", b"\xff\0\0\0"])
def test_a_secret_that_has_not_come_whole_is_none(said: bytes) -> None:
    with pytest.raises((Unavailable, InvalidInput), match="the secret a"):
        secrets.read(SecretMount("a", "/s"), Broken(said))
    assert secrets.read(SecretMount("a", "/s"), Broken(b"\0\0\0\4good")) == b"good"


def key(*texts: str, contents: tuple[str, ...] = ()) -> str:
    return cache.key("below", Run(("true",), mounts=tuple(map(settled, texts))), contents)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("from=s,target=/a",), ("from=t,target=/a",), True),  # what is in it counts, not where it comes from
        (("target=/a",), ("target=/b",), False),
        (("target=/a",), ("type=tmpfs,target=/a",), False),
        (("type=secret,id=a",), ("type=secret,id=b",), False),
        ((), ("type=cache,target=/c",), False),
    ],
)
def test_what_a_key_has_of_mounts(one: tuple[str, ...], other: tuple[str, ...], same: bool) -> None:
    assert (key(*one) == key(*other)) is same


def test_contents_of_what_is_shown_count() -> None:
    assert key("target=/a", contents=("mounts", "/a", "1")) != key("target=/a", contents=("mounts", "/a", "2"))
