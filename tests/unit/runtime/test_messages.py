"""Messages between processes: JSON, descriptors, and the end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.runtime import messages


@pytest.fixture
def ends() -> Iterator[tuple[messages.socket.socket, messages.socket.socket]]:
    ours, theirs = messages.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


Ends = tuple[messages.socket.socket, messages.socket.socket]


@pytest.mark.parametrize("message", [{}, {"a": [1, None, "ä\n\0"]}, {"text": "x" * 30_000}])
def test_a_message_arrives_whole(ends: Ends, message: dict[str, object]) -> None:
    messages.send(ends[0], message)
    messages.send(ends[0], {"next": True})
    assert messages.receive(ends[1]) == (message, [])
    assert messages.receive(ends[1]) == ({"next": True}, [])


def test_descriptors_arrive_open_and_closed_on_exec(ends: Ends) -> None:
    read, write = os.pipe()
    messages.send(ends[0], {"here": 2}, [read, write])
    os.close(read)
    os.close(write)
    message, (got_read, got_write) = messages.receive(ends[1])
    assert message == {"here": 2}
    assert not os.get_inheritable(got_read)
    os.write(got_write, b"through")
    os.close(got_write)
    assert os.read(got_read, 99) == b"through"
    os.close(got_read)


def test_the_end_comes_after_what_was_sent(ends: Ends) -> None:
    messages.send(ends[0], {"last": 1})
    ends[0].close()
    assert messages.receive(ends[1]) == ({"last": 1}, [])
    assert messages.receive(ends[1]) == (None, [])


def test_an_end_with_something_unread_is_an_end(ends: Ends) -> None:
    messages.send(ends[1], {"never": "read"})
    ends[0].close()
    assert messages.receive(ends[1]) == (None, [])


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    messages.write_json(path, {"n": 1, "text": "ü" * 50_000})
    with open(path, encoding="utf-8") as before:
        messages.write_json(path, {"n": 2})
        assert len(before.read()) > 50_000
    assert messages.read_json(path) == {"n": 2}
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_file_in_a_directory_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        messages.write_json(str(tmp_path / "gone" / "state.json"), {})


def test_what_was_sent_before_leaving_unread_mail_behind_arrives() -> None:
    ours, theirs = messages.pair()
    messages.send(ours, {"go": True})
    messages.send(theirs, {"failed": "why"})
    theirs.close()
    assert messages.receive(ours) == ({"failed": "why"}, [])
    assert messages.receive(ours) == (None, [])
    ours.close()


def test_a_message_that_could_not_be_received_whole_is_not_sent(ends: Ends) -> None:
    with pytest.raises(OSError, match="Message too long"):
        messages.send(ends[0], {"text": "x" * 40_000})
