"""ssh agents of the client's for commands of a build."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from building import SSH_ADD, a_key, an_agent, needs_agent, put_ssh_add
from harness import Cli, runs_of, until

CLIENT = "--mount=target=/ctx --mount=type=ssh"

pytestmark = needs_agent


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return a_key(tmp_path)


@pytest.fixture
def agent(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with an_agent(tmp_path_factory.mktemp("a"), key) as path:
        yield path


def build(cli: Cli, context: Path, text: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    directory = context / "context"
    put_ssh_add(directory)
    (directory / "Dockerfile").write_text(f"FROM busybox:test\n{text}")
    command = [*cli.command, "build", "--no-cache", "--progress", "plain", *options, str(directory)]
    given = {**cli.environment, **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_has_the_callers_agent(cli: Cli, tmp_path: Path, agent: str) -> None:
    text = (
        f"RUN {CLIENT} echo $SSH_AUTH_SOCK && stat -c %a $SSH_AUTH_SOCK && {SSH_ADD} -l && {SSH_ADD} -l\n"
        f"RUN {CLIENT},target=/x/agent,mode=0666 echo $SSH_AUTH_SOCK && {SSH_ADD} -l\n"
        "RUN ls /run/buildkit /x || echo gone ${SSH_AUTH_SOCK:-unset}\n"
    )
    done = build(cli, tmp_path, text, "--ssh", "default", SSH_AUTH_SOCK=agent)
    assert done.returncode == 0, done.stderr
    assert "/run/buildkit/ssh_agent.0\n" in done.stderr
    assert " 600\n" in done.stderr
    assert "/x/agent\n" in done.stderr
    assert done.stderr.count(" of-the-test (ED25519)\n") == 3
    assert "gone unset" in done.stderr


def test_an_agent_by_its_socket_is_asked_and_not_changed(cli: Cli, tmp_path: Path, agent: str) -> None:
    text = f"RUN {CLIENT},id=mine {SSH_ADD} -D || echo refused; {SSH_ADD} -l\n"
    done = build(cli, tmp_path, text, "--ssh", f"mine={agent}")
    assert done.returncode == 0, done.stderr
    assert "refused\n" in done.stderr
    assert " of-the-test (ED25519)\n" in done.stderr


def test_a_key_has_an_agent_of_its_own_which_ends_with_the_build(
    cli: Cli, tmp_path: Path, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("k")  # of the agent's socket, whose path must be short
    text = f"RUN {CLIENT},required {SSH_ADD} -l\n"
    done = build(cli, tmp_path, text, "--ssh", f"default={key}", TMPDIR=str(place))
    assert done.returncode == 0, done.stderr
    assert " of-the-test (ED25519)\n" in done.stderr
    assert list(place.iterdir()) == []
    # It is told to end, and does so a moment later.
    until(lambda: runs_of(str(key)) == [])


def test_what_cannot_be_an_agent_is_told_before_the_build(cli: Cli, tmp_path: Path) -> None:
    protected = tmp_path / "protected"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "word", "-f", protected], check=True)
    for options, environment, words in (
        (["default"], {"SSH_AUTH_SOCK": ""}, "SSH_AUTH_SOCK is not set"),
        (["default"], {"SSH_AUTH_SOCK": str(tmp_path / "gone")}, "does not answer"),
        ([f"a={tmp_path}/none"], {}, "there is no key or socket"),
        ([f"a={protected}"], {}, "the key cannot be used"),
    ):
        done = build(cli, tmp_path, "RUN echo began\n", "--ssh", *options, **environment)
        assert done.returncode != 0
        assert words in done.stderr
        assert "#" not in done.stderr.partition("began")[0]


def test_a_required_agent_that_is_not_given_ends_the_build(cli: Cli, tmp_path: Path) -> None:
    done = build(cli, tmp_path, "RUN --mount=type=ssh,id=git,required true\n")
    assert done.returncode != 0
    assert "Dockerfile:2: the ssh agent git is required and was not given" in done.stderr
    assert "--ssh git" in done.stderr


def test_an_agent_that_goes_during_the_build_is_told(cli: Cli, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    directory = tmp_path / "context"
    put_ssh_add(directory)
    text = (
        f"FROM busybox:test\nRUN {CLIENT} echo ready; while {SSH_ADD} -l; [ $? -lt 2 ]; do usleep 10000; done; true\n"
    )
    (directory / "Dockerfile").write_text(text)
    command = [*cli.command, "build", "--progress", "plain", "--no-cache", "--ssh", f"default={path}", str(directory)]
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with subprocess.Popen(command, env=cli.environment, stderr=subprocess.PIPE, text=True) as building:
            assert building.stderr is not None
            said = ""
            for line in building.stderr:
                said += line
                if line.endswith(" ready\n") and "echo" not in line:
                    process.terminate()
        process.terminate()  # also where the build has failed before
    assert "the ssh agent default cannot be reached" in said, said
