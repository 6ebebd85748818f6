"""Calls about a container are found however their callers have named it."""

import pytest

from kist.spec.audit import AuditRecord, container_in, write_moment
from kist.spec.audit_trail import Trail

WEB, DATA, OLD = "ab" + "1" * 62, "cd" + "2" * 62, "ef" + "3" * 62
PROCESS = "0" * 64
SECOND = 1_000_000_000


def record(
    second: int, path: str, query: str = "", *, name: str = "", made: str = "", status: int = 200
) -> AuditRecord:
    return AuditRecord(
        write_moment(second * SECOND), second, "POST", path, status, 0.1,
        query=query, container=name or container_in(path, query), made=made,
    )  # fmt: skip


CALLS = (
    record(1, "/containers/create", "name=web", made=OLD),
    record(2, "/containers/web/start"),
    record(3, f"/containers/{OLD[:12]}"),
    record(4, "/v1.50/containers/create", "name=web", made=WEB),
    record(5, "/containers/create", name="eager_otter", made=DATA),
    record(6, "/v1.50/containers/web/start"),
    record(7, f"/containers/{WEB[:12]}/exec", made=PROCESS),
    record(8, f"/v1.50/exec/{PROCESS}/start"),
    record(9, f"/containers/{WEB}/rename", "name=site"),
    record(10, "/containers/site/stop"),
    record(11, f"/containers/{DATA[:4]}/start"),
    record(12, "/containers/webapp/json", status=404),
    record(13, "/containers/json"),
    record(14, "/containers/exec/json", status=404),
    record(15, "/exec"),
)


def found(*wanted: str, known: tuple[tuple[str, str, int], ...] = ()) -> list[int]:
    trail = Trail(wanted, known)
    return [each.call for each in CALLS if trail.follow(each)]


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [
        (WEB, [4, 6, 7, 8, 9, 10]),
        (WEB[:5], [4, 6, 7, 8, 9, 10]),
        ("site", [9, 10]),
        ("web", [1, 2, 3, 4, 6, 7, 8, 9, 10]),
        ("/web", [1, 2, 3, 4, 6, 7, 8, 9, 10]),
        (OLD[:12], [1, 2, 3]),
        ("eager_otter", [5, 11]),
        ("webapp", [12]),
        ("we", []),
        ("exec", [14]),
        (PROCESS, []),
    ],
)
def test_a_container_is_found_by_what_it_is_called(wanted: str, calls: list[int]) -> None:
    assert found(wanted) == calls


def test_several_are_found_together_and_without_any_all_are() -> None:
    assert found(OLD, "eager_otter") == [1, 2, 3, 5, 11]
    assert found() == list(range(1, 16))


def test_what_a_container_that_is_there_is_called_now_finds_it_all() -> None:
    assert found("site", known=((WEB, "site", 4 * SECOND - 5),)) == [4, 6, 7, 8, 9, 10]


def test_a_container_that_no_record_has_made_is_known_by_what_it_is_called() -> None:
    local = "99" + "0" * 62
    trail = Trail([local[:12]], [(local, "here", 5 * SECOND)])
    assert (
        [
            trail.follow(record(second, path))
            for second, path in (
                (4, "/containers/here/json"),  # another one, that was there before
                (6, "/containers/here/json"),
                (7, f"/containers/{local[:3]}/json"),
                (8, "/containers/there/json"),
            )
        ]
        == [False, True, True, False]
    )


def test_one_of_which_nothing_is_known_is_found_by_ids_as_they_are_written() -> None:
    path = f"/containers/{'7' * 12}/json"
    assert Trail(["7" * 64]).follow(record(1, path))
    assert Trail(["777"]).follow(record(1, path))
    assert not Trail(["7777x"]).follow(record(1, path))
