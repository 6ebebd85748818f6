"""``kist build --build-context``: what stands for a name of FROM and ``--from``."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kist.client.client import Client
from kist.errors import InvalidInput
from kist.spec.build import BuildOptions
from kist.spec.container import ContainerOptions

IMAGE = "busybox:test"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    for name in ("main", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other/file").write_text("of the other\n")
    (tmp_path / "other/secret").write_text("not for you\n")
    (tmp_path / "other/.dockerignore").write_text("secret\n")
    return tmp_path


def build(cli: Any, where: Path, text: str, *options: str, tag: str = "") -> str:
    (where / "main/Dockerfile").write_text(text)
    return str(cli.good("build", "-q", *(("-t", tag) if tag else ()), *options, str(where / "main")))


def seen(cli: Any, image: str, script: str) -> list[str]:
    return str(cli.good("run", "--rm", "--network", "none", image, "sh", "-c", script)).split("\n")


def test_files_of_a_directory(cli: Any, where: Path) -> None:
    context = ("--build-context", f"files={where}/other")
    text = (
        f"FROM {IMAGE}\nCOPY --from=files file /copied\n"
        "RUN --mount=from=files,target=/m cp /m/file /mounted && ls /m > /list\n"
    )
    image = build(cli, where, text, *context)
    assert seen(cli, image, "cat /copied /mounted; cat /list") == ["of the other", "of the other", "file"]
    assert build(cli, where, text, *context) == image, "from the cache"
    (where / "other/file").write_text("another\n")
    assert seen(cli, build(cli, where, text, *context), "cat /copied /mounted") == ["another", "another"]


def test_a_directory_is_a_base(cli: Any, where: Path) -> None:
    text = "FROM files\nENV a=b\nCOPY Dockerfile /d\n"
    image = build(cli, where, text, "--build-context", f"files={where}/other", "-o", f"{where}/out", "-o", "type=image")
    assert sorted(path.name for path in (where / "out").iterdir()) == [".dockerignore", "d", "file"]
    config = json.loads(cli.good("image", "inspect", image))[0]
    assert "a=b" in config["Config"]["Env"]


def test_an_image_stands_for_another(cli: Any, where: Path) -> None:
    text = "FROM alpine:3\nRUN echo x > /x\nFROM alpine:3\nCOPY --from=0 /x /y\n"
    text += "COPY --from=docker.io/library/alpine:3 /etc/group /g\n"
    image = build(cli, where, text, "--build-context", f"alpine:3=docker-image://{IMAGE}")
    assert seen(cli, image, "cat /y; test -s /g && echo group") == ["x", "group"]
    assert build(cli, where, "FROM empty\nLABEL a=b\n", "--build-context", "empty=docker-image://scratch")


def test_a_context_replaces_a_stage(cli: Any, where: Path) -> None:
    text = f"FROM {IMAGE} AS made\nRUN false\nFROM {IMAGE}\nCOPY --from=made /file /f\n"
    image = build(cli, where, text, "--build-context", f"made={where}/other")
    assert seen(cli, image, "cat /f") == ["of the other"]


def test_an_image_of_an_oci_layout(cli: Any, where: Path) -> None:
    layout = f"{where}/layout"
    build(cli, where, f"FROM {IMAGE}\nRUN echo laid > /out\n", "-o", f"type=oci,dest={layout},tar=false", tag="laid:2")
    digest = json.loads(Path(layout, "index.json").read_text())["manifests"][0]["digest"]
    for which in ("", ":2", f"@{digest}"):
        image = build(
            cli, where, "FROM base\nRUN cp /out /again\n", "--build-context", f"base=oci-layout://{layout}{which}"
        )
        assert seen(cli, image, "cat /again") == ["laid"]
    assert "laid" not in cli.good("images"), "what is in a layout gets no name here"
    done = cli("build", "--build-context", f"base=oci-layout://{layout}:3", str(where / "main"))
    assert done.returncode == 1
    assert "the build context base has no image 3" in done.stderr


def test_a_context_that_cannot_be_sent_whole_is_no_context(client: Client, where: Path) -> None:
    """What had been sent before was an archive, too."""
    (where / "main/Dockerfile").write_text("FROM scratch\nCOPY --from=files file /\n")
    options = BuildOptions(contexts={"files": str(where / "other")}, no_cache=True)
    (where / "other" / "/".join("z" * 260)).mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"the build context files: 'z/z/.* is nested deeper than 256 directories"):
        client.build(str(where / "main"), options)
    shutil.rmtree(where / "other/z")
    assert client.build(str(where / "main"), options).id


@pytest.mark.parametrize(
    ("context", "why"),
    [
        ("a=/nowhere/at/all", "the build context a: directory '/nowhere/at/all' not found"),
        ("a=oci-layout:///nowhere", "there is no OCI layout at '/nowhere'"),
        ("a=target:x", "is one of bake files"),
    ],
)
def test_what_is_no_context_is_refused(cli: Any, where: Path, context: str, why: str) -> None:
    (where / "main/Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    done = cli("build", "--build-context", context, str(where / "main"))
    assert done.returncode != 0
    assert why in done.stderr


def test_the_library_gives_directories(client: Client, where: Path) -> None:
    (where / "main/Dockerfile").write_text(f"FROM {IMAGE}\nCOPY --from=files file /copied\n")
    image = client.build(str(where / "main"), BuildOptions(contexts={"files": str(where / "other")}))
    options = ContainerOptions(image=str(image.id), network="none")
    assert client.run(image, ["cat", "/copied"], options=options).stdout == "of the other\n"
