"""Plans of several platforms side by side: apart by their ids, and each whole."""

import pytest

from kist.build.plan import CopyFiles, Plan, Run
from kist.build.planner import plan
from kist.build.platforms import is_index, named_one, of_each, side_by_side
from kist.build.run_mount import BindMount
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import parse
from kist.spec.image import ImageConfig, RootFS
from kist.spec.platform import Platform

HOST = Platform("amd64")
TEXT = """FROM --platform=$BUILDPLATFORM base AS build
RUN --mount=from=tools,target=/t a
FROM scratch
COPY --from=build /a /
COPY --from=tools /b /
"""


def lookup(name: str, platform: Platform | None, exact: bool) -> ImageConfig:
    del name, exact
    return ImageConfig((platform or HOST).architecture, "linux", RootFS())


def plans(*platforms: str) -> list[Plan]:
    options = BuildOptions(platform=",".join(platforms))
    return [plan(parse(TEXT), one, lookup, HOST) for one in of_each(options)]


def test_all_that_a_step_names_is_of_its_own_platform() -> None:
    found = side_by_side(plans("linux/amd64", "linux/arm64"))
    ids = [step.id for one in found for step in one.steps]
    assert len(ids) == len(set(ids))
    for one in found:
        own = {step.id for step in one.steps}
        assert one.result in own
        for step in one.steps:
            assert step.title.startswith(f"[{one.platform}] ")
            named = set(step.requires)
            if isinstance(step.action, CopyFiles):
                named.add(step.action.origin)
            if isinstance(step.action, Run):
                named |= {mount.origin for mount in step.action.mounts if isinstance(mount, BindMount)}
            assert named <= own


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("", [""]),
        ("linux/arm64", ["linux/arm64"]),
        ("linux/amd64,linux/amd64", ["linux/amd64"]),
        ("linux/x86_64, LINUX/amd64,", ["linux/amd64"]),
        ("arm64,linux/aarch64,linux/arm/v7", ["linux/arm64", "linux/arm/v7"]),
    ],
)
def test_a_platform_that_is_named_twice_is_built_once(named: str, meant: list[str]) -> None:
    assert [each.platform for each in of_each(BuildOptions(platform=named))] == meant


def test_one_alone_stays_as_it_is() -> None:
    (one,) = plans("linux/arm64")
    assert side_by_side([one]) == (one,)


@pytest.mark.parametrize(
    ("platforms", "number"),
    [(("linux/arm64", "linux/amd64"), 1), (("linux/arm64", "linux/s390x"), 0), (("linux/amd64",), 0)],
)
def test_the_image_for_this_machine_has_the_names(platforms: tuple[str, ...], number: int) -> None:
    assert named_one(plans(*platforms), HOST) == number


def test_an_index_is_of_several_or_asked_for() -> None:
    assert is_index(BuildOptions(platform="linux/amd64,linux/arm64"))
    assert not is_index(BuildOptions(platform="linux/amd64,linux/amd64"))
    assert is_index(BuildOptions(build_args={"BUILDKIT_MULTI_PLATFORM": "1"}))
