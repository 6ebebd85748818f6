"""Images and what belongs to registries, as plain HTTP sees them."""

from collections.abc import Iterator

import pytest

from .conftest import IMAGE, Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

NAME = "of-http-images"


@pytest.fixture
def tagged(server: Server) -> Iterator[str]:
    """One more name of the server's image, for this test alone."""
    server.good("POST", f"/images/{IMAGE}/tag?repo={NAME}&tag=1")
    yield f"{NAME}:1"
    server.ask("DELETE", f"/images/{NAME}:1")


# what needs a registry


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/images/search?term=debian", 501, "cannot search for 'debian': there is no registry support yet"),
        ("GET", "/images/search", 400, "the parameter term is empty"),
        ("GET", "/images/search?term=x&limit=101", 400, "limit 101 is outside the range of [1, 100]"),
        ("GET", "/images/search?term=x&limit=many", 400, "limit"),
        ("GET", '/images/search?term=x&filters={"stars":["few"]}', 400, "invalid filter 'stars=few'"),
        ("GET", '/images/search?term=x&filters={"colour":["red"]}', 400, "invalid filter 'colour'"),
        ("POST", "/images/nosuch/push", 404, "An image does not exist locally with the tag: nosuch"),
        ("POST", "/images/example.org/no/such/push?tag=1", 404, "not exist locally with the tag: example.org/no/such"),
        ("POST", f"/images/{IMAGE.partition(':')[0]}/push?tag=nosuch", 404, "tag does not exist: busybox:nosuch"),
        ("POST", f"/images/{IMAGE}/push", 501, "cannot push busybox: there is no registry support yet"),
        ("POST", "/images/NoSuch/push", 400, "repository name must be lowercase"),
        ("POST", "/images/create?fromImage=nosuch&tag=1", 404, "cannot pull nosuch:1: there is no registry"),
        ("POST", "/images/create?fromImage=nosuch", 404, "cannot pull nosuch:"),
        ("POST", "/images/create?fromImage=scratch&tag=latest", 403, "'scratch' is a reserved name"),
        ("POST", "/images/create?fromImage=a:b:c", 400, "invalid reference format"),
        ("POST", f"/images/create?fromImage={IMAGE}&platform=plan9/mips", 404, "not provide the specified platform"),
        ("POST", "/images/create", 400, "neither fromImage nor fromSrc is set"),
        ("POST", "/images/create?fromSrc=", 400, "neither fromImage nor fromSrc is set"),
        ("GET", "/distribution/debian:12/json", 501, "cannot look debian:12 up in a registry"),
        ("GET", "/distribution/A%20B/json", 400, "invalid reference format"),
        ("GET", "/images/nosuch/attestations", 404, "No such image: nosuch"),
        ("GET", f"/images/{IMAGE}/attestations?platform=a/b&platform=c/d", 400, "only one platform value"),
        ("GET", f"/images/{IMAGE}/attestations?platform=plan9/mips", 404, "specified platform"),
        ("POST", "/session", 400, "no BuildKit"),
        ("POST", "/grpc", 400, "no BuildKit"),
        ("GET", '/plugins?filters={"enabled":["maybe"]}', 400, "invalid filter 'enabled=maybe'"),
        ("GET", "/plugins/a/b:1/json", 404, 'plugin "a/b:1" not found'),
        ("DELETE", "/plugins/a?force=1", 404, 'plugin "a" not found'),
        ("POST", "/plugins/a/enable?timeout=1", 404, 'plugin "a" not found'),
        ("POST", "/plugins/a/disable", 404, 'plugin "a" not found'),
        ("POST", "/plugins/a/upgrade?remote=b", 404, 'plugin "a" not found'),
        ("POST", "/plugins/a/push", 404, 'plugin "a" not found'),
        ("POST", "/plugins/a/set", 404, 'plugin "a" not found'),
        ("GET", "/plugins/privileges?remote=a", 501, "cannot install a: plugins are not supported"),
        ("POST", "/plugins/pull", 400, "the parameter remote is empty"),
        ("POST", "/plugins/create?name=a", 501, "plugins are not supported"),
    ],
)  # fmt: skip
def test_what_needs_a_registry_or_a_plugin_says_so(server: Server, method: str, path: str, status: int, words: str):
    answer = server.ask(method, path)
    assert (answer.status, words in answer.value["message"]) == (status, True), answer.body


def test_there_are_no_plugins_and_no_attestations(server: Server):
    assert server.good("GET", "/plugins") == []
    assert server.good("GET", '/plugins?filters={"capability":["volumedriver"],"enabled":["true"]}') == []
    assert server.good("GET", f"/images/{IMAGE}/attestations?type=x&statement=1") == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"username": "u", "password": "p", "serveraddress": "example.org"}, 501, "cannot log in to example.org"),
        ({"username": "u", "password": "p"}, 501, "cannot log in to docker.io"),
        ({"username": 7}, 400, "username must be a string"),
        ([], 400, "invalid JSON"),
    ],
)
def test_nobody_is_logged_in(server: Server, body: object, status: int, words: str):
    answer = server.ask("POST", "/auth", body)
    assert (answer.status, words in answer.value["message"]) == (status, True), answer.body


def test_a_pull_of_what_is_here_gives_it_and_says_that_nobody_was_asked(server: Server, tagged: str):
    wanted = f"Status: Image is here: {tagged} (not compared with a registry: there is no registry support yet)"
    for query in (f"fromImage={NAME}&tag=1", f"fromImage={tagged}", f"fromImage=docker.io/library/{NAME}:x&tag=1"):
        assert server.ask("POST", f"/v1.41/images/create?{query}").lines == [{"status": wanted}]
    assert server.ask("POST", f"/images/create?fromImage={NAME}").lines == [{"status": wanted}]
    identity = server.good("GET", f"/images/{tagged}/json")["RepoDigests"]
    (digest,) = [each.partition("@")[2] for each in identity if each.startswith(NAME)]
    assert f"{NAME}@{digest}" in server.ask("POST", f"/images/create?fromImage={NAME}&tag={digest}").lines[0]["status"]
