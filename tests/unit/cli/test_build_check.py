"""``kist build --check`` as a program: no engine, its words, its exit codes."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

import kist
from kist.errors import NotFound, ParseError


def checked(
    tmp_path: Path, *arguments: str, text: str = "", stream: BinaryIO | None = None
) -> subprocess.CompletedProcess[str]:
    """The command with roots of its own, in which nothing may appear."""
    roots = {"KIST_ROOT": str(tmp_path / "root"), "KIST_RUN": str(tmp_path / "run")}
    environment = {**os.environ, **roots, "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
    done = subprocess.run(
        [sys.executable, "-m", "kist.cli", "build", "--check", *arguments],
        input=None if stream else text, stdin=stream, capture_output=True, text=True, env=environment, timeout=60,
        check=False,
    )  # fmt: skip
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "run").exists()
    return done


def checked_bytes(tmp_path: Path, data: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same with bytes on standard input."""
    file = tmp_path / "input"
    file.write_bytes(data)
    with file.open("rb") as stream:
        return checked(tmp_path, *arguments, stream=stream)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    path = tmp_path / "context"
    path.mkdir()
    return path


def test_what_is_found_is_shown_with_its_place(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nENV A=b \\\n\tTOKEN=\x1b[31m\n")
    done = checked(tmp_path, str(context))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (
        "WARNING: SecretsUsedInArgOrEnv\n"
        'Do not use ARG or ENV instructions for sensitive data (ENV "TOKEN")\n'
        "Dockerfile:3\n"
        " 2 | ENV A=b \\\n"
        " 3 |  TOKEN=\ufffd[31m\n"
        "   |  ^\n"
        "\n"
        "Check complete, 1 warning has been found!\n"
    )


@pytest.mark.parametrize("form", ["tar", "gz", "xz", "zst"])
def test_an_archive_is_a_context(tmp_path: Path, form: str) -> None:
    texts = {
        "./docker/Dockerfile": b"FROM scratch AS Build\nCOPY secret /\n",
        "docker/Dockerfile.dockerignore": b"secret\n",
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w" if form == "zst" else f"w:{form.removeprefix('tar')}") as archive:
        for name, text in {"large": bytes(100_000), **texts}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    data = zstandard.compress(made.getvalue()) if form == "zst" else made.getvalue()
    done = checked_bytes(tmp_path, data, "-", "-f", "docker/Dockerfile")
    assert done.returncode == 1, done
    assert "StageNameCasing" in done.stdout
    assert "CopyIgnoredFile" in done.stdout
    missing = checked_bytes(tmp_path, data, "-")
    assert "Dockerfile" in missing.stderr
    assert "not found" in missing.stderr


def test_names_of_contexts_are_no_images(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM files\nENV A=$NOT\nFROM base\nFROM pinned\nFROM other\n")
    given = {"files": str(context), "base": "docker-image://debian:12", "pinned": "docker-image://scratch"}
    options = [word for name, value in given.items() for word in ("--build-context", f"{name}={value}")]
    done = checked(tmp_path, *options, "--format", "json", str(context))
    found = [
        (each["ruleName"], each["location"]["ranges"][0]["start"]["line"])
        for each in json.loads(done.stdout)["warnings"]
    ]
    assert ("UnpinnedBaseImage", 1) not in found, "it is a directory"
    assert ("UndefinedVar", 2) in found, "a directory has no variables, so all are known"
    assert ("UnpinnedBaseImage", 3) in found
    assert ("UnpinnedBaseImage", 4) not in found
    assert ("UnpinnedBaseImage", 5) in found


def test_nothing_found_is_told_so(tmp_path: Path) -> None:
    done = checked(tmp_path, "-", text='FROM scratch\nCMD ["a"]\n')
    assert (done.returncode, done.stdout) == (0, "Check complete, no warnings found.\n")


def test_what_is_not_checked_is_told(tmp_path: Path, context: Path) -> None:
    done = checked(tmp_path, "-f", "-", str(context), text="# check=skip=UnpinnedBaseImage\nFROM x\nCOPY $a .\n")
    assert done.returncode == 0
    assert "not checked: $a on line 3: which variables x has is not known here\n" in done.stdout


def test_ignored_files_and_locks_of_the_directory_count(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM debian:12\nCOPY a.log /\n")
    (context / "Dockerfile.dockerignore").write_text("*.log\n")
    digest = f"sha256:{'a' * 64}"
    (context / "kist.lock").write_text(
        f'version = 1\n[[image]]\nname = "debian:12"\nplatform = "linux/amd64"\ndigest = "{digest}"\nid = "{digest}"\n'
    )
    assert [each.rule for each in kist.check(str(context)).findings] == ["CopyIgnoredFile"]
    done = checked(tmp_path, "--format", "json", str(context))
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["warnings"] == [
        {
            "ruleName": "CopyIgnoredFile",
            "description": "Attempting to Copy file that is excluded by .dockerignore",
            "detail": 'Attempting to Copy file "a.log" that is excluded by .dockerignore',
            "location": {"ranges": [{"start": {"line": 2, "character": 5}, "end": {"line": 2}}]},
        }
    ]
    assert told["sources"][0]["filename"] == "Dockerfile"


def test_a_file_that_cannot_be_read_is_pointed_at(tmp_path: Path) -> None:
    done = checked(tmp_path, "-", text="FROM scratch\nCOPPY a b\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Dockerfile:2:1: unknown instruction: COPPY" in done.stderr
    told = json.loads(checked(tmp_path, "--format=json", "-", text="FROM scratch\nCOPPY a b\n").stdout)
    assert told["buildError"]["message"] == "unknown instruction: COPPY"
    assert told["buildError"]["location"]["ranges"][0]["start"] == {"line": 2, "character": 0}


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        (["https://example.org/x.git", "-f", "-"], "", "the context is a URL"),
        (["-"], "a\0b", "the archive on standard input cannot be read"),
        (["-", "--target", "x"], "FROM scratch", 'target stage "x" could not be found'),
        (["/nowhere/at/all"], "", "not found"),
    ],
)
def test_what_cannot_be_checked_is_refused(tmp_path: Path, arguments: list[str], text: str, words: str) -> None:
    done = checked(tmp_path, *arguments, text=text)
    assert done.returncode == 1
    assert words in done.stderr


def test_the_library_raises_as_a_build_does(context: Path) -> None:
    with pytest.raises(NotFound, match="Dockerfile"):
        kist.check(str(context))
    (context / "Containerfile").write_text("FROM scratch\nENV\n")
    with pytest.raises(ParseError):
        kist.check(str(context))
