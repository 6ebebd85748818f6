"""``kist.lock``: text to values and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput, ParseError
from kist.spec.digest import Digest
from kist.spec.lockfile import Lock, LockedImage, LockedSource, LockedStep, format_lock, parse_lock
from kist.spec.lockname import lock_path

ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
LOCK = Lock(
    images=(LockedImage("debian:12", "linux/amd64", ONE, TWO), LockedImage("alpine", "linux/arm64", TWO, ONE)),
    sources=(LockedSource("https://example.org/a.tar.gz", ONE),),
    steps=(
        LockedStep("build", "RUN apt-get install -y 'a b' \\ \"c\"", ("deb:b=2", "deb:a:amd64=1:1.0~rc1")),
        LockedStep("1", "RUN pip install x", (), "linux/arm64"),
    ),
)


def test_a_lock_is_written_in_one_order_and_read_back() -> None:
    text = format_lock(LOCK)
    found = parse_lock(text)
    assert [each.name for each in found.images] == ["alpine", "debian:12"]
    assert found.steps[0].packages == ("deb:a:amd64=1:1.0~rc1", "deb:b=2")
    assert format_lock(found) == text
    assert [step.platform for step in found.steps] == ["", "linux/arm64"]
    assert format_lock(Lock(LOCK.images[::-1], LOCK.sources, LOCK.steps)) == text


def test_steps_of_an_older_lock_are_of_the_one_platform_of_its_images_or_else_of_the_first() -> None:
    def platforms(lock: Lock) -> list[str]:
        return [step.platform for step in lock.with_platforms("linux/s390x").steps]

    assert platforms(LOCK) == ["linux/s390x", "linux/arm64"]
    assert platforms(Lock(LOCK.images[:1], (), LOCK.steps)) == ["linux/amd64", "linux/arm64"]
    assert platforms(Lock((), (), LOCK.steps)) == ["linux/s390x", "linux/arm64"]


TEXTS = st.text(max_size=30)


@given(TEXTS, st.lists(TEXTS, max_size=3), TEXTS)
def test_any_text_is_kept(run: str, packages: list[str], url: str) -> None:
    lock = Lock(sources=(LockedSource(url, "x"),), steps=(LockedStep("0", run, tuple(sorted(set(packages)))),))
    assert parse_lock(format_lock(lock)) == lock


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("version = 1\n[[image]\n", ParseError),
        ("", InvalidInput),
        ("version = 2\n", InvalidInput),
        ("version = 1\n[[image]]\nname = 3\n", InvalidInput),
        ('version = 1\n[[image]]\nname = "a"\nplatform = "b"\ndigest = "x"\nid = "y"\n', InvalidInput),
        ("version = 1\nother = 1\n", InvalidInput),
    ],
)
def test_what_is_no_lock_is_refused_with_the_way_out(text: str, error: type[InvalidInput]) -> None:
    with pytest.raises(error) as caught:
        parse_lock(text)
    assert "--update-lock" in caught.value.hint


@pytest.mark.parametrize(
    ("dockerfile", "path"),
    [
        ("Dockerfile", "kist.lock"),
        ("docker/Containerfile", "docker/kist.lock"),
        ("docker/Dockerfile.test", "docker/Dockerfile.test.kist.lock"),
        ("/Dockerfile", "kist.lock"),
    ],
)
def test_a_lock_lies_beside_its_dockerfile(dockerfile: str, path: str) -> None:
    assert lock_path(dockerfile) == path
