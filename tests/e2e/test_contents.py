"""What is in images: packages, bills of materials, who has what from whom, what is different, what is large."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import Cli
from kist.client.client import Client
from kist.client.endpoint import resolve

STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.11-1
Installed-Size: 6000
"""
MORE = """
Package: curl
Status: install ok installed
Architecture: amd64
Version: 7.88.1-10
"""
METADATA = "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\n\n"


def build(cli: Any, directory: Path, name: str, dockerfile: str, **files: str) -> None:
    directory.mkdir()
    for file, text in {"Dockerfile": dockerfile, **files}.items():
        (directory / file).write_text(text)
    done = cli("build", "-t", name, str(directory))
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def images(cli: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``base:1``, two images on it, and one that has nothing of it."""
    top = tmp_path_factory.mktemp("contents")
    build(cli, top / "base", "base:1", "FROM busybox:test\nCOPY status /var/lib/dpkg/status\n", status=STATUS)
    app = "FROM base:1\nENV A=1\nRUN mkdir -p /srv && head -c 100000 /dev/zero > /srv/big\n"
    app += "COPY status /var/lib/dpkg/status\n"
    app += "COPY METADATA /opt/venv/lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA\nRUN rm /srv/big\n"
    build(cli, top / "app", "app:1", app, status=STATUS + MORE, METADATA=METADATA)
    build(cli, top / "web", "web:1", "FROM app:1\nLABEL x=y\n")
    build(cli, top / "other", "other:1", "FROM scratch\nCOPY data /data\n", data="x")
    yield cli
    cli("rmi", "web:1", "app:1", "base:1", "other:1")


def test_packages_are_told_with_the_layer_that_brought_them(images: Any) -> None:
    lines = [line.split(None, 4) for line in images.good("sbom", "app:1", "--no-trunc").splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["deb", "curl", "7.88.1-10"],
        ["deb", "libssl3", "3.0.11-1"],
        ["pypi", "requests", "2.31.0"],
    ]
    found = json.loads(images.good("sbom", "--format", "json", "app:1"))
    steps = {each["number"]: each["created_by"] for each in found["layers"]}
    made = {each["package"]["name"]: steps[each["layer"]] for each in found["packages"]}
    assert "var/lib/dpkg" in made["curl"]
    assert "requests-2.31.0" in made["requests"]
    base = json.loads(images.good("sbom", "--format", "json", "base:1"))
    libssl = [next(e["layer"] for e in each["packages"] if e["package"]["name"] == "libssl3") for each in (found, base)]
    assert libssl[0] == libssl[1] == len(base["layers"])


def test_documents_are_always_the_same_and_are_attached(images: Any, tmp_path: Path) -> None:
    first = images.good("sbom", "--format", "spdx", "app:1")
    before = images.good("images", "-q", "--no-trunc", "app:1"), images.good("inspect", "app:1")
    target = tmp_path / "a.json"
    assert images.good("sbom", "--format", "spdx", "-o", str(target), "app:1") == ""
    assert target.read_text().strip() == first.strip()
    assert json.loads(first)["spdxVersion"] == "SPDX-2.3"
    assert (images.good("images", "-q", "--no-trunc", "app:1"), images.good("inspect", "app:1")) == before
    assert json.loads(images.good("sbom", "--format", "cyclonedx", "app:1"))["specVersion"] == "1.6"
    attached = [
        json.loads(line) for line in images.good("image", "referrers", "--format", "json", "app:1").splitlines()
    ]
    assert [each["ArtifactType"] for each in attached] == ["application/spdx+json", "application/vnd.cyclonedx+json"]
    spdx = attached[0]["Digest"]
    assert images.good("image", "referrers", "app:1", spdx[:8]) == first
    assert images.good("image", "referrers", "app:1", spdx, "--rm").startswith("sha256:")
    assert len(images.good("image", "referrers", "-q", "app:1").splitlines()) == 1
    assert images("image", "referrers", "app:1", spdx).returncode == 1
    images.good("sbom", "--format", "spdx", "--no-attach", "app:1")
    assert len(images.good("image", "referrers", "-q", "app:1").splitlines()) == 1


def test_why_tells_images_steps_and_heirs(images: Any) -> None:
    found = json.loads(images.good("why", "openssl<3.0.15", "--format", "json"))
    [match] = found["matches"]
    assert match["package"]["name"] == "libssl3"
    [holder] = match["holders"]
    assert holder["image"]["names"] == ["base:1"]
    assert [each["names"] for each in holder["heirs"]] == [["app:1"], ["web:1"]]
    assert "var/lib/dpkg/status" in holder["step"]["created_by"]
    assert holder["step"]["place"] == "Dockerfile:2"
    told = images.good("why", "requests")
    assert "requests 2.31.0  pypi" in told
    assert "Dockerfile:5  " in told
    assert images.good("why", "-q", "curl").split() == ["app:1", "web:1"]


def test_why_answers_as_grep_where_there_is_none(images: Any) -> None:
    done = images("why", "openssl>=3.0.15")
    assert (done.returncode, done.stdout) == (1, "")
    assert "in none of" in done.stderr
    assert "here is libssl3 3.0.11-1" in done.stderr
    assert "here is" not in images("why", "nothing-like-it").stderr
    wrong = images("why", "openssl=<3")
    assert wrong.returncode not in {0, 1} or "^" in wrong.stderr
    assert "no relation" in wrong.stderr


def test_the_tree_has_each_image_below_its_base(images: Any) -> None:
    found = json.loads(images.good("tree", "--format", "json"))["images"]
    by_name = {name: kin for kin in found for name in kin["image"]["names"]}
    names = {kin["image"]["id"]: kin["image"]["names"] for kin in found}
    assert names[by_name["app:1"]["parent"]] == ["base:1"]
    assert names[by_name["web:1"]["parent"]] == ["app:1"]
    assert "parent" not in by_name["other:1"]
    assert by_name["web:1"]["own"] == 0
    assert by_name["app:1"]["own"] == by_name["app:1"]["size"] - by_name["base:1"]["size"]
    lines = images.good("tree").splitlines()
    at = next(number for number, line in enumerate(lines) if "base:1" in line)
    # As far to the right as there are images below: that depends on what else is here.
    assert lines[at + 1].index("└─ app:1") == lines[at].index("base:1")
    assert lines[at + 2].index("└─ web:1") == lines[at + 1].index("app:1")


def test_images_are_compared_by_packages_and_files(images: Any) -> None:
    found = json.loads(images.good("image", "diff", "base:1", "app:1", "--format", "json"))
    assert [each["name"] for each in found["added"]] == ["curl", "requests"]
    assert (found["removed"], found["changed"]) == ([], [])
    kinds = {each["path"]: each["kind"] for each in found["files"]}
    assert kinds["/var/lib/dpkg/status"] == "changed"
    assert kinds["/srv"] == "added"
    assert "/srv/big" not in kinds
    told = images.good("image", "diff", "--packages", "app:1", "base:1")
    assert told.splitlines() == [
        "Packages: 0 added, 2 removed, 0 changed",
        "- deb curl 7.88.1-10",
        "- pypi requests 2.31.0",
    ]
    same = images("image", "diff", "app:1", "web:1")
    assert (same.returncode, same.stdout) == (0, "")
    assert same.stderr == "app:1 and web:1: no packages or files are different\n"


def test_what_takes_space_is_told_with_what_is_carried_for_nothing(images: Any) -> None:
    found = json.loads(images.good("slim", "--why", "app:1", "--format", "json"))
    assert found["hidden_size"] >= 100_000
    assert found["hidden"][0]["path"] == "/srv/big"
    assert found["hidden"][0]["by"] == len(found["layers"])
    assert found["size"] == sum(each["size"] for each in found["layers"]) == found["seen"] + found["hidden_size"]
    assert found["packages"][0]["name"] == "libssl3 3.0.11-1 (deb)"
    told = images.good("slim", "--why", "app:1")
    assert "Carried and never seen" in told
    assert images("slim", "app:1").returncode != 0


def test_the_library_has_the_same(images: Cli) -> None:
    endpoint = resolve(images.environment, os.geteuid())
    with Client(endpoint) as client:
        assert [each.package.name for each in client.packages("app:1").packages] == ["curl", "libssl3", "requests"]
        assert [each.package.name for each in client.why("pypi:requests").matches] == ["requests"]
        assert client.sbom("base:1", "cyclonedx") == client.sbom("base:1", "cyclonedx")
        kept = {each.artifact_type for each in client.referrers("base:1")}
        assert kept == set()
        client.sbom("base:1", attach=True)
        [attached] = client.referrers("base:1")
        assert client.referrer("base:1", attached.digest) == client.sbom("base:1")
        assert client.remove_referrer("base:1", attached.digest[7:15]) == attached
        assert client.image_difference("base:1", "app:1", files=False).files is None
        assert client.slim("app:1", most=1).hidden[0].path == "/srv/big"
        assert {each.parent for each in client.image_tree().images} >= {str(client.image("app:1").id)}


def test_what_is_attached_goes_with_its_image(small: Cli, tmp_path: Path) -> None:
    build(small, tmp_path / "c", "mine:1", "FROM busybox:test\nCOPY data /data\n", data="x")
    small.good("sbom", "--format", "spdx", "mine:1")
    found = [each for root in tmp_path.rglob("blobs/sha256") for each in root.iterdir()]
    assert any(b"SPDX-2.3" in each.read_bytes() for each in found)
    small.good("system", "check")
    small.good("rmi", "mine:1")
    left = [each for root in tmp_path.rglob("blobs/sha256") for each in root.iterdir()]
    assert not any(b"SPDX-2.3" in each.read_bytes() for each in left)


def test_a_build_attaches_a_bill_and_where_the_image_is_from(small: Cli, tmp_path: Path) -> None:
    directory = tmp_path / "c"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM busybox:test\nARG A=1\nCOPY data /data\nRUN echo $A > /a\n")
    (directory / "data").write_text("x")
    options = ("--no-lock", "--sbom", "--provenance", "--build-arg", "SOURCE_DATE_EPOCH=0", "-t", "proved:1")
    options = (*options, "--build-arg", "http_proxy=http://me:secret@127.0.0.1")
    small.good("build", "-q", *options, str(directory))
    listed = small.good("image", "referrers", "--format", "json", "--no-trunc", "proved:1")
    attached = {each["ArtifactType"]: each["Digest"] for each in map(json.loads, listed.splitlines())}
    assert set(attached) == {"application/spdx+json", "application/vnd.in-toto+json"}
    text = small.good("image", "referrers", "proved:1", attached["application/vnd.in-toto+json"])
    assert "secret" not in text
    statement = json.loads(text)
    image = json.loads(small.good("inspect", "proved:1"))[0]
    base = json.loads(small.good("inspect", "busybox:test"))[0]
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    [subject] = statement["subject"]
    assert subject["name"] == "proved:1"
    assert f"sha256:{subject['digest']['sha256']}" in image["RepoDigests"][0]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["buildArgs"] == {"SOURCE_DATE_EPOCH": "0"}
    [used, context] = definition["resolvedDependencies"]
    assert used["uri"].startswith("pkg:docker/busybox@test?platform=")
    assert used["digest"]["sha256"] in base["RepoDigests"][0]
    assert context["name"] == "context"
    run = statement["predicate"]["runDetails"]
    assert [each["annotations"]["place"] for each in run["byproducts"]] == ["Dockerfile:3", "Dockerfile:4"]
    assert "startedOn" not in run["metadata"]
    small.good("build", "-q", *options, str(directory))
    assert small.good("image", "referrers", "--format", "json", "--no-trunc", "proved:1") == listed
    (directory / "data").write_text("y")
    small.good("build", "-q", *options, str(directory))
    changed = json.loads(small.good("image", "referrers", "proved:1", _digest_of(small, "proved:1", "in-toto")))
    assert changed["predicate"]["buildDefinition"]["resolvedDependencies"][1] != context


def _digest_of(cli: Cli, image: str, kind: str) -> str:
    listed = cli.good("image", "referrers", "--format", "json", "--no-trunc", image)
    return next(row["Digest"] for row in map(json.loads, listed.splitlines()) if kind in row["ArtifactType"])


def test_what_is_attached_is_saved_and_loaded_with_the_image(small: Cli, tmp_path: Path) -> None:
    build(small, tmp_path / "c", "carried:1", "FROM busybox:test\nCOPY data /data\n", data="x")
    document = small.good("sbom", "--format", "spdx", "carried:1")
    small.good("sbom", "--format", "cyclonedx", "carried:1")
    archive, again = tmp_path / "a.tar", tmp_path / "b.tar"
    small.good("save", "-o", str(archive), "carried:1", "busybox:test")
    listed = small.good("image", "referrers", "--no-trunc", "carried:1")
    small.good("rmi", "carried:1")
    assert "carried:1" in small.good("load", "-i", str(archive))
    assert small.good("image", "referrers", "--no-trunc", "carried:1") == listed
    assert small.good("image", "referrers", "carried:1", _digest_of(small, "carried:1", "spdx")) == document
    assert len(small.good("image", "referrers", "busybox:test").splitlines()) == 1
    small.good("save", "-o", str(again), "carried:1", "busybox:test")
    assert again.read_bytes() == archive.read_bytes()
