"""The moment of a reproducible build, from the build argument that tells it."""

import pytest

from kist.build.epoch import DEFAULT, VARIABLE, with_epoch
from kist.errors import InvalidInput
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import parse


@pytest.mark.parametrize(
    ("given", "default", "of_context", "argument", "moment"),
    [
        (None, None, 7, None, None),
        ("5", None, 7, "5", 5),
        ("5", "context", 7, "5", 5),
        ("context", None, 7, "7", 7),
        (None, "context", 7, "7", 7),
        ("context", None, None, "", None),  # a directory has no moment: as if nothing was said
        (None, "context", None, "", None),
        ("", "context", 7, "", None),
    ],
)
def test_the_moment(
    given: str | None, default: str | None, of_context: int | None, argument: str | None, moment: int | None
) -> None:
    text = f"ARG {VARIABLE}={default}\n" if default else ""
    options = BuildOptions(build_args={} if given is None else {VARIABLE: given})
    found, epoch = with_epoch(options, parse(f"{text}FROM scratch\n".encode()), of_context)
    assert (found.build_args.get(VARIABLE), epoch) == (argument, moment)


def test_what_is_reproducible_has_a_moment_anyway() -> None:
    options = BuildOptions(build_args={VARIABLE: "context"}, reproducible=True)
    assert with_epoch(options, parse(b"FROM scratch\n"))[1] == DEFAULT


@pytest.mark.parametrize("text", ["yesterday", "-1", "builder", "9" * 12])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="seconds since 1970"):
        with_epoch(BuildOptions(build_args={VARIABLE: text}), parse(b"FROM scratch\n"))
