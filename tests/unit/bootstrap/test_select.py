from pathlib import Path
from typing import Any

import pysequoia
import pytest

from kist.bootstrap import fetch
from kist.bootstrap.aptconf import Settings
from kist.bootstrap.archives import HostApt, choose_archives
from kist.bootstrap.cache import PackageCache
from kist.bootstrap.distribution import Archive, find_release
from kist.bootstrap.fetch import Fetcher
from kist.bootstrap.lock import Lock
from kist.bootstrap.make import dated, fetch_packages
from kist.bootstrap.select import choice_key, choose, package_lists, package_url, read_suites
from kist.bootstrap.steps import Step
from kist.errors import Corrupt, KistError, NotFound, Unavailable
from kist.spec.build import BootstrapOptions
from kist.spec.progress import Event, Warned

BOOKWORM = find_release("debian:12")


class Flow:
    """The way from options to packages in the cache."""

    def __init__(self, mirror: Any, cache: PackageCache, **options: Any) -> None:
        self.options = BootstrapOptions("debian:12", mirror=mirror.url, keyring=mirror.keyring, **options)
        self.archives = choose_archives(BOOKWORM, self.options, HostApt())
        self.cache = cache
        self.events: list[Event] = []

    def run(self) -> Lock:
        step = Step("x", self.events.append)
        with Fetcher(self.cache, Settings()) as fetcher:
            suites = read_suites(fetcher, self.archives, self.options.keyring, step)
            lists = package_lists(suites, "amd64")
            fetcher.files([one.wanted for one in lists])
            lock = choose(self.cache, lists, BOOKWORM, self.options, "amd64")
            self.key = choice_key(lists, self.options, "amd64")
            fetch_packages(self.cache, fetcher, lock, self.archives, step)
        return dated(lock, self.cache)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_pause", lambda _: 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def small(mirror: Any) -> Any:
    """A mirror of four packages."""
    mirror.add("apt", fields="Depends: libc\n")
    mirror.add("libc", time=1_700_000_500)
    mirror.add("bash", fields="Essential: yes\n")
    mirror.add("tool", fields="Depends: bash\n")
    mirror.publish()
    return mirror


def test_a_signed_archive_becomes_a_lock_and_packages(small: Any, cache: PackageCache) -> None:
    flow = Flow(small, cache, include=("tool",))
    lock = flow.run()
    assert [(p.name, p.kind) for p in lock.packages] == [
        ("apt", "base"), ("bash", "base"), ("libc", "base"), ("tool", "asked"),
    ]  # fmt: skip
    assert lock.date == 1_700_000_500
    assert all(cache.holds(package.sha256) for package in lock.packages)
    assert lock.archives[0].uri == small.url
    assert [e.text for e in flow.events if isinstance(e, Warned)] == [
        f"{small.url} has no bookworm-updates: the image is made without its packages",
        f"{small.url}-security has no bookworm-security: the image is made without its packages",
    ]


def test_lists_are_fetched_by_hash_where_the_archive_offers_that(small: Any, cache: PackageCache) -> None:
    (small.root / "dists/bookworm/main/binary-amd64/Packages.xz").unlink()
    small.publish(by_hash=True)
    assert len(Flow(small, cache).run().packages) == 3


def test_the_same_choice_has_the_same_key(small: Any, cache: PackageCache) -> None:
    keys = []
    for options in ({}, {}, {"include": ("tool",)}, {"variant": "standard"}):
        flow = Flow(small, cache, **options)
        flow.run()
        keys.append(flow.key)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def changed_signature(mirror: Any) -> None:
    path = mirror.root / "dists/bookworm/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Suite: test", b"Suite: tset"))


def strange_key(mirror: Any) -> None:
    mirror.publish(key=pysequoia.Tsk.generate("stranger@example.org"))


def changed_list(mirror: Any) -> None:
    path = mirror.root / "dists/bookworm/main/binary-amd64/Packages.xz"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def changed_package(mirror: Any) -> None:
    path = mirror.root / "pool/main/bash/bash_1.0-1_all.deb"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def cut_package(mirror: Any) -> None:
    path = mirror.root / "pool/main/bash/bash_1.0-1_all.deb"
    path.write_bytes(path.read_bytes()[:-10])


def lost_package(mirror: Any) -> None:
    (mirror.root / "pool/main/bash/bash_1.0-1_all.deb").unlink()


@pytest.mark.parametrize(
    ("harm", "kind", "message"),
    [
        (changed_signature, Corrupt, "the signature of {url}/dists/bookworm/InRelease is bad"),
        (strange_key, Corrupt, "the signature of {url}/dists/bookworm/InRelease is bad"),
        (changed_list, Corrupt, "{url}/dists/bookworm/main/binary-amd64/Packages.xz has the SHA-256"),
        (changed_package, Corrupt, "{url}/pool/main/bash/bash_1.0-1_all.deb has the SHA-256"),
        (cut_package, Corrupt, "{url}/pool/main/bash/bash_1.0-1_all.deb has"),
        (lost_package, NotFound, "{url}/pool/main/bash/bash_1.0-1_all.deb does not exist"),
        (lambda m: m.publish(valid_until=1_700_000_001), Unavailable, "{url}/dists/bookworm/InRelease expired"),
        (lambda m: m.publish(date=9e9), Unavailable, "{url}/dists/bookworm/InRelease is from the future"),
        (lambda m: m.publish(codename="trixie"), Corrupt, "{url}/dists/bookworm/InRelease is of the suite 'trixie'"),
        (
            lambda m: m.publish(architecture="arm64"),
            NotFound,
            "lists no packages of 'main' for the architecture 'amd64'",
        ),
    ],
)
def test_a_mirror_that_is_not_right_is_named_with_the_cause_and_the_fix(
    small: Any, cache: PackageCache, harm: Any, kind: type[KistError], message: str
) -> None:
    harm(small)
    with pytest.raises(kind) as caught:
        Flow(small, cache).run()
    assert message.format(url=small.url) in caught.value.message
    assert caught.value.hint


def test_a_mirror_without_the_release_is_named(mirror: Any, cache: PackageCache) -> None:
    with pytest.raises(NotFound, match="/dists/bookworm/InRelease does not exist") as caught:
        Flow(mirror, cache).run()
    assert "ends before dists/" in caught.value.hint


def test_debians_keys_do_not_vouch_for_an_archive_with_keys_of_its_own(small: Any, cache: PackageCache) -> None:
    flow = Flow(small, cache)
    flow.options = BootstrapOptions("debian:12", mirror=small.url)
    with pytest.raises(Corrupt, match="the signature of"):
        flow.run()


def test_a_lock_of_the_future_is_refused(small: Any, cache: PackageCache) -> None:
    small.add("late", time=9_000_000_000)
    small.publish()
    with pytest.raises(Unavailable, match="in the future") as caught:
        Flow(small, cache, include=("late",)).run()
    assert "clock" in caught.value.hint


def test_locked_packages_are_found_in_the_archive_of_their_suite(small: Any, cache: PackageCache) -> None:
    package = Flow(small, cache).run().packages[0]
    archives = (Archive("http://m/debian", "bookworm"), Archive("http://s/debian-security", "bookworm-security"))
    assert package_url(package, archives).startswith("http://m/debian/pool/main/apt/")
    with pytest.raises(NotFound, match="no mirror is known for that"):
        package_url(package, archives[1:])
