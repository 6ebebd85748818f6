"""``kist.lock``: the images that a build takes, and the packages that its RUNs install."""

import os
from pathlib import Path
from typing import Any

import pytest

import needs
from kist.build import build
from kist.client.client import Client
from kist.client.endpoint import resolve
from kist.engine import Engine
from kist.errors import Conflict, NotFound
from kist.local import LocalEngine
from kist.spec.build import BuildOptions
from kist.spec.lockfile import parse_lock
from kist.spec.progress import Event, LockRenewed, Warned


def installs(name: str, version: str) -> str:
    place = f"/usr/lib/python3/dist-packages/{name}.dist-info"
    return (
        f"RUN version={version}; mkdir -p {place}; printf 'Name: {name}\\nVersion: %s\\n' $(cat /v || echo $version) "
        f"> {place}/METADATA"
    )


class Project:
    """A directory that is built."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self.directory = directory
        self.events: list[Event] = []

    def build(self, text: str, use: str = "auto", **options: Any) -> Any:
        (self.directory / "Dockerfile").write_text(text)
        self.events.clear()
        chosen = BuildOptions(lock=use, **options)  # type: ignore[arg-type]
        image = build(self._engine, str(self.directory), chosen, self.events.append)
        for event in self.events:
            if isinstance(event, LockRenewed):
                (self.directory / event.path).write_text(event.text)
        return image

    @property
    def renewed(self) -> bool:
        return any(isinstance(event, LockRenewed) for event in self.events)

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]

    @property
    def packages(self) -> dict[str, tuple[str, ...]]:
        return {step.run[:20]: step.packages for step in parse_lock((self.directory / "kist.lock").read_text()).steps}


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Project:
    return Project(engine, tmp_path)


@needs.IN_PROCESS
def test_the_first_build_writes_what_it_took_and_the_next_finds_nothing_new(project: Project, busybox: str) -> None:
    text = f"FROM {busybox}\n{installs('a', '1')}\nRUN true\nCOPY . /context\n"
    image = project.build(text)
    assert project.renewed
    lock = parse_lock((project.directory / "kist.lock").read_text())
    assert [(each.name, each.digest[:7]) for each in lock.images] == [(busybox, "sha256:")]
    assert [step.packages for step in lock.steps] == [("pypi:a=1",)]
    assert project.build(text) == image  # the lock is no part of the context
    assert not project.renewed
    assert project.build(text, "locked") == image


@needs.IN_PROCESS
def test_what_a_build_takes_is_that_of_the_lock(project: Project, engine: Engine, busybox: str) -> None:
    first = project.build(f"FROM {busybox}\nLABEL base=1\n", tags=("locked-base:1",))
    project.directory = project.directory / "app"
    project.directory.mkdir()
    text = "FROM locked-base:1\nRUN echo x > /x\n"
    app = project.build(text)
    other = Project(engine, project.directory.parent)
    second = other.build(f"FROM {busybox}\nLABEL base=2\n", "none", tags=("locked-base:1",))
    again = project.build(text)
    assert (again, again.config.config.labels) == (app, {"base": "1"})
    assert [first.id.short in each and second.id.short in each for each in project.warnings] == [True]
    renewed = project.build(text, "update")
    assert renewed.config.config.labels == {"base": "2"}
    assert project.build(text).id == renewed.id
    assert project.warnings == []
    engine.remove_image(renewed.id, force=True)
    engine.remove_image("locked-base:1", force=True)
    with pytest.raises(NotFound) as caught:
        project.build(text)
    assert second.id in caught.value.message
    assert "--update-lock" in caught.value.hint


@needs.IN_PROCESS
def test_packages_that_drift_are_told_and_fail_a_locked_build(project: Project, busybox: str) -> None:
    text = f"FROM {busybox}\nARG N\nCOPY v* /\n{installs('a', '1')}\n"
    (project.directory / "v").write_text("1\n")
    project.build(text)
    assert list(project.packages.values()) == [("pypi:a=1",)]
    (project.directory / "v").write_text("2\n")
    image = project.build(text, tags=("drifted:1",))
    [told] = project.warnings
    assert "pypi:a is 2, not 1" in told
    assert not project.renewed
    with pytest.raises(Conflict) as caught:
        project.build(text, "locked", tags=("drifted:2",))
    assert "pypi:a is 2, not 1" in caught.value.message
    with pytest.raises(NotFound):
        project._engine.image("drifted:2")
    assert project.build(text, "update") == image
    assert list(project.packages.values()) == [("pypi:a=2",)]


@needs.IN_PROCESS
def test_new_steps_come_into_the_lock_and_those_that_are_gone_go(project: Project, busybox: str) -> None:
    one, two = installs("one", "1"), installs("two", "2")
    project.build(f"FROM {busybox} AS a\n{one}\nFROM {busybox} AS b\n{two}\n", target="b")
    assert list(project.packages.values()) == [("pypi:two=2",)]
    project.build(f"FROM {busybox} AS a\n{one}\nFROM {busybox} AS b\n{two}\n", target="a")
    lock = parse_lock((project.directory / "kist.lock").read_text())
    assert [(step.stage, step.packages) for step in lock.steps] == [("a", ("pypi:one=1",)), ("b", ("pypi:two=2",))]
    project.build(f"FROM {busybox} AS b\n{two}\n")
    lock = parse_lock((project.directory / "kist.lock").read_text())
    assert [(step.stage, step.packages) for step in lock.steps] == [("b", ("pypi:two=2",))]


@needs.IN_PROCESS
def test_each_platform_has_its_packages(project: Project, busybox: str) -> None:
    """Also beside an older lock, whose steps tell no platform: they are of the one that its images are for."""
    run = installs("a", "$TARGETARCH").replace("version=", "version=1-", 1)
    text = (
        f"FROM --platform=$BUILDPLATFORM {busybox} AS tool\nARG TARGETARCH\n{run}\n"
        "FROM scratch\nCOPY --from=tool /usr/lib /lib\n"
    )
    both, one = "linux/amd64,linux/arm64", "linux/amd64"
    kept = project.directory / "kist.lock"

    def steps() -> list[tuple[str, tuple[str, ...]]]:
        return [(step.platform, step.packages) for step in parse_lock(kept.read_text()).steps]

    project.build(text, platform=both)
    whole = [("linux/amd64", ("pypi:a=1-amd64",)), ("linux/arm64", ("pypi:a=1-arm64",))]
    assert steps() == whole
    project.build(text, platform=one)
    assert (project.renewed, project.warnings) == (False, [])
    project.build(text, "locked", platform=both)
    written = kept.read_text()
    kept.write_text(written.replace("1-arm64", "0-arm64"))
    project.build(text, platform=both)
    [told] = project.warnings
    assert "[linux/arm64] RUN" in told
    assert "pypi:a is 1-arm64, not 0-arm64" in told
    older = written.rpartition("[[step]]")[0].rstrip() + "\n"
    head, mark, step = older.partition("[[step]]")
    kept.write_text(head + mark + step.replace('platform = "linux/amd64"\n', ""))
    assert steps() == [("", ("pypi:a=1-amd64",))]
    project.build(text, platform=one)
    assert (project.renewed, project.warnings) == (False, [])
    with pytest.raises(Conflict, match=r"\[linux/arm64\] RUN .* it is not in the lock"):
        project.build(text, "locked", platform=both)
    project.build(text, platform=both)
    assert (steps(), project.warnings) == (whole, [])


@needs.IN_PROCESS
def test_locked_needs_a_lock_that_has_everything(project: Project, busybox: str) -> None:
    with pytest.raises(NotFound, match=r"no kist\.lock"):
        project.build(f"FROM {busybox}\n", "locked")
    project.build(f"FROM {busybox}\nRUN true\n")
    with pytest.raises(Conflict, match="not in the lock"):
        project.build(f"FROM {busybox}\n{installs('new', '1')}\n", "locked")
    with pytest.raises(Conflict, match="no image for"):
        project.build("FROM other:1\n", "locked")


def test_the_command_line_writes_the_lock_and_tells_where_it_cannot(cli: Any, tmp_path: Path) -> None:
    directory = tmp_path / "c"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM busybox:test\nRUN true\nCOPY . /c\n")
    assert "kist.lock written" in cli("build", "-t", "lock:1", str(directory)).stderr
    assert 'name = "busybox:test"' in (directory / "kist.lock").read_text()
    first = cli.good("images", "-q", "lock:1")
    (directory / ".dockerignore").write_text("kist.lock\n.dockerignore\n")
    cli.good("build", "-q", "--locked", "-t", "lock:1", str(directory))
    assert cli.good("images", "-q", "lock:1") == first
    (directory / "kist.lock").unlink()
    cli.good("build", "-q", "--no-lock", "-t", "lock:1", str(directory))
    assert not (directory / "kist.lock").exists()
    (directory / "kist.lock").mkdir()
    told = cli("build", "--update-lock", "-t", "lock:1", str(directory))
    assert told.returncode != 0
    assert "is a directory" in told.stderr
    assert cli("build", "--locked", "--no-lock", str(directory)).returncode != 0
    (directory / "kist.lock").rmdir()
    with Client(resolve(cli.environment, os.geteuid())) as client:
        client.build(str(directory))
        assert not (directory / "kist.lock").exists()
        client.build(str(directory), BuildOptions(lock="auto"))
    assert (directory / "kist.lock").exists()
    cli("rmi", "lock:1")


@needs.IN_PROCESS
def test_an_engine_in_process_writes_the_lock_too(tmp_path: Path) -> None:
    directory = tmp_path / "c"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY . /c\n")
    (directory / "kist.lock").write_text('version = 1\n\n[[step]]\nstage = "0"\nrun = "RUN x"\npackages = []\n')
    with LocalEngine(str(tmp_path / "data"), str(tmp_path / "run")) as local:
        image = local.build(str(directory), BuildOptions(lock="auto"))
        assert "RUN x" not in (directory / "kist.lock").read_text()
        assert local.build(str(directory), BuildOptions(lock="auto")).id == image.id
