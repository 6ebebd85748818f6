"""Builds for other machines: which base is taken, what runs there, and what stands in the way where nothing does."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kist.spec.elf import header
from kist.spec.platform import Platform
from ordinary import KIST
from rootless_user import User

IMAGE = "busybox:test"
ARM64 = "linux/arm64"
PROGRAM = (header(Platform("arm64")) or b"") + bytes(100)
_MASK = "ffffffffffffff00fffffffffffffffffeffffff"
FOREIGN = 'FROM scratch\nCOPY prog /prog\nENV LINE=$TARGETARCH\nRUN ["/prog", "of arm64"]\n'


@pytest.fixture
def where(tmp_path: Path) -> Path:
    (tmp_path / "prog").write_bytes(PROGRAM)
    (tmp_path / "prog").chmod(0o755)
    return tmp_path


def test_a_stage_without_commands_needs_no_emulator(cli: Any, where: Path) -> None:
    (where / "Dockerfile").write_text(
        f"FROM --platform=$BUILDPLATFORM {IMAGE} AS build\nARG TARGETARCH\nRUN echo for $TARGETARCH > /out\n"
        "FROM scratch\nCOPY --from=build /out /\nCOPY prog /\n"
    )
    image = cli.good("build", "-q", "--platform", ARM64, "-o", f"{where}/out", "-o", "type=image", str(where))
    assert (where / "out/out").read_text() == "for arm64\n"
    assert cli.good("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image) == ARM64


def test_a_command_without_an_emulator_is_told_before_anything_is_done(cli: Any, where: Path) -> None:
    (where / "Dockerfile").write_text(FOREIGN)
    done = cli("build", "--platform", "linux/mips64le", str(where))
    assert done.returncode == 1
    assert "Dockerfile:4" in done.stderr
    assert "RUN needs to run programs of linux/mips64le, and this machine cannot" in done.stderr
    assert "FROM --platform=$BUILDPLATFORM" in done.stderr
    assert "#1" not in done.stderr, "a step was begun"


BOTH = f"linux/amd64,{ARM64}"
EACH = (
    f"FROM --platform=$BUILDPLATFORM {IMAGE} AS build\nARG TARGETARCH\nRUN echo for $TARGETARCH > /out\n"
    "FROM scratch\nCOPY --from=build /out /\n"
)


def read_index(archive: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """An archive's index, the index that it names, and the manifests of that by architecture."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> Any:
            member = tar.extractfile(name)
            assert member is not None
            return json.load(member)

        def blob(descriptor: dict[str, Any]) -> Any:
            return read(f"blobs/{descriptor['digest'].replace(':', '/')}")

        index = read("index.json")
        nested = blob(index["manifests"][0])
        manifests = {each["platform"]["architecture"]: blob(each) for each in nested["manifests"]}
    return index, nested, manifests


def test_several_platforms_are_one_index(cli: Any, where: Path) -> None:
    (where / "Dockerfile").write_text(EACH)
    archive, files = where / "both.tar", where / "files"
    notes = "annotation.a=all,annotation[linux/arm64].b=arm,annotation-index.c=i,annotation-manifest-descriptor.d=e"
    done = cli(
        "build", "--progress", "plain", "--platform", BOTH, "-t", "both:1", "-o", f"type=oci,dest={archive},{notes}",
        "-o", str(files), "-o", "type=image", "--metadata-file", f"{where}/told", str(where),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[linux/arm64] RUN echo" in done.stderr
    assert [(files / f"linux_{name}/out").read_text() for name in ("amd64", "arm64")] == ["for amd64\n", "for arm64\n"]
    index, nested, manifests = read_index(archive)
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/both:1"
    assert nested["annotations"] == {"c": "i"}
    assert all(each["annotations"] == {"d": "e"} for each in nested["manifests"])
    assert manifests["amd64"]["annotations"] == {"a": "all"}
    assert manifests["arm64"]["annotations"] == {"a": "all", "b": "arm"}
    assert json.loads((where / "told").read_text())["containerimage.digest"] == index["manifests"][0]["digest"]
    cli.good("rmi", "both:1")


def test_each_platform_of_a_name_is_found(cli: Any, where: Path) -> None:
    """Of a build that was kept, and of archives: FROM finds each, prune leaves them alone, and rmi lets them go."""
    (where / "Dockerfile").write_text(EACH)
    archive = where / "pair.tar"
    cli.good(
        "build",
        "-q",
        "--platform",
        BOTH,
        "-t",
        "pair:1",
        "-o",
        f"type=oci,dest={archive}",
        "-o",
        "type=image",
        str(where),
    )
    again = where / "again"
    again.mkdir()
    (again / "Dockerfile").write_text("FROM pair:1\nCOPY Dockerfile /\n")

    def hold() -> None:
        cli.good("image", "prune", "-f")
        for name in ("amd64", "arm64"):
            out = where / f"out-{name}"
            cli.good("build", "-q", "--no-lock", "--platform", f"linux/{name}", "-o", str(out), str(again))
            assert (out / "out").read_text() == f"for {name}\n"

    hold()
    assert cli.good("image", "inspect", "--platform", ARM64, "--format", "{{.Architecture}}", "pair:1") == "arm64"
    assert "is for linux/arm64, this machine is" in cli("run", "--rm", "--platform", ARM64, "pair:1", "/out").stderr
    cli.good("rmi", "pair:1")
    cli.good("image", "prune", "-f")
    assert "No such image: pair:1" in cli("build", "-q", "--no-lock", str(again)).stderr
    cli.good("load", "-i", str(archive), "--platform", "linux/amd64", "--platform", ARM64)
    hold()
    saved, of_one = where / "saved.tar", where / "one.tar"
    cli.good("save", "-o", str(saved), "pair:1")
    cli.good("save", "--platform", ARM64, "-o", str(of_one), "pair:1")
    index, nested, manifests = read_index(saved)
    assert [each["mediaType"] for each in index["manifests"]] == ["application/vnd.oci.image.index.v1+json"]
    assert len(nested["manifests"]) == 2
    with tarfile.open(saved) as tar, tarfile.open(of_one) as one:
        [listed] = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        [alone] = json.load(one.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert listed["Config"].endswith(manifests["amd64"]["config"]["digest"].partition(":")[2])
    assert alone["Config"].endswith(manifests["arm64"]["config"]["digest"].partition(":")[2])
    assert listed["RepoTags"] == alone["RepoTags"] == ["pair:1"]
    missing = cli("save", "--platform", "linux/s390x", "-o", str(of_one), "pair:1")
    assert "does not provide the specified platform (linux/s390x)" in missing.stderr
    cli.good("rmi", "pair:1")
    cli.good("image", "prune", "-f")
    assert cli.good("load", "-i", str(saved)) == "Loaded image: pair:1"
    hold()
    (again / "Dockerfile").write_text("FROM --platform=linux/s390x pair:1\n")
    assert "wanted linux/s390x" in cli("build", str(again)).stderr
    layout = where / "layout"
    layout.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", layout], check=True)
    (again / "Dockerfile").write_text("FROM base\nCOPY Dockerfile /\n")
    cli.good(
        "build",
        "-q",
        "--platform",
        ARM64,
        "--build-context",
        f"base=oci-layout://{layout}",
        "-o",
        f"{where}/of",
        str(again),
    )
    assert (where / "of/out").read_text() == "for arm64\n"
    cli.good("rmi", "pair:1")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--platform", BOTH, "-o", "type=docker,dest=-"), "type=oci writes an index"),
        (("--platform", BOTH, "-o", "type=local,dest={0}/x,platform-split=false"), "files of several platforms"),
        (("--platform", BOTH, "--verify"), "verify each platform"),
        (("-o", "type=oci,dest={0}/x,annotation-index.a=b"), "there is no index to annotate"),
        (("-o", "type=oci,dest={0}/x,annotation[linux/arm64].a=b"), "there is no choice of platforms"),
    ],
)
def test_what_there_cannot_be_of_several(cli: Any, where: Path, options: tuple[str, ...], why: str) -> None:
    (where / "Dockerfile").write_text(EACH)
    done = cli("build", *(option.format(where) for option in options), str(where))
    assert done.returncode == 1
    assert why in done.stderr
    assert "#1" not in done.stderr


@pytest.mark.root("makes a user namespace of all ids, and an ordinary user")
@pytest.mark.parametrize("user", ["range"], indirect=True)
def test_a_command_runs_by_an_emulator(user: User, tmp_path: Path) -> None:
    """The emulator is busybox by the name of echo: it prints what it was to run."""
    program = shutil.which("busybox", path="/bin:/usr/bin")
    assert program is not None
    emulator = shutil.copy(program, tmp_path / "echo")
    context = user.who.home / "foreign"
    context.mkdir()
    (context / "prog").write_bytes(PROGRAM)
    (context / "prog").chmod(0o755)
    (context / "Dockerfile").write_text(FOREIGN)

    def there(*arguments: str) -> subprocess.CompletedProcess[str]:
        digits = [PROGRAM[:20].hex(), _MASK]
        emulated = [sys.executable, str(Path(__file__).parents[1] / "emulated.py"), "kist-arm64", *digits, emulator]
        roots = {"KIST_RUN": str(user.who.home / "run"), "KIST_ROOT": str(user.who.home / "data")}
        return subprocess.run(
            [*emulated, *user.who.command, *KIST, *arguments],
            env=user.who.environment | roots, capture_output=True, text=True, timeout=60, check=False, cwd="/",
        )  # fmt: skip

    done = there(
        "build", "--progress", "plain", "--network", "none", "--platform", ARM64, "-t", "foreign", str(context)
    )
    ran = there("run", "--rm", "--network", "none", "foreign", "/prog", "again")
    there("engine", "stop")
    assert done.returncode == 0, done
    assert "/prog of arm64" in done.stderr
    assert ran.stdout == "/prog again\n"
