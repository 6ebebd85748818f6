"""The Python library: the same verbs and values in process and over the socket."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kist
from harness import clean_up, until
from kist.spec.image import ContainerConfig
from kist.spec.progress import Event, Finished, StepFinished

IMAGE = "busybox:test"


@pytest.fixture(scope="module", params=["socket", "process"])
def library(
    request: pytest.FixtureRequest, cli: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[kist.EngineInterface]:
    """An engine of each kind, with the small image."""
    if request.param == "socket":
        with kist.Engine(data_root=str(cli.directory / "data"), run_root=str(cli.directory / "run")) as made:
            yield made
        return
    directory = tmp_path_factory.mktemp("local")
    archive = directory / "image.tar"
    archive.write_bytes((cli.directory / "busybox.tar").read_bytes())
    with kist.Engine(local=True, data_root=str(directory / "data"), run_root=str(directory / "run")) as made:
        with open(archive, "rb") as source:
            made.import_image(source, IMAGE, config=ContainerConfig(cmd=("sh",)))
        yield made
    clean_up(directory / "data")


def quiet(**options: Any) -> kist.ContainerOptions:
    return kist.ContainerOptions(image=IMAGE, network="none", **options)


def test_run_gives_code_and_output(library: kist.EngineInterface) -> None:
    result = library.run(IMAGE, ["sh", "-c", "cat; echo err >&2"], options=quiet(), stdin=b"in")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "in", "err\n")
    assert len(result.container) == 64
    with pytest.raises(kist.errors.NotFound):
        library.container(result.container)


def test_a_failing_command_raises_unless_told_otherwise(library: kist.EngineInterface) -> None:
    with pytest.raises(kist.errors.StepFailed, match="exit code 4: no luck") as caught:
        library.run(IMAGE, ["sh", "-c", "echo no luck >&2; exit 4"], options=quiet())
    assert caught.value.exit_code == 4
    assert library.run(IMAGE, ["false"], options=quiet(), check=False).exit_code == 1


def test_a_command_that_is_missing(library: kist.EngineInterface) -> None:
    with pytest.raises(kist.errors.CommandNotFound):
        library.run(IMAGE, ["nope"], options=quiet())
    with pytest.raises(kist.errors.NotFound, match="No such image"):
        library.run("nope", ["true"])


def test_build_run_and_bind(library: kist.EngineInterface, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nENV GREETING=hello\nRUN echo made > /made\n")
    events: list[Event] = []
    image = library.build(str(tmp_path), kist.BuildOptions(tags=("lib:1",)), progress=events.append)
    assert image.references == ("docker.io/library/lib:1",)
    assert isinstance(events[-1], Finished) or any(isinstance(event, StepFinished) for event in events)
    (tmp_path / "data").mkdir()
    bind = kist.Mount.bind(str(tmp_path / "data"), "/data")
    result = library.run(
        image,
        ["sh", "-c", "cat /made; echo $GREETING $NAME > /data/out"],
        mounts=[bind],
        env={"NAME": "you"},
        options=quiet(),
    )
    assert result.stdout == "made\n"
    assert (tmp_path / "data" / "out").read_text() == "hello you\n"
    assert library.remove_image("lib:1").untagged


def test_a_syntax_error_points_at_its_place(library: kist.EngineInterface, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUM x\n")
    with pytest.raises(kist.errors.ParseError) as caught:
        library.build(str(tmp_path))
    assert "Dockerfile:2:1" in str(caught.value)
    assert "^" in str(caught.value)


def test_a_container_through_its_life(library: kist.EngineInterface) -> None:
    container = library.create(quiet(command=("sh", "-c", "echo a; echo b >&2; sleep 100"), name="lib-life"))
    assert container.state.status == "created"
    assert container.options.command == ("sh", "-c", "echo a; echo b >&2; sleep 100")
    library.start(container)
    assert container.id in [each.id for each in library.containers()]
    done = library.exec(container, kist.ExecOptions(command=("sh", "-c", "echo in; exit 3")))
    assert (done.exit_code, done.stdout) == (3, "in\n")
    until(lambda: len(list(library.logs(container))) == 2)
    library.kill(container, "KILL")
    assert library.wait(container) == 137
    assert library.container("lib-life").state.exit_code == 137
    records = list(library.logs(container))
    assert sorted((record.stream, record.data) for record in records) == [("stderr", b"b\n"), ("stdout", b"a\n")]
    assert all(record.time > 1e18 for record in records)
    with pytest.raises(kist.errors.Conflict):
        library.exec(container, kist.ExecOptions(command=("true",)))
    library.remove(container)
    assert "lib-life" not in [each.name for each in library.containers(all=True)]


def test_logs_are_followed(library: kist.EngineInterface) -> None:
    container = library.create(quiet(command=("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")))
    library.start(container)
    assert b"".join(record.data for record in library.logs(container, follow=True)) == b"1\n2\n3\n"
    assert [record.data for record in library.logs(container, tail=1)] == [b"3\n"]
    library.remove(container, force=True)


def test_images_go_out_and_come_in(library: kist.EngineInterface) -> None:
    library.tag(IMAGE, "travels:1")
    archive = io.BytesIO()
    library.save(["travels:1"], archive)
    library.remove_image("travels:1")
    archive.seek(0)
    assert [image.references for image in library.load(archive)] == [
        ("docker.io/library/busybox:test", "docker.io/library/travels:1")
    ]
    library.remove_image("travels:1")
    assert library.image(IMAGE).config.config.cmd == ("sh",)


def test_what_the_engine_says_of_itself(library: kist.EngineInterface) -> None:
    assert library.version().version == kist.__version__
    assert library.info().images == len(library.images())


def test_importing_kist_costs_nothing() -> None:
    script = "import sys; before = set(sys.modules); import kist; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1


def test_every_name_is_there() -> None:
    for name in dir(kist):
        assert getattr(kist, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = kist.nothing  # type: ignore[attr-defined]
