"""The words of --cache-to and --cache-from."""

import pytest

from kist.errors import InvalidInput, KistError, Unsupported
from kist.spec.build_cache import Caches, read


@pytest.mark.parametrize(
    ("cache_from", "cache_to", "found"),
    [
        ((), (), Caches((), (), (), ())),
        (("a:1", "b"), (), Caches((), ("a:1", "b"), (), ())),
        (("type=local,src=/c",), (), Caches(("/c",), (), (), ())),
        ((), ("type=local,dest=/c",), Caches((), (), (("/c", "min"),), ("min",))),
        ((), ("dest=/c,mode=max,type=local", "type=inline"), Caches((), (), (("/c", "max"),), ("max", "inline"))),
    ],
)
def test_what_is_asked_for(cache_from: tuple[str, ...], cache_to: tuple[str, ...], found: Caches) -> None:
    assert read(cache_from, cache_to) == found


@pytest.mark.parametrize(
    ("cache_from", "cache_to", "kind", "words"),
    [
        ("type=registry,ref=x", "", Unsupported, "no client for a cache of type registry"),
        ("", "type=gha", Unsupported, "type gha"),
        ("type=local", "", InvalidInput, "src is missing"),
        ("type=local,dest=/c", "", InvalidInput, "src is missing"),
        ("type=inline", "", InvalidInput, "the cache is in an image"),
        ("", "type=local", InvalidInput, "dest is missing"),
        ("", "type=local,dest=/c,mode=most", InvalidInput, "invalid mode 'most'"),
        ("", "type=inline,mode=max", InvalidInput, "own steps alone"),
        ("", "type=local,dest=/c,compression=zstd", Unsupported, "layers are kept plain"),
        ("", "type=tape,dest=/c", InvalidInput, "unknown type 'tape'"),
        ("", "/c", InvalidInput, "'/c' is not NAME=VALUE"),
        ("", "type=local,dest=", InvalidInput, "'dest=' is not NAME=VALUE"),
    ],
)
def test_what_cannot_be_had(cache_from: str, cache_to: str, kind: type[KistError], words: str) -> None:
    with pytest.raises(kind, match=words):
        read((cache_from,) if cache_from else (), (cache_to,) if cache_to else ())
