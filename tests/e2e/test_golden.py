"""Golden builds: each case of ``golden`` (``tests/golden.py`` says how they are written)."""

import io
import json
from pathlib import Path

import pytest

import golden
from golden import Case
from kist.build import build
from kist.client.client import Client
from kist.engine import Engine
from kist.errors import KistError
from kist.spec.build import BuildOptions
from kist.spec.json import encode
from kist.spec.progress import Event, StepOutput, Warned
from kist.spec.summary import Image

CASES = [
    pytest.param(case, id=case.name, marks=[pytest.mark.ids("has other users")] if "needs" in case.sections else [])
    for case in golden.cases(Path(__file__).parent / "golden")
]


@pytest.mark.parametrize("case", CASES)
def test_a_dockerfile_makes_what_stands_beside_it(case: Case, engine: Engine, busybox: str, tmp_path: Path) -> None:
    golden.make(tmp_path, case.lines("files"))
    dockerfile = case.text("Dockerfile").replace("$BUSYBOX", busybox)
    (tmp_path / (case.sections["Dockerfile"][0] or "Dockerfile")).write_text(dockerfile, encoding="utf-8", newline="")
    events: list[Event] = []
    try:
        image = _built(engine, tmp_path, BuildOptions(**case.options()), events)
    except KistError as error:
        _hold(case, "error", f"{error}\n{error.hint}")
        return
    assert not case.lines("error"), "it was built"
    _hold(case, "warnings", "\n".join(event.text for event in events if isinstance(event, Warned)))
    if "output" in case.sections:
        assert "".join(event.text for event in events if isinstance(event, StepOutput)) == case.text("output")
    if "tree" in case.sections:
        assert golden.listing(_saved(engine, image), case.sections["tree"][0]) == case.lines("tree")
    config = json.loads(encode(image.config.config))
    for line in case.lines("config"):
        field, _, expected = line.partition(": ")
        assert config.get(field) == json.loads(expected), field


def _built(engine: Engine, context: Path, options: BuildOptions, events: list[Event]) -> Image:
    if isinstance(engine, Client):  # the build is in the engine's own process
        return engine.build(str(context), options, progress=events.append)
    return build(engine, str(context), options, events.append)


def _hold(case: Case, section: str, told: str) -> None:
    expected = case.lines(section)
    assert expected or not told.strip(), told
    for part in expected:
        assert part in told


def _saved(engine: Engine, image: Image) -> bytes:
    written = io.BytesIO()
    engine.save([image], written)
    return written.getvalue()
