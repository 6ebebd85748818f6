"""The list of containers as kept text: it is always what would be written anew."""

import json
from typing import Any

import msgspec
import pytest

from kist.api.summaries import Summaries
from kist.spec.container import Container, ContainerOptions, ContainerState
from kist.spec.digest import Digest
from kist.spec.docker.containers import write_summaries
from kist.spec.docker.history.answers import ANSWERS
from kist.spec.docker.versions import LATEST
from kist.spec.image import ContainerConfig

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


def container(number: int, **state: Any) -> Container:
    return Container(
        id=f"{number:064x}",
        name=f"name{number}",
        image_id=Digest("sha256:" + "0" * 64),
        created_at=NOW,
        options=ContainerOptions(image="image", network="none"),
        config=ContainerConfig(cmd=("true",)),
        argv=("true",),
        state=ContainerState(**state),
    )


def anew(found: list[Container], now: int, version: tuple[int, int]) -> Any:
    return ANSWERS.at(version, "ContainerList", json.loads(msgspec.json.encode(write_summaries(found, now))))


@pytest.mark.parametrize("version", [LATEST, (1, 41), (1, 24)])
def test_a_kept_entry_is_what_would_be_written(version: tuple[int, int]) -> None:
    summaries = Summaries()
    running = container(1, status="running", started_at=NOW)
    found = [container(2), running, container(3, status="exited", finished_at=NOW, exit_code=4)]
    changed = [found[0], msgspec.structs.replace(running, name="other"), *found[2:], container(4)]
    for now, containers in (
        (NOW + SECOND, found),
        (NOW + SECOND, found),
        (NOW + 90 * SECOND, found),  # older, in words
        (NOW + 90 * SECOND, found[:1]),
        (NOW + 90 * SECOND, changed),
        (NOW + 90 * SECOND, []),
    ):
        assert json.loads(summaries.write(containers, now, version)) == anew(containers, now, version)


def test_each_version_gets_its_own() -> None:
    summaries = Summaries()
    found = [container(1)]
    for version in (LATEST, (1, 24), LATEST):
        assert json.loads(summaries.write(found, NOW, version)) == anew(found, NOW, version)
