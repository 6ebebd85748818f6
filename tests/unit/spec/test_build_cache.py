"""The words of --cache-to and --cache-from."""

import pytest

from kist.errors import InvalidInput, KistError, Unsupported
from kist.spec.build_cache import Caches, Source, Target, read, read_sources, read_targets, spells_registry


@pytest.mark.parametrize(
    ("cache_from", "cache_to", "found"),
    [
        ((), (), Caches((), (), (), ())),
        (("a:1", "b"), (), Caches((), ("a:1", "b"), (), ())),
        (("type=local,src=/c",), (), Caches(("/c",), (), (), ())),
        ((), ("type=local,dest=/c",), Caches((), (), (("/c", "min"),), ("min",))),
        ((), ("dest=/c,mode=max,type=local", "type=inline"), Caches((), (), (("/c", "max"),), ("max", "inline"))),
        (
            ("type=registry,ref=r.example/a", "r.example/b:1", "c/d"),
            ("type=registry,ref=r.example/a,mode=max", "type=registry,ref=e,ignore-error=true"),
            Caches(
                (),
                ("type=registry,ref=r.example/a", "r.example/b:1", "c/d"),
                (),
                ("type=registry,ref=r.example/a,mode=max", "type=registry,ref=e,ignore-error=true"),
                ("r.example/a", "r.example/b:1", "e"),
            ),
        ),
    ],
)
def test_what_is_asked_for(cache_from: tuple[str, ...], cache_to: tuple[str, ...], found: Caches) -> None:
    assert read(cache_from, cache_to) == found


@pytest.mark.parametrize(
    ("cache_from", "cache_to", "kind", "words"),
    [
        ("type=registry", "", InvalidInput, "ref is missing"),
        ("type=registry,ref=a,mode=max", "", InvalidInput, "unknown option 'mode'"),
        ("type=registry,ref=a,registry.insecure=maybe", "", InvalidInput, "registry.insecure is true or false"),
        ("", "type=registry,dest=/c", InvalidInput, "unknown option 'dest'"),
        ("", "type=registry,mode=max", InvalidInput, "ref is missing"),
        ("", "type=registry,ref=a@sha256:0", InvalidInput, "a digest cannot be chosen"),
        ("", "type=registry,ref=a,oci-mediatypes=false", Unsupported, "oci-mediatypes=false"),
        ("", "type=registry,ref=a,compression=estargz", InvalidInput, "estargz is not supported"),
        ("", "type=registry,ref=a,compression-level=10", InvalidInput, "of gzip it is 0 to 9"),
        ("", "type=local,dest=/c,ignore-error=true", Unsupported, "ignore-error is not supported for a directory"),
        ("", "type=gha", Unsupported, "type gha"),
        ("type=local", "", InvalidInput, "src is missing"),
        ("type=local,dest=/c", "", InvalidInput, "unknown option 'dest'"),
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


def test_what_the_engine_takes_and_brings() -> None:
    assert read_sources(("a", "type=registry,ref=r.example/a,registry.insecure=true")) == (
        Source("a"),
        Source("r.example/a", is_remote=True, insecure=True),
    )
    with pytest.raises(Unsupported, match="which is the client's"):
        read_sources(("type=local,src=/c",))
    rest = "image-manifest=0,ignore-error=1,oci-mediatypes=true,registry.insecure=true"
    usual, chosen = read_targets(
        (
            "inline",
            "max",
            "type=registry,ref=a",
            f"type=registry,ref=b,mode=max,compression=zstd,compression-level=3,{rest}",
        )
    )
    assert usual == Target("a", "min", usual.compression)
    assert (usual.compression.kind, usual.compression.level) == ("gzip", None)
    assert chosen == Target("b", "max", chosen.compression, as_index=True, ignore_error=True, insecure=True)
    assert (chosen.compression.kind, chosen.compression.level) == ("zstd", 3)
    with pytest.raises(InvalidInput, match="unknown type 'tape'"):
        read_targets(("type=tape",))
    with pytest.raises(InvalidInput, match="'most' is not NAME=VALUE"):
        read_targets(("most",))
    with pytest.raises(InvalidInput, match="invalid cacheto: 'type=local"):
        read_targets(("type=local,dest=/c",))


@pytest.mark.parametrize(
    ("name", "found"),
    [("a", False), ("a/b", False), ("a.b", False), ("a.b/c", True), ("localhost/a", True), ("a:5000/b", True)],
)
def test_names_that_spell_a_registry(name: str, found: bool) -> None:
    assert spells_registry(name) == found
