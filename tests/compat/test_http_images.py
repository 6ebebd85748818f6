"""Images and what belongs to registries, as plain HTTP sees them."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import IMAGE, Server, make_tar

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


# lists, inspection, names


def listed(server: Server, query: str = "", **filters: list[str]) -> list[Any]:
    given = f"filters={quote(json.dumps({name.replace('_not', '!'): value for name, value in filters.items()}))}"
    found: list[Any] = server.good("GET", f"/images/json?{query}&{given}")
    return found


@pytest.fixture
def labelled(server: Server) -> Iterator[str]:
    """An image of its own, with labels, imported with every parameter."""
    query = f"fromSrc=-&repo={NAME}&tag=labelled&message=said&platform=linux/amd64"
    changes = "".join(f"&changes={quote(change)}" for change in ("LABEL kind=made other=1", "ENV a=b", "CMD true"))
    raw = make_tar({"of-http-images": b"x" * 5000})
    (line,) = server.ask("POST", f"/images/create?{query}{changes}", raw=raw).lines
    yield str(line["status"])
    server.ask("DELETE", f"/images/{line['status']}?force=1")


def test_an_import_takes_every_parameter(server: Server, labelled: str):
    found = server.good("GET", f"/images/{NAME}:labelled/json")
    assert (found["Id"], found["Comment"], found["Architecture"]) == (labelled, "said", "amd64")
    config = found["Config"]
    assert (config["Labels"], config["Env"]) == ({"kind": "made", "other": "1"}, ["a=b"])
    assert config["Cmd"] == ["/bin/sh", "-c", "true"]
    (step,) = server.good(
        "GET", f"/images/{labelled}/history?platform=%7B%22os%22:%22linux%22,%22architecture%22:%22amd64%22%7D"
    )
    assert (step["Comment"], step["Size"]) == ("said", 5000)
    refused = server.ask("GET", f"/images/{labelled}/history?platform=linux/s390x")
    assert (refused.status, "specified platform (linux/s390x)" in refused.value["message"]) == (404, True)


def test_images_are_chosen_by_labels_and_the_lack_of_them(server: Server, labelled: str):
    def ids(**filters: list[str]) -> list[str]:
        return [each["Id"] for each in listed(server, reference=[f"{NAME}:*"], **filters)]

    assert ids(label=["kind=made", "other"]) == [labelled]
    assert ids(label=["kind=bought"]) == []
    assert ids(label_not=["kind=bought"]) == [labelled]
    assert ids(label_not=["other"]) == []
    for query in ("all=1", "digests=1", "shared-size=1"):
        assert [each["Id"] for each in listed(server, query, reference=[f"{NAME}:*"])] == [labelled]


def test_an_image_tells_its_manifest_and_who_uses_it(server: Server, labelled: str):
    container = server.create("true", Image=labelled)
    try:
        (summary,) = listed(server, "manifests=1&identity=1", reference=[f"{NAME}:labelled"])
        inspected = server.good("GET", f"/images/{labelled}/json?manifests=1")
    finally:
        server.remove(container)
    (manifest,) = summary["Manifests"]
    assert inspected["Manifests"] == [manifest]
    digest = manifest["ID"]
    assert f"{NAME}@{digest}" in summary["RepoDigests"]
    assert (manifest["Kind"], manifest["Available"], manifest["Descriptor"]["digest"]) == ("image", True, digest)
    assert manifest["ImageData"] == {
        "Platform": {"architecture": "amd64", "os": "linux"},
        "Containers": [container],
        "Size": {"Unpacked": summary["Size"]},
        "Identity": {},
    }
    archive = server.ask("GET", f"/images/{labelled}/get").body
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        blobs = sum(each.size for each in opened if each.isfile() and each.name.startswith("blobs/"))
    assert manifest["Size"] == {"Content": blobs, "Total": blobs + summary["Size"]}
    assert "Manifests" not in server.good("GET", f"/images/{labelled}/json")
    assert "Manifests" not in server.good("GET", f"/v1.47/images/{labelled}/json?manifests=1")
    assert (
        "Identity" not in listed(server, "manifests=1", reference=[f"{NAME}:labelled"])[0]["Manifests"][0]["ImageData"]
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/images/json?identity=1", 400, "conflicting options: identity requires manifests=1"),
        ("GET", '/images/json?filters={"nonsense":["1"]}', 400, "invalid filter 'nonsense'"),
        ("GET", f"/images/{IMAGE}/json?manifests=1&platform=linux/amd64", 400, "platform options cannot both be set"),
        ("GET", f"/images/{IMAGE}/get?platform=plan9/mips&platform=plan9/sparc", 404, "platform (plan9/mips)"),
        ("GET", f"/v1.51/images/{IMAGE}/get?platform=a/b&platform=c/d", 400, "multiple platform parameters are not"),
        ("POST", "/images/load?platform={", 400, "invalid platform"),
        ("POST", f"/images/{IMAGE}/tag?repo=sha256&tag=x", 400, "using digest algorithm as name"),
        ("POST", f"/images/{IMAGE}/tag", 400, "repo is empty"),
        ("DELETE", "/images/%20", 400, "image name cannot be blank"),
        ("DELETE", f"/images/{IMAGE}?platforms=plan9/mips", 404, "specified platform (plan9/mips)"),
        ("POST", "/build/prune?reserved-space=much", 400, "'much' is not an integer"),
        ("POST", "/build/prune?max-used-space=-1", 400, "invalid max-used-space: -1"),
        ("POST", '/build/prune?filters={"type":["a","b"]}', 400, "filters expect only one value"),
        ("POST", '/build/prune?filters={"mutable":["1"]}', 400, "invalid filter 'mutable'"),
        ("POST", '/build/prune?filters={"private":{},"shared":{}}', 400, "conflicting filters"),
        ("POST", '/build/prune?filters={"until":["1h"],"unused-for":["1h"]}', 400, "conflicting filters"),
        ("POST", '/images/prune?filters={"dangling":["maybe"]}', 400, "invalid filter 'dangling=maybe'"),
    ],
)  # fmt: skip
def test_parameters_of_images_that_cannot_be_right(server: Server, method: str, path: str, status: int, words: str):
    answer = server.ask(method, quote(path, safe="/?=&:%"))
    assert answer.status == status, answer.body
    assert words in (answer.value["message"] if words else "")


def test_several_platforms_are_those_of_which_one_must_fit(server: Server, labelled: str):
    path = f"/images/{labelled}/get?platform=plan9/mips&platform=" + quote('{"os":"linux","architecture":"amd64"}')
    archive = server.ask("GET", path)
    assert archive.status == 200
    loaded = server.ask("POST", "/images/load?quiet=0&platform=linux/amd64", raw=archive.body)
    assert loaded.lines == [{"stream": f"Loaded image ID: {labelled}\n"}], "it was saved by its id"
    for query in ("platform=linux/s390x", "platform=linux/amd64&platform=linux/s390x"):
        refused = server.ask("POST", f"/images/load?{query}", raw=archive.body)
        assert (refused.status, refused.value["message"]) == (
            404,
            "the archive has no image for linux/s390x: it has linux/amd64",
        )


def test_a_load_tells_how_far_its_layers_are(server: Server):
    context = make_tar({"Dockerfile": b"FROM scratch\nCOPY big /\n", "big": os.urandom(3 << 20)})
    built = server.ask("POST", f"/build?t={NAME}:big", raw=context)
    assert built.status == 200, built.body
    archive = server.ask("GET", f"/images/{NAME}:big/get").body
    loaded = {"stream": f"Loaded image: {NAME}:big\n"}
    # What is here already takes no time, and nothing is told of it.
    assert server.ask("POST", "/images/load?quiet=0", raw=archive).lines == [loaded]
    layer = server.good("GET", f"/images/{NAME}:big/json")["RootFS"]["Layers"][-1].partition(":")[2][:12]
    for query, tells in (("quiet=0", True), ("quiet=1", False), ("", False)):
        server.good("DELETE", f"/images/{NAME}:big")
        server.good("POST", "/build/prune?all=1")
        *told, last = server.ask("POST", f"/images/load?{query}", raw=archive).lines
        assert last == loaded
        assert bool(told) == tells
        done = [line["progressDetail"]["current"] for line in told]
        assert done == sorted(done)
        for line in told:
            assert (line["status"], line["id"]) == ("Loading layer", layer)
            assert 3 << 20 < line["progressDetail"]["total"] < 4 << 20
        if tells:
            assert 10 <= len(told) <= 60
            assert done[-1] == told[-1]["progressDetail"]["total"]
    damaged = server.ask("POST", "/images/load?quiet=0", raw=archive[: 2 << 20])
    assert damaged.status == 400
    server.good("DELETE", f"/images/{NAME}:big")


# removal, commit


def test_an_image_in_use_is_kept_in_dockers_words(server: Server, labelled: str):
    short = labelled[7:19]
    container = server.create("true", Image=labelled)
    try:
        by_name = server.ask("DELETE", f"/images/{NAME}:labelled")
        by_id = server.ask("DELETE", f"/images/{labelled}?noprune=1")
        server.good("POST", f"/images/{labelled}/tag?repo=other-{NAME}&tag=1")
        referenced = server.ask("DELETE", f"/images/{labelled}")
        assert server.good("DELETE", f"/images/other-{NAME}:1") == [{"Untagged": f"other-{NAME}:1"}]
    finally:
        server.remove(container)
    assert by_name.status == by_id.status == referenced.status == 409
    assert by_name.value["message"] == (
        f'conflict: unable to remove repository reference "{NAME}:labelled" (must force) - '
        f"container {container[:12]} is using its referenced image {short}"
    )
    about = f"conflict: unable to delete {short} (must be forced) - image is "
    assert by_id.value["message"] == f"{about}being used by stopped container {container[:12]}"
    assert referenced.value["message"] in {
        f"{about}being used by stopped container {container[:12]}",
        f"{about}referenced in multiple repositories",
    }


def test_a_commit_takes_every_parameter(server: Server):
    container = server.run("sleep", "1000")
    body = {"Env": ["body=1"], "Labels": {"from": "body"}, "Cmd": ["from", "body"], "ExposedPorts": {"80/tcp": {}}}
    query = f"container={container}&repo={NAME}&tag=committed&author=Me&comment=why&pause=0&changes=" + quote(
        "ENV change=2"
    )
    try:
        made = server.good("POST", f"/commit?{query}&changes={quote('WORKDIR /tmp')}", body)["Id"]
        wrong = [
            server.ask("POST", f"/commit?container={container}&repo={NAME}&changes=RUN%20true"),
            server.ask("POST", f"/commit?container={container}&repo=UPPER"),
            server.ask("POST", f"/commit?container={container}", {"Env": "a=b"}),
            server.ask("POST", "/commit"),
        ]
    finally:
        server.remove(container)
    found = server.good("GET", f"/images/{NAME}:committed/json")
    server.good("DELETE", f"/images/{NAME}:committed")
    assert (found["Id"], found["Author"], found["Comment"]) == (made, "Me", "why")
    config = found["Config"]
    assert {"body=1", "change=2"} <= set(config["Env"])
    assert (config["Cmd"], config["Labels"], config["WorkingDir"]) == (["from", "body"], {"from": "body"}, "/tmp")
    assert config["ExposedPorts"] == {"80/tcp": {}}
    assert [answer.status for answer in wrong] == [400] * 4


# the build cache


def test_the_build_cache_is_cleaned_up_to_what_is_asked_for(server: Server):
    def pruned(query: str = "", **filters: list[str]) -> list[str]:
        given = quote(json.dumps(filters))
        found = server.good("POST", f"/build/prune?dry-run=1&{query}&filters={given}")["CachesDeleted"]
        return [] if found is None else list(found)

    context = make_tar({"Dockerfile": f"FROM {IMAGE}\nRUN echo of-http-images > /made\n".encode()})
    lines = server.ask("POST", "/build?nocache=1", raw=context).lines
    image = next(line["aux"]["ID"] for line in lines if "aux" in line)
    kept = set(pruned())
    everything = set(pruned("all=1"))
    assert set(pruned("all=1", shared=["true"])) == everything - kept  # its layer is the image's
    server.good("DELETE", f"/images/{image}")
    own = set(pruned()) - kept
    assert len(own) == 1
    entry = next(iter(own)).rpartition(":")[2]
    told = {each["ID"]: each["Description"] for each in server.good("GET", "/system/df")["BuildCache"]}
    assert "RUN echo of-http-images > /made" in told[entry]
    assert own <= set(pruned(private=["true"], type=["regular"], description=[told[entry]]))
    assert own.isdisjoint(pruned(shared=["1"]))
    assert own.isdisjoint(pruned(type=["exec.cachemount"]))
    assert pruned(parent=["some"]) == [] == pruned(description=["another"]) == pruned(label=["a", "b=c"])
    assert own <= set(pruned(**{"label!": ["a", "b"]}))
    assert own.isdisjoint(pruned(until=["24h"]))
    assert pruned(f"reserved-space={1 << 50}") == pruned(f"keep-storage={1 << 50}") == []
    assert pruned(f"max-used-space={1 << 50}") == pruned("min-free-space=1") == []
    assert own <= set(pruned("max-used-space=1"))
    assert own <= set(pruned(f"min-free-space={1 << 59}"))
    assert pruned(f"max-used-space=1&reserved-space={1 << 50}") == []
    (key,) = own
    answer = server.good("POST", f"/build/prune?filters={quote(json.dumps({'id': [key]}))}")
    assert answer["CachesDeleted"] == [key]
    assert answer["SpaceReclaimed"] > 0
