"""What cannot be done is told in Docker's words, for its clients show them and some match them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import IMAGE, Server
from .error_table import ROWS, Row, setting_up, taking_down

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


@pytest.fixture(scope="module")
def ids(server: Server) -> Iterator[dict[str, str]]:
    """What the rows are about, by name."""

    def ask(method: str, path: str, body: Any) -> Any:
        return server.good(method, path, body)

    made = setting_up(ask, IMAGE)
    yield made
    taking_down(ask)


def fill(text: str, ids: dict[str, str]) -> str:
    for name, identity in ids.items():
        text = text.replace(f"{{{name}}}", identity)
    return text.replace("IMAGE", IMAGE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
def test_an_error_has_dockers_status_and_words(server: Server, ids: dict[str, str], row: Row) -> None:
    body = None if row.body is None else json.loads(fill(json.dumps(row.body), ids))
    answer = server.ask(row.method, fill(row.path, ids), body)
    assert answer.status == row.status
    if row.message:
        assert answer.value["message"].startswith(fill(row.message, ids))
    else:
        assert answer.body == b""


def test_a_process_that_has_run_is_not_run_again(server: Server, ids: dict[str, str]) -> None:
    made = server.good("POST", f"/containers/{ids['running']}/exec", {"Cmd": ["true"]})["Id"]
    server.ask("POST", f"/exec/{made}/start", {})
    again = server.ask("POST", f"/exec/{made}/start", {"Detach": True})
    assert (again.status, again.value["message"]) == (409, f"exec command {made} has already run")
