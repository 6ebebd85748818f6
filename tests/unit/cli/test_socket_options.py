"""Sockets with a role on the command line: each option belongs to the --socket before it."""

import pytest

from kist.cli.commands.engine import COMMAND
from kist.cli.parser import parse
from kist.cli.socket_options import read_sockets
from kist.cli.usage import UsageError
from kist.errors import InvalidInput
from kist.spec.scope import ScopedSocket, read_scope


def read(line: str) -> tuple[ScopedSocket, ...]:
    return read_sockets(parse(COMMAND, line.split()))


def test_each_option_belongs_to_the_socket_before_it() -> None:
    line = (
        "--socket /a --role read-only --socket /b --label x=1 --role=operator --label y=2 --socket-group lab "
        "--socket /c --socket-mode 0666 --role admin"
    )
    assert read(line) == (
        ScopedSocket("/a", read_scope("read-only", [])),
        ScopedSocket("/b", read_scope("operator", ["x=1", "y=2"]), "lab"),
        ScopedSocket("/c", read_scope("admin", []), "", 0o666),
    )
    assert read("") == ()


def test_one_line_after_another_has_places_of_its_own() -> None:
    assert read("--socket /a --role admin") == read("--socket /a --role admin")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--role admin", "--role admin belongs to no socket"),
        ("--label a=1 --socket /a --role operator", "--label a=1 belongs to no socket"),
        ("--socket /a --role operator --role admin", "--role was written twice for one socket"),
        ("--socket /a --role admin --socket /b --socket-group x --socket-group y", "--socket-group was written twice"),
    ],
)
def test_what_belongs_to_no_socket_or_twice_to_one_is_told(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(line)


@pytest.mark.parametrize("line", ["--socket /a", "--socket /a --role admin --label a=1"])
def test_what_means_nothing_together_is_told(line: str) -> None:
    with pytest.raises(InvalidInput):
        read(line)
