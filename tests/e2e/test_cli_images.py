"""Images by the command line: build, import, load, save, list, remove."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

IMAGE = "busybox:test"


def context(directory: Path, dockerfile: str, **files: str) -> str:
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (directory / name).write_text(text)
    return str(directory)


def test_build_tells_steps_on_stderr_and_the_id_with_q_on_stdout(cli: Any, tmp_path: Path) -> None:
    where = context(
        tmp_path / "c", f"FROM {IMAGE}\nCOPY data /data\nRUN echo building >&2; cat /data\n", data="inside\n"
    )
    done = cli("build", "-t", "built:1", "-t", "built:2", where)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "#3 [3/3] RUN echo building >&2; cat /data" in done.stderr
    assert "inside" in done.stderr
    assert "built:1, built:2" in done.stderr
    again = cli("build", "-q", where)
    assert again.stderr == ""
    assert again.stdout.startswith("sha256:")
    assert again.stdout[7:19] in cli.good("images", "-q").split()
    assert cli.good("run", "--rm", "--network", "none", "built:1", "cat", "/data") == "inside"
    cached = cli("build", where).stderr
    assert cached.count("CACHED") == 3
    removed = cli.good("rmi", "built:1", "built:2").splitlines()
    assert removed[:2] == ["Untagged: built:1", "Untagged: built:2"]
    assert removed[-1].startswith("Deleted: sha256:")


def test_build_arguments_target_and_file(cli: Any, tmp_path: Path) -> None:
    where = context(tmp_path / "c", "FROM scratch\n")
    (tmp_path / "c" / "other").write_text(f"FROM {IMAGE} AS first\nARG A=1\nLABEL got=$A\nFROM first\nRUN false\n")
    done = cli(
        "build",
        "-f",
        f"{where}/other",
        "--target",
        "first",
        "--build-arg",
        "A=arg",
        "--label",
        "k=v",
        "-t",
        "t:a",
        where,
    )
    assert done.returncode == 0, done.stderr
    assert '"got": "arg"' in cli.good("inspect", "t:a")
    cli.good("rmi", "t:a")


def test_commands_have_what_the_options_say(cli: Any, tmp_path: Path) -> None:
    look = "FROM busybox:test\nRUN cat /etc/hosts /proc/self/mounts; ulimit -n; cat /proc/net/dev\n"
    place, file = context(tmp_path / "c", look), tmp_path / "id"
    options = ("--add-host", "away:192.0.2.7", "--shm-size", "1m", "--ulimit", "nofile=123", "--network=none", "--rm")
    done = cli("build", "--no-cache", *options, "--pull", "--iidfile", str(file), "--progress", "plain", place)
    assert done.returncode == 0, done.stderr
    for words in ("192.0.2.7 away", "size=1024k", " 123\n", "no registry is asked for newer base images yet"):
        assert words in done.stderr
    assert "eth0" not in done.stderr
    cli.good("rmi", file.read_text())
    for wrong in (("--memory", "1k"), ("--network", "nosuch"), ("--platform", "plan9/mips")):
        assert cli("build", *wrong, place).returncode != 0


@pytest.mark.parametrize(
    ("dockerfile", "code", "words"),
    [
        ("FROM busybox:test\nRUM x\n", 1, ["Dockerfile:2:1", "RUM x", "^", "did you mean RUN?"]),
        ("FROM busybox:test\nRUN echo last words; exit 3\n", 3, ["last words", "3"]),
        ("FROM busybox:test\nCOPY nothing /x\n", 1, ["nothing"]),
        ("FROM nosuchimage\n", 1, ["nosuchimage"]),
    ],
)
def test_a_build_that_fails_says_where_and_why(
    cli: Any, tmp_path: Path, dockerfile: str, code: int, words: list[str]
) -> None:
    done = cli("build", context(tmp_path / "c", dockerfile))
    assert done.returncode == code, "the failed command's own, as Docker's client"
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["none-such-dir"], "none-such-dir"),
        (["-f", "none-such-file", "."], "none-such-file"),
        (["http://127.0.0.1:1/Dockerfile"], "error downloading remote context http://127.0.0.1:1/Dockerfile"),
        (["-f", "/etc/passwd", "."], "outside the build context"),
    ],
)
def test_a_context_that_cannot_be_built(cli: Any, arguments: list[str], word: str) -> None:
    done = cli("build", *arguments)
    assert done.returncode == 1
    assert word in done.stderr


def test_a_context_from_standard_input(cli: Any) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        text = f"FROM {IMAGE}\nENV X=y\n".encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    done = cli("build", "-t", "piped", "-", stdin=made.getvalue())
    assert done.returncode == 0, done.stderr
    cli.good("rmi", "piped")
    done = cli("build", "-t", "piped", "-", stdin=text)  # a Dockerfile alone
    assert done.returncode == 0, done.stderr
    cli.good("rmi", "piped")


def test_a_dockerfile_from_standard_input_has_the_directory(cli: Any, tmp_path: Path) -> None:
    place = context(tmp_path, "FROM nowhere\n", **{"kept": "kept", "left": "left", ".dockerignore": "left\n"})
    text = f"FROM {IMAGE}\nCOPY . /all\nCMD ls -A /all\n"
    done = cli("build", "-t", "piped:2", "-f", "-", place, stdin=text.encode())
    assert done.returncode == 0, done.stderr
    assert cli.good("run", "--rm", "--network", "none", "piped:2").split() == [".dockerignore", "Dockerfile", "kept"]
    cli.good("rmi", "piped:2")
    for stdin, words, said in (
        (b"FROM busybox:test\nRUNN x\n", ("-f", "-", place), "RUNN"),
        (b"", ("-",), "standard input is empty"),
        (b"FROM busybox:test\n", ("-f", "Dockerfile", "-"), "-f names another one"),
        (b"FROM busybox:test\nRUNN x\n", ("-",), "did you mean RUN?"),
        (b"", ("-f", "-", "-"), "can't use stdin for both build context and dockerfile"),
        (b"", ("-f", "-", "https://127.0.0.1:1/x.git"), "fetch it, and build its directory"),
        (b"", ("-f", "-", f"{place}/nowhere"), "not found"),
    ):
        refused = cli("build", *words, stdin=stdin)
        assert refused.returncode == 1
        assert said in refused.stderr


def test_save_and_load_through_files_and_pipes(cli: Any, tmp_path: Path) -> None:
    cli.good("tag", IMAGE, "copy/of:it")
    archive = tmp_path / "saved.tar"
    cli.good("save", "-o", str(archive), "copy/of:it")
    piped = subprocess.run([*cli.command, "save", "copy/of:it"], capture_output=True, env=cli.environment, check=True)
    assert piped.stdout == archive.read_bytes()
    assert cli.good("rmi", "copy/of:it") == "Untagged: copy/of:it"
    assert "Loaded image: copy/of:it" in cli.good("load", "-i", str(archive)).splitlines()
    assert "Loaded image: copy/of:it" in cli.good("load", stdin=archive.read_bytes()).splitlines()
    cli.good("rmi", "copy/of:it")


def test_a_save_that_fails_leaves_no_file(cli: Any, tmp_path: Path) -> None:
    assert cli("save", "-o", str(tmp_path / "x.tar"), "nosuch").returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_refused(cli: Any) -> None:
    done = cli("load", stdin=b"no archive at all" * 1000)
    assert done.returncode == 1
    assert done.stderr.startswith("kist: ")


def test_import_prints_the_id_and_takes_changes(cli: Any, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    identity = cli.good(
        "import", "-c", "ENV A=b", "-c", 'CMD ["x"]', "-m", "a note", str(tmp_path / "t.tar"), "imported:it"
    )
    assert identity.startswith("sha256:")
    assert '"A=b"' in cli.good("inspect", "imported:it")
    assert "a note" in cli.good("history", "imported:it")
    cli.good("rmi", "imported:it")


def test_the_list_has_dockers_columns(cli: Any) -> None:
    header, *rows = cli.good("images").splitlines()
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    row = next(row for row in rows if row.startswith("busybox"))
    assert row.split()[:2] == ["busybox", "test"]
    assert " ago " in row
    assert row.endswith("B")
    assert cli.good("images", "busybox:no*").splitlines() == [cli.good("images", "none").splitlines()[0]]


def test_versions_and_info(cli: Any) -> None:
    text = cli.good("version")
    assert "Client:" in text
    assert "API version:" in text
    place = f"unix://{cli.directory}/run/engine.sock"
    assert f"Endpoint:     {place}" in text
    assert f"Context:        default ({place})\n" in cli.good("info")
    cli.good("context", "create", "mine")
    assert "Context:      mine" in cli.good("-c", "mine", "version")
    assert cli.good("-c", "mine", "version", "-f", "{{.Client.Context}}") == "mine"
    assert cli.good("context", "rm", "mine") == "mine"
    assert cli.good("--version").startswith("Kist version ")
    assert str(cli.directory / "data") in cli.good("info")
