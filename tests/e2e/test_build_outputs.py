"""``kist build -o``: where a result goes."""

import io
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kist.client.client import Client
from kist.spec.build import BuildOptions, BuildOutput
from kist.spec.progress import Event

IMAGE = "busybox:test"
TREE = f"""FROM {IMAGE} AS made
RUN mkdir -p /t/deep && cd /t && echo one > file && cp file deep/twin && ln -s /etc/passwd link && ln -s .. deep/up \\
    && chmod 4711 file deep/twin && mkfifo pipe
FROM scratch
COPY --from=made /t /
"""


def context(directory: Path, dockerfile: str, **files: str) -> str:
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (directory / name).write_text(text)
    return str(directory)


@pytest.fixture
def tree(tmp_path: Path) -> str:
    return context(tmp_path / "context", TREE)


def images(cli: Any) -> set[str]:
    return set(cli.good("images", "-aq", "--no-trunc").split())


def test_a_directory_gets_the_files_and_they_are_the_callers(cli: Any, tree: str, tmp_path: Path) -> None:
    before = images(cli)
    out = tmp_path / "new" / "out"
    done = cli("build", "-o", str(out), tree)
    assert done.returncode == 0, done.stderr
    assert "exporting to client directory" in done.stderr
    assert sorted(os.listdir(out)) == ["deep", "file", "link", "pipe"]
    assert (out / "file").read_text() == "one\n"
    assert os.readlink(out / "link") == "/etc/passwd"
    assert stat.S_ISFIFO((out / "pipe").stat().st_mode)
    assert stat.S_IMODE((out / "file").stat().st_mode) == 0o711, "a file with set-id bits would be a way to the caller"
    assert {(entry.lstat().st_uid, entry.lstat().st_gid) for entry in out.rglob("*")} == {(os.geteuid(), os.getegid())}
    assert images(cli) == before, "no image is kept where none was asked for"


def test_what_is_in_the_directory_stays_or_is_replaced(cli: Any, tree: str, tmp_path: Path) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir()
    (victim / "twin").write_text("precious")
    (out / "file").mkdir(parents=True)
    (out / "file" / "inner").write_text("in the way")
    (out / "kept").write_text("kept")
    (out / "deep").symlink_to(victim)
    (out / "link").write_text("a file where a link comes")
    cli.good("build", "-q", "-o", str(out), tree)
    assert (out / "kept").read_text() == "kept"
    assert (out / "file").read_text() == "one\n"
    assert (out / "link").is_symlink()
    assert not (out / "deep").is_symlink(), "a link in the way is replaced, not followed"
    assert [(entry.name, entry.read_text()) for entry in victim.iterdir()] == [("twin", "precious")]


def test_a_tar_goes_to_standard_output_and_nothing_else_does(cli: Any, tree: str) -> None:
    done = cli("build", "-q", "-o", "-", tree)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout.encode("utf-8", "surrogateescape"))) as archive:
        assert archive.getnames() == ["deep", "deep/twin", "deep/up", "file", "link", "pipe"]
        assert archive.getmember("deep/twin").mode == 0o4711
        assert archive.getmember("link").linkname == "/etc/passwd"


def test_hard_links_stay(cli: Any, tmp_path: Path) -> None:
    where = context(tmp_path / "context", f"FROM {IMAGE}\nRUN mkdir /t && echo one > /t/a && ln /t/a /t/b\n")
    cli.good("build", "-q", "-o", str(tmp_path / "out"), where)
    assert (tmp_path / "out/t/a").stat().st_ino == (tmp_path / "out/t/b").stat().st_ino
    assert (tmp_path / "out/bin/ls").stat().st_nlink > 100


def test_several_outputs_are_the_same_result(cli: Any, tree: str, tmp_path: Path) -> None:
    archive, layout, meta = tmp_path / "a.tar", tmp_path / "layout", tmp_path / "m.json"
    outputs = ["-o", f"type=docker,dest={archive}", "-o", f"type=oci,dest={layout},tar=false,name=other:3"]
    done = cli("build", *outputs, "-o", f"type=tar,dest={tmp_path}/t.tar", "-t", "sent:1", "--annotation", "k=v",
               "--metadata-file", str(meta), "--iidfile", str(tmp_path / "iid"), tree)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(meta.read_text())
    assert told["containerimage.config.digest"] == (tmp_path / "iid").read_text()
    assert told["containerimage.digest"] == told["containerimage.descriptor"]["digest"]
    index = json.loads((layout / "index.json").read_text())
    assert [each["digest"] for each in index["manifests"]] == [told["containerimage.digest"]]
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/other:3"
    manifest = json.loads((layout / "blobs/sha256" / told["containerimage.digest"].partition(":")[2]).read_text())
    assert manifest["annotations"] == {"k": "v"}
    with tarfile.open(tmp_path / "t.tar") as files:
        assert "file" in files.getnames()
    assert "sent" not in cli.good("images")
    assert "sent:1" in cli.good("load", "-i", str(archive))
    assert cli.good("image", "inspect", "-f", "{{.Id}}", "sent:1") == told["containerimage.config.digest"]
    cli.good("rmi", "sent:1")


def test_an_image_beside_other_outputs_is_kept(cli: Any, tree: str, tmp_path: Path) -> None:
    cli.good("build", "-q", "-t", "kept:1", "-o", "type=image", "-o", str(tmp_path / "out"), tree)
    cli.good("build", "-q", "-t", "kept:1", "-o", "type=image,name=kept:2", tree)
    assert (tmp_path / "out/file").exists()
    cli.good("rmi", "kept:1", "kept:2")


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("type=tar,dest={0}/no/file.tar", "directory '{0}/no' does not exist"),
        ("type=tar,dest={0}", "destination file required, got directory"),
        ("{0}/file", "destination directory '{0}/file' is a file"),
        ("type=image,push=true", "images cannot be pushed to a registry yet"),
        ("type=zip,dest=x", "no output of type 'zip'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(
    cli: Any, tree: str, tmp_path: Path, output: str, why: str
) -> None:
    (tmp_path / "file").write_text("")
    done = cli("build", "-o", output.format(tmp_path), tree)
    assert done.returncode != 0
    assert why.format(tmp_path) in done.stderr
    assert "#1" not in done.stderr


def test_an_output_that_cannot_be_written_ends_the_build(cli: Any, tree: str, tmp_path: Path) -> None:
    done = cli("build", "-o", "type=tar,dest=/dev/full", tree)
    assert done.returncode == 1
    assert "the output '/dev/full' cannot be written: no space left on device" in done.stderr
    cli.good("build", "-q", "-o", str(tmp_path / "out"), tree)


def test_annotations_of_an_index_are_refused(cli: Any, tree: str) -> None:
    done = cli("build", "--annotation", "index:a=b", tree)
    assert done.returncode == 125
    assert "not an image index" in done.stderr


def test_squash_makes_one_layer_above_the_base(cli: Any, tmp_path: Path) -> None:
    steps = "RUN echo a > /a; echo b > /b; rm /etc/group; chmod 700 /home\nRUN rm /a; echo c > /b; ln /b /c\n"
    where = context(tmp_path / "context", f"FROM {IMAGE}\n{steps}")
    cli.good("build", "-q", "-t", "whole:1", where)
    cli.good("build", "-q", "--squash", "-t", "squashed:1", where)
    layers = {
        name: json.loads(cli.good("image", "inspect", "-f", "{{json .RootFS.Layers}}", name))
        for name in (IMAGE, "whole:1", "squashed:1")
    }
    assert len(layers["whole:1"]) == 3
    assert layers["squashed:1"][:1] == layers[IMAGE]
    assert len(layers["squashed:1"]) == 2
    look = "find / -xdev ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' | sort; cat /b; stat -c '%a %h' /home /b"
    seen = [cli.good("run", "--rm", "--network", "none", name, "sh", "-c", look) for name in ("whole:1", "squashed:1")]
    assert seen[0] == seen[1]
    assert "/etc/group" not in seen[0].split()
    assert "kist build --squash" in cli.good("history", "squashed:1")
    cli.good("rmi", "whole:1", "squashed:1")


def test_rawjson_is_one_object_a_line(cli: Any, tmp_path: Path) -> None:
    where = context(tmp_path / "context", f"FROM {IMAGE}\nARG x=1\nRUN echo told; echo warned >&2\n")
    done = cli("build", "--no-cache", "--progress", "rawjson", "-o", "type=cacheonly", where)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    vertexes = {vertex["digest"]: vertex for line in lines for vertex in line.get("vertexes", ())}
    assert all(vertex["started"] <= vertex["completed"] for vertex in vertexes.values())
    run = next(digest for digest, vertex in vertexes.items() if "RUN" in vertex["name"])
    logs = [log for line in lines for log in line.get("logs", ()) if log["vertex"] == run]
    assert {(log["stream"], log["data"]) for log in logs} == {(1, "dG9sZAo="), (2, "d2FybmVkCg==")}


def test_the_library_writes_outputs(client: Client, tree: str, tmp_path: Path) -> None:
    told: list[Event] = []
    outputs = (BuildOutput("local", str(tmp_path / "out")), BuildOutput("tar", str(tmp_path / "t.tar")))
    image = client.build(tree, BuildOptions(outputs=outputs), progress=told.append)
    assert image.references == ()
    assert (tmp_path / "out/file").read_text() == "one\n"
    assert tarfile.is_tarfile(tmp_path / "t.tar")


@pytest.mark.parametrize(
    ("attributes", "kinds"),
    [
        ("compression=zstd", ["tar", "tar+zstd"]),
        ("compression=gzip,compression-level=9", ["tar", "tar+gzip"]),
        ("compression=zstd,force-compression=true", ["tar+zstd", "tar+zstd"]),
        ("compression=uncompressed", ["tar", "tar"]),
    ],
)
def test_layers_are_compressed_and_those_of_the_base_when_forced(
    cli: Any, tmp_path: Path, attributes: str, kinds: list[str]
) -> None:
    made = context(tmp_path / "c", f"FROM {IMAGE}\nRUN echo {attributes} > /out\n")
    archives = [tmp_path / name for name in ("one.tar", "two.tar")]
    for archive in archives:
        told = f"type=oci,dest={archive},name=packed:1,annotation.Of=me,annotation-manifest-descriptor.Its=own"
        done = cli("build", "-o", f"{told},{attributes}", "-o", "type=image", "-q", made)
        assert done.returncode == 0, done.stderr
    assert archives[0].read_bytes() == archives[1].read_bytes(), "the same comes of the same"
    with tarfile.open(archives[0]) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        (described,) = index["manifests"]
        path = described["digest"].replace(":", "/")
        manifest = json.load(tar.extractfile(f"blobs/{path}"))  # type: ignore[arg-type]
        config = manifest["config"]["digest"]
    assert described["annotations"]["Its"] == "own"
    assert manifest["annotations"] == {"Of": "me"}
    assert [layer["mediaType"].rpartition(".v1.")[2] for layer in manifest["layers"]] == kinds
    cli.good("load", "-i", str(archives[0]))
    assert cli.good("image", "inspect", "--format", "{{.Id}}", "packed:1") == config, "it is the same image"
    assert cli.good("run", "--rm", "--network", "none", "packed:1", "cat", "/out") == attributes
    cli.good("rmi", "packed:1")
