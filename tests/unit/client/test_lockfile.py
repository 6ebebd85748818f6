"""The lock that a build brings, written beside the Dockerfile."""

from pathlib import Path
from typing import Any

from kist.client.lockfile import LockKeeper

EVENT = {"type": "lock-renewed", "path": "../../elsewhere", "text": "version = 1\n"}


def test_the_lock_lies_where_the_caller_says_and_not_where_the_engine_does(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []
    notes: list[str] = []
    keeper = LockKeeper(str(tmp_path), "Dockerfile", shown.append, notes.append)
    keeper(EVENT)
    keeper({"type": "warned", "text": "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["kist.lock"]
    assert (tmp_path / "kist.lock").read_text() == "version = 1\n"
    assert notes == ["kist.lock written: keep it with the Dockerfile"]
    assert [event["type"] for event in shown] == ["lock-renewed", "warned"]
    keeper(EVENT)
    assert notes[1] == "kist.lock renewed"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []
    LockKeeper(str(tmp_path / "gone"), "Dockerfile", shown.append)(EVENT)
    assert shown[-1]["type"] == "warned"
    assert "kist.lock cannot be written" in shown[-1]["text"]
