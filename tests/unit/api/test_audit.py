import io
import json
import logging
import os
import resource
import stat
import time
from pathlib import Path

import pytest

from kist.api.audit import AuditLog, Noted
from kist.api.auditfiles import read
from kist.spec.audit import AuditQuery, AuditRecord, write_moment
from kist.spec.audit_trail import Trail

NAME = "audit.log"
ALL = AuditQuery()
WHO = {"uid": 1000, "gid": 100, "pid": 7, "socket": "unix:///s"}


def record(call: int, path: str = "/_ping") -> AuditRecord:
    return AuditRecord(write_moment(1_700_000_000_000_000_000 + call), call, "GET", path, 200, 0.1, uid=0)


def calls(directory: Path, query: AuditQuery = ALL) -> list[int]:
    found = io.BytesIO()
    read(str(directory), found, query, Trail(()))
    return [json.loads(line)["call"] for line in found.getvalue().splitlines()]


def test_a_line_is_there_at_once_and_nobody_elses_to_read(tmp_path: Path):
    log = AuditLog(str(tmp_path))
    log.write(record(1))
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert calls(tmp_path) == [1]  # before it is closed
    log.close()
    again = AuditLog(str(tmp_path))
    again.write(record(2))
    again.close()
    assert calls(tmp_path) == [1, 2]


def test_the_log_is_bounded_and_read_in_order(tmp_path: Path):
    log = AuditLog(str(tmp_path), owners=(2000, 4))
    for number in range(1, 201):
        log.write(record(number))
    log.close()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 5
    assert max(sizes) <= 2000
    kept = calls(tmp_path)
    assert kept == list(range(kept[0], 201))
    assert calls(tmp_path, AuditQuery(tail=3)) == [198, 199, 200]
    assert calls(tmp_path, AuditQuery(tail=0)) == []


def test_half_a_line_is_passed_over(tmp_path: Path):
    (tmp_path / NAME).write_bytes(b'{"time": "2026-01-')
    (tmp_path / f"{NAME}.1").write_bytes(b'not json\n{"time":"","call":9,"method":"","path":"","status":0,"ms":0}\n')
    assert calls(tmp_path) == [9]


def test_a_log_that_cannot_be_written_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / NAME).mkdir()
    log = AuditLog(str(tmp_path))
    with caplog.at_level(logging.WARNING, "kist.api.audit"):
        for number in (1, 2, 3):
            log.write(record(number))
        (tmp_path / NAME).rmdir()
        log.write(record(4))
        log.write(record(5))
    log.close()
    assert [("cannot be written" in text, "can be written again" in text) for text in caplog.messages] == [
        (True, False),
        (False, True),
    ]
    assert calls(tmp_path) == [4, 5]


def test_no_link_leads_the_log_elsewhere(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "other").write_bytes(b"kept")
    (tmp_path / NAME).symlink_to("other")
    log = AuditLog(str(tmp_path))
    log.write(record(1))
    log.close()
    assert (tmp_path / "other").read_bytes() == b"kept"
    assert "cannot be written" in caplog.text


def test_what_there_is_no_room_for_leaves_no_half_line(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The kernel takes a part of the write where a limit comes in between, as on a full disk."""
    log = AuditLog(str(tmp_path))
    log.write(record(1))
    size = (tmp_path / NAME).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
    try:
        log.write(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / NAME).stat().st_size == size
    log.write(record(3))
    log.close()
    assert calls(tmp_path) == [1, 3]
    assert caplog.text.count("cannot be written") == 1


def test_one_who_calls_very_often_pushes_nobody_elses_calls_out(tmp_path: Path):
    """Forty-six thousand calls in twelve seconds had pushed out all that there was."""
    log = AuditLog(str(tmp_path), others=(2000, 1))
    log.write(record(1))
    log.write(record(2), "user-1000")
    log.write(record(3), "socket-ci.sock-1a2b3c4d")
    for number in range(4, 1000):
        log.write(record(number), "user-1001")
    log.write(record(1000), "user-1000")
    log.close()
    kept = calls(tmp_path)
    assert kept[:3] == [1, 2, 3]
    assert kept[-2:] == [999, 1000]
    assert kept == sorted(kept)
    loud = [file.stat().st_size for file in tmp_path.glob("audit-user-1001.log*")]
    assert len(loud) == 2
    assert max(loud) <= 2000
    assert calls(tmp_path, AuditQuery(tail=2)) == [999, 1000]
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_who_is_many_users_takes_the_log_of_none_who_has_one(tmp_path: Path):
    log = AuditLog(str(tmp_path), others=(2000, 1))
    log.write(record(1), "user-7")
    for number in range(2, 300):
        log.write(record(number), f"user-{1000 + number}")
    log.write(record(300), "socket-ci.sock-1a2b3c4d")
    kept = calls(tmp_path)
    assert (kept[0], kept[-1]) == (1, 300)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 40 * 4000
    assert len([*tmp_path.glob("audit-user-*.log")]) == 33
    assert (tmp_path / "audit-user-others.log").exists()
    assert (tmp_path / "audit-user-others.log").stat().st_size <= 2000
    log.close()


def test_a_log_that_is_silent_for_a_week_makes_room(tmp_path: Path):
    log = AuditLog(str(tmp_path))
    for number in range(32):
        log.write(record(number), f"user-{number}")
    eight_days_ago = time.time() - 8 * 86400
    os.utime(tmp_path / "audit-user-9.log", (eight_days_ago, eight_days_ago))
    log.write(record(32), "user-32")
    log.write(record(33), "user-33")
    log.write(record(34), "user-9")
    log.close()
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {f"audit-user-{number}.log" for number in {*range(33), 9} - {9}} | {"audit-user-others.log"}
    assert calls(tmp_path) == [*range(9), *range(10, 35)]


def noted(log: AuditLog) -> Noted:
    return Noted(log, ("POST", "/containers/web/attach", "stream=1"), WHO)


def lines(directory: Path) -> list[tuple[int, int, bool]]:
    kept = (json.loads(line) for line in (directory / NAME).read_bytes().splitlines())
    return [(each["call"], each["status"], each.get("end", False)) for each in kept]


def test_a_call_has_one_line_and_a_stream_a_second_at_its_end(tmp_path: Path):
    log = AuditLog(str(tmp_path))
    noted(log).finish(204)
    streaming = noted(log)
    streaming.answered(200)
    noted(log).finish(404)
    streaming.finish(200)
    taken_over = noted(log)
    taken_over.hold()
    taken_over.answered(101)
    taken_over.finish(200)  # the request is over, the stream is not
    assert lines(tmp_path)[-1] == (4, 101, False)
    taken_over.let_go()
    noted(log).finish(0)  # its client went before there was an answer
    log.close()
    expected = [(1, 204, False), (2, 200, False), (3, 404, False), (2, 200, True)]
    assert lines(tmp_path) == [*expected, (4, 101, False), (4, 101, True), (5, 0, False)]
    first = json.loads((tmp_path / NAME).read_bytes().splitlines()[0])
    assert {name: first[name] for name in WHO} == WHO
    assert (first["container"], first["query"]) == ("web", "stream=1")


def test_without_a_log_nothing_is_recorded(tmp_path: Path):
    Noted(None, ("GET", "/_ping", ""), {}).finish(200)
    assert os.listdir(tmp_path) == []
