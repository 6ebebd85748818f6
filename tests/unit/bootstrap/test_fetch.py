import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from kist.bootstrap import fetch
from kist.bootstrap.aptconf import Settings
from kist.bootstrap.cache import PackageCache
from kist.bootstrap.fetch import Fetcher, Wanted
from kist.errors import Corrupt, NotFound, Unavailable


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_pause", lambda _: 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def wanted(mirror: Any, content: bytes = b"content", *, name: str = "file") -> Wanted:
    (mirror.root / name).write_bytes(content)
    return Wanted(f"{mirror.url}/{name}", hashlib.sha256(content).hexdigest(), len(content))


def get(cache: PackageCache, *files: Wanted, settings: Settings | None = None) -> int:
    arrived = 0

    def count(size: int) -> None:
        nonlocal arrived
        arrived += size

    with Fetcher(cache, settings or Settings(), on_bytes=count) as fetcher:
        fetcher.files(files)
    return arrived


def leftovers(cache: PackageCache) -> list[str]:
    return [name for name in os.listdir(os.path.dirname(cache.path("x"))) if name.startswith(".")]


def test_files_arrive_in_the_cache(mirror: Any, cache: PackageCache) -> None:
    files = [wanted(mirror, os.urandom(300_000 + n), name=str(n)) for n in range(20)]
    assert get(cache, *files) == sum(file.size for file in files)
    assert all(cache.holds(file.sha256) for file in files)
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"other!!", "has the SHA-256"),
        (b"cont", "has 4 instead of 7 bytes"),
        (b"content and more", "has more than 7 bytes"),
        (b"", "has 0 instead of 7 bytes"),
    ],
)
def test_a_file_that_differs_never_reaches_the_cache(
    mirror: Any, cache: PackageCache, content: bytes, message: str
) -> None:
    file = wanted(mirror)
    (mirror.root / "file").write_bytes(content)
    with pytest.raises(Corrupt, match=message) as caught:
        get(cache, file)
    assert file.url in caught.value.message
    assert caught.value.hint
    assert not cache.holds(file.sha256)
    assert leftovers(cache) == []


def test_a_missing_file_is_named_with_the_way_to_an_older_archive(mirror: Any, cache: PackageCache) -> None:
    with pytest.raises(NotFound, match="/debian/gone does not exist") as caught:
        get(cache, Wanted(f"{mirror.url}/gone", "0" * 64, 1))
    assert "--snapshot" in caught.value.hint


def test_a_fault_that_passes_is_tried_again(mirror: Any, cache: PackageCache) -> None:
    file = wanted(mirror)
    mirror.broken["/debian/file"] = [503, 500, 0]  # the last one is cut short
    get(cache, file)
    assert [status for _, status in mirror.requests] == [503, 500, 200, 200]
    assert leftovers(cache) == []


def test_a_fault_that_stays_is_an_error(mirror: Any, cache: PackageCache) -> None:
    mirror.broken["/debian/file"] = [503] * 10
    with pytest.raises(Unavailable, match="/debian/file: 503") as caught:
        get(cache, wanted(mirror))
    assert "--mirror" in caught.value.hint
    assert len(mirror.requests) == 4


def test_a_refusal_is_not_tried_again(mirror: Any, cache: PackageCache) -> None:
    mirror.broken["/debian/file"] = [403]
    with pytest.raises(Unavailable, match="403"):
        get(cache, wanted(mirror))
    assert len(mirror.requests) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:{port}/x", r"cannot fetch http://127\.0\.0\.1:[0-9]+/x: connection refused\Z"),
        ("http://mirror.invalid/x", r"cannot fetch http://mirror\.invalid/x: .*(name|resol)"),
        ("http://", "cannot fetch http://: "),
    ],
)
def test_an_unreachable_mirror_is_named(cache: PackageCache, url: str, message: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=message) as caught:
        get(cache, Wanted(url.format(port=port), "0" * 64, 1))
    assert "--mirror URL" in caught.value.hint


def test_the_proxy_of_the_hosts_apt_is_used(mirror: Any, cache: PackageCache) -> None:
    file = wanted(mirror)
    proxied = Wanted("http://archive.invalid/debian/file", file.sha256, file.size)
    with pytest.raises(NotFound):
        get(cache, proxied, settings=Settings(http_proxy=mirror.url.removesuffix("/debian")))
    assert mirror.requests == [("http://archive.invalid/debian/file", 404)]


def test_a_release_file_is_only_asked_after_the_second_time(mirror: Any, cache: PackageCache) -> None:
    mirror.publish()
    url = f"{mirror.url}/dists/bookworm/InRelease"
    for _ in range(2):
        with Fetcher(cache, Settings()) as fetcher:
            found = fetcher.releases([url, f"{mirror.url}/dists/gone/InRelease"])
        assert found == ((mirror.root / "dists/bookworm/InRelease").read_bytes(), None)
    assert sorted(status for _, status in mirror.requests) == [200, 304, 404, 404]


def test_a_damaged_file_of_the_cache_is_not_used(cache: PackageCache) -> None:
    digest = hashlib.sha256(b"content").hexdigest()
    with cache.writing(digest) as file:
        file.write(b"content")
    assert cache.holds(digest)
    Path(cache.path(digest)).write_bytes(b"damaged")
    assert not cache.holds(digest)
    assert not Path(cache.path(digest)).exists()


def test_what_fails_while_it_is_written_leaves_nothing(cache: PackageCache) -> None:
    def fail() -> None:
        with cache.writing("0" * 64) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(os.path.dirname(cache.path("x"))) == []


def test_the_cache_gives_up_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = PackageCache(str(tmp_path), limit=20)
    for age, name in enumerate(("new", "older", "oldest")):
        with cache.writing(name) as file:
            file.write(b"x" * 10)
        os.utime(cache.path(name), (1000 - age, 1000 - age))
    cache.trim()
    assert sorted(os.listdir(os.path.dirname(cache.path("x")))) == ["new", "older"]
