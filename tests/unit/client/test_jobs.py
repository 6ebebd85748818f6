"""Options of long verbs travel in a query that the engine reads back."""

import os
from typing import Any

import pytest
from msgspec import structs

from kist.client.endpoint import Endpoint
from kist.client.jobs import build, build_query
from kist.client.wire import Wire
from kist.errors import InvalidInput, StepFailed, Unavailable
from kist.spec.build import BuildOptions
from kist.spec.docker.builds import read_build


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(),
        BuildOptions(
            dockerfile="d/other",
            tags=("a:1", "b"),
            build_args={"A": 'x "y" ü', "B": ""},
            target="final",
            no_cache=True,
            labels={"k": "v"},
            platform="linux/amd64",
            pull=True,
            cache_from=("a", "b"),
        ),
    ],
)
def test_build_options_there_and_back(options: BuildOptions) -> None:
    query = build_query(structs.asdict(options))

    def get(name: str) -> str:
        return next((value for key, value in query if key == name), "")

    assert read_build(get, lambda name: [value for key, value in query if key == name]) == options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (BuildOptions(build_args={"A": os.fsdecode(b"caf\xe9")}), "build argument A: it is not UTF-8"),
        (BuildOptions(labels={os.fsdecode(b"k\xff"): "v"}), r"label k\\udcff: it is not UTF-8"),
    ],
)
def test_what_is_not_utf8_is_refused_and_not_replaced(options: BuildOptions, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        build_query(structs.asdict(options))


def test_events_are_shown_and_a_failure_is_the_engines(peer: Any) -> None:
    lines = (
        b'{"type":"warned","text":"w"}\n{"type":"failed","error":"StepFailed","message":"m","hint":"h","exit_code":7}\n'
    )
    shown: list[Any] = []
    with peer.serve(peer.answer(b"HTTP/1.1 200 OK\r\n\r\n" + lines)) as path, pytest.raises(StepFailed) as caught:
        build(Wire(Endpoint(path, None)), [], iter([b"x"]), shown.append)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("m", "h", 7)
    assert shown == [{"type": "warned", "text": "w"}]


def test_an_engine_that_goes_away_in_the_middle_is_told(peer: Any) -> None:
    talk = peer.answer(b'HTTP/1.1 200 OK\r\n\r\n{"type":"warned","text":"w"}\n')
    with peer.serve(talk) as path, pytest.raises(Unavailable, match="went away"):
        build(Wire(Endpoint(path, None)), [], iter([b"x"]), lambda _: None)
