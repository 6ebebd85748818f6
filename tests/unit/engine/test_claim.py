"""A data root's containers run in one run root."""

import json
import os
from pathlib import Path

import pytest

from kist.engine.claim import Claim, file_name
from kist.errors import Conflict
from kist.kernel import process


def test_the_first_to_come_says_where(tmp_path: Path) -> None:
    first = Claim(str(tmp_path), str(tmp_path / "a"))
    second = Claim(str(tmp_path), str(tmp_path / "a"))
    with pytest.raises(Conflict, match=f"run in {tmp_path}/a") as caught:
        Claim(str(tmp_path), str(tmp_path / "b"))
    assert f"KIST_RUN={tmp_path}/a" in caught.value.hint
    first.close()
    with pytest.raises(Conflict):
        Claim(str(tmp_path), str(tmp_path / "b"))
    second.close()


def test_another_place_is_taken_when_nobody_is_there_any_more(tmp_path: Path) -> None:
    Claim(str(tmp_path), str(tmp_path / "long" / "a")).close()
    Claim(str(tmp_path), str(tmp_path / "b")).close()
    assert (tmp_path / file_name()).read_text() == f"{tmp_path}/b"


@pytest.mark.parametrize("who", ["monitor", "pid"])
def test_a_container_that_runs_keeps_it(tmp_path: Path, who: str) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for place in (data / "containers" / "c1", run / "containers" / "c1"):
        place.mkdir(parents=True)
    Claim(str(data), str(run)).close()
    started = process.start_time(os.getpid())
    state = run / "containers" / "c1" / "state.json"
    state.write_text(json.dumps({who: os.getpid(), f"{who}_start": started}))
    with pytest.raises(Conflict):
        Claim(str(data), str(tmp_path / "other"))
    state.write_text(json.dumps({who: os.getpid(), f"{who}_start": started + 1}))
    Claim(str(data), str(tmp_path / "other")).close()


def test_one_place_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    first = Claim(str(tmp_path), str(tmp_path / "a"))
    Claim(str(tmp_path), str(tmp_path / "link" / "a")).close()
    first.close()
