"""Build sessions: whose they are, what they refuse, and that a build ends with its own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Cli
from kist.client.client import Client
from kist.client.endpoint import Endpoint
from kist.client.jobs import build_query
from kist.client.offer import Offer
from kist.client.packing import pack
from kist.client.session import Session
from kist.client.wire import Wire
from kist.errors import Conflict, InvalidInput, KistError, NotFound, Unavailable
from kist.spec.build import BuildOptions

ID = "0123456789abcdef" * 4
PATH = "/kist/build/session"


@pytest.fixture
def wire(cli: Cli) -> Iterator[Wire]:
    run = str(cli.directory / "run")
    made = Wire(Endpoint(f"{run}/engine.sock", (str(cli.directory / "data"), run)))
    yield made
    made.close()


def query_of() -> list[tuple[str, str]]:
    options = BuildOptions(no_cache=True)
    return build_query({name: getattr(options, name) for name in options.__struct_fields__})


def test_what_is_no_session_is_refused(wire: Wire) -> None:
    with pytest.raises(InvalidInput, match="64 hexadecimal"):
        wire.hijack(PATH, [("id", "short")], {})
    with pytest.raises(InvalidInput, match="upgraded"):
        wire.call("POST", PATH, [("id", ID)], {})
    with pytest.raises(InvalidInput, match="invalid secrets"):
        wire.hijack(PATH, [("id", ID)], {"secrets": "all"})
    with pytest.raises(NotFound, match="no such build session"):
        wire.hijack(PATH, [("id", ID), ("channel", 1)])


def test_a_build_cannot_name_a_session_that_is_not_there(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:test\n")
    with pytest.raises(NotFound, match="no such build session"):
        wire.request("POST", "/build", [*query_of(), ("session", ID)], body=pack(str(tmp_path))).read()


def test_a_session_is_one_connection(wire: Wire) -> None:
    stream, _ = wire.hijack(PATH, [("id", ID)], {})
    with pytest.raises(Conflict):
        wire.hijack(PATH, [("id", ID)], {})
    with pytest.raises(NotFound, match="no such channel"):
        wire.hijack(PATH, [("id", ID), ("channel", 7)])
    stream.send(b"this is no JSON\n")  # after which nothing more can be understood
    while stream.receive():
        pass
    stream.close()


def test_a_build_ends_with_its_session(wire: Wire, cli: Cli, tmp_path: Path) -> None:
    before = set(cli.good("ps", "-aq", "--no-trunc").split())
    (tmp_path / "Dockerfile").write_text("FROM busybox:test\nRUN echo begins; sleep 600\n")
    begins, failed = threading.Event(), list[BaseException]()

    def build(query: list[tuple[str, str]]) -> None:
        try:
            response = wire.request("POST", "/build", query, body=pack(str(tmp_path)),
                                    headers=(("Accept", "application/vnd.kist.events+jsonl"),))  # fmt: skip
            for event in wire.lines(response):
                if event.get("text") == "begins\n":
                    begins.set()
                if event["type"] == "failed":
                    failed.append(Unavailable(event["message"]))
        except KistError as error:
            failed.append(error)

    with Session(wire, Offer({}, secrets={"a": ("/etc/hostname", "")})) as session:
        thread = threading.Thread(target=build, args=([*query_of(), *session.query],))
        thread.start()
        assert begins.wait(60)
    thread.join(60)
    (error,) = failed
    assert str(error) == "cancelled: the client that the build gets secrets and files from has gone"
    run = str(cli.directory / "run")
    with Client(Endpoint(f"{run}/engine.sock", (str(cli.directory / "data"), run))) as client:
        assert {each.id for each in client.containers(all=True)} == before
