"""Secrets of a build: where commands see them, and that nobody else does."""

import os
import subprocess
from pathlib import Path

import pytest

from harness import Cli
from kist.client.client import Client
from kist.errors import InvalidInput, NotFound
from kist.spec.build import BuildOptions, Secret

SECRET = "hush-2f9d41c7"
BASE = "FROM busybox:test\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (tmp_path / "token").write_text(SECRET)
    return made


def build(cli: Cli, context: Path, text: str, *options: str, environment: dict[str, str] | None = None) -> str:
    """What a build says; it must succeed."""
    done = started(cli, context, text, *options, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


def started(
    cli: Cli, context: Path, text: str, *options: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    (context / "Dockerfile").write_text(text)
    command = [*cli.command, "build", "--progress", "plain", *options, str(context)]
    given = {**cli.environment, **(environment or {})}
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


def test_a_secret_is_a_file_for_one_command(cli: Cli, context: Path) -> None:
    token = context.parent / "token"
    text = BASE + (
        "RUN --mount=type=secret,id=token cat /run/secrets/token | md5sum; ls -ln /run/secrets/token\n"
        "RUN ls /run/secrets/token || echo gone\n"
    )
    said = build(cli, context, text, "--no-cache", "--secret", f"id=token,src={token}", "-t", "with-secret")
    digest = subprocess.run(["md5sum", token], capture_output=True, text=True, check=True).stdout.split()[0]
    assert digest in said
    assert "-r--------    1 0        0" in said
    assert "gone" in said
    # The mount point has gone with the command, so that it has made no layer.
    history = cli.good("history", "--no-trunc", "with-secret")
    assert SECRET not in history


def test_a_secret_is_a_variable(cli: Cli, context: Path) -> None:
    text = BASE + "RUN --mount=type=secret,id=token,env=TOKEN,required echo ${#TOKEN}; ls /run/secrets || echo none\n"
    options = ("--no-cache", "--secret", "id=token,env=THE_TOKEN")
    said = build(cli, context, text, *options, environment={"THE_TOKEN": SECRET})
    assert f"{len(SECRET)}\n" in said
    assert "none" in said


def test_owner_mode_and_place_of_a_secret(cli: Cli, context: Path) -> None:
    token = context.parent / "token"
    text = BASE + "RUN --mount=type=secret,id=token,dst=/a/b/key,mode=0440,uid=0,gid=0 ls -ln /a/b/key; cat /a/b/key\n"
    said = build(cli, context, text, "--no-cache", "--secret", f"id=token,src={token}")
    assert "-r--r-----    1 0        0" in said
    assert SECRET in said  # the command printed it


def test_a_secret_that_is_not_required_may_lack(cli: Cli, context: Path) -> None:
    assert "lacks" in build(cli, context, BASE + "RUN --mount=type=secret,id=no ls /run/secrets/no || echo lacks\n")


def test_a_required_secret_that_is_not_given_ends_the_build_before_it_begins(cli: Cli, context: Path) -> None:
    done = started(cli, context, BASE + "RUN echo began\nRUN --mount=type=secret,id=key,required true\n")
    assert done.returncode != 0
    assert "Dockerfile:3: the secret key is required and was not given" in done.stderr
    assert "--secret id=key,src=FILE" in done.stderr
    assert "began" not in done.stderr.replace("echo began", "")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("id=a,src=/no/such/file", "no such file or directory"),
        ("id=a,env=NO_SUCH_VARIABLE", "the variable NO_SUCH_VARIABLE is not set"),
        ("src=/etc/passwd", "id is missing"),
        ("id=a,of=b", "unexpected 'of'"),
    ],
)
def test_a_secret_that_is_not_there_is_told_before_anything_is_sent(
    cli: Cli, context: Path, option: str, words: str
) -> None:
    done = started(cli, context, BASE, "--secret", option)
    assert done.returncode != 0
    assert words in done.stderr


def test_a_secret_is_in_no_file_of_the_engine(small: Cli, context: Path) -> None:
    """Neither while the command runs nor afterwards: not in plans, logs, records, the cache or the audit log."""
    token = context.parent / "token"
    waits = "while [ ! -e /seen/go ]; do usleep 10000; done"
    text = BASE + (
        f"RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN test -n $TOKEN; echo ready; {waits}\n"
    )
    (context / "Dockerfile").write_text(text.replace(waits, "cat /run/secrets/token >/dev/null; sleep 2"))
    command = [*small.command, "build", "--progress", "plain", "--secret", f"id=token,src={token}", str(context)]
    with subprocess.Popen(command, env=small.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith("ready\n"):
                break
        during = _files_with(small.directory, SECRET.encode())
        lines = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        process.stderr.read()
    assert process.returncode == 0
    assert during == [str(token)]
    assert SECRET not in lines
    assert _files_with(small.directory, SECRET.encode()) == [str(token)]


def _files_with(directory: Path, data: bytes) -> list[str]:
    found = []
    for above, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(above, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    if data in file.read():
                        found.append(path)
    return found


def test_the_library_gives_secrets(client: Client, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (context / "Dockerfile").write_text(BASE + "RUN --mount=type=secret,id=a,required --mount=type=secret,id=b,env=B "
                                        "test $(cat /run/secrets/a) = $B\n")  # fmt: skip
    monkeypatch.setenv("OURS", SECRET)
    secrets = (Secret("a", source=str(context.parent / "token")), Secret("b", env="OURS"))
    assert client.build(str(context), BuildOptions(secrets=secrets, no_cache=True)).id
    with pytest.raises(InvalidInput, match="the secret a is required"):
        client.build(str(context), BuildOptions(no_cache=True))
    with pytest.raises(NotFound, match="OURS_NOT"):
        client.build(str(context), BuildOptions(secrets=(Secret("a", env="OURS_NOT"),)))
