"""The unmodified docker client does its everyday commands against the engine."""

import fcntl
import json
import os
import pty
import re
import struct
import termios

import pytest

from .conftest import IMAGE, Docker

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


def test_version_and_info_are_understood(docker: Docker):
    assert "Server: Kist" in docker.good("version")
    assert "Storage Driver: overlay" in docker.good("info")


def test_run_shows_output_and_takes_the_exit_code(docker: Docker):
    done = docker("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)


def test_run_feeds_standard_input(docker: Docker):
    assert docker("run", "--rm", "-i", IMAGE, "cat", stdin=b"x" * 300_000).stdout == b"x" * 300_000


def test_run_ends_although_its_input_goes_on(docker: Docker):
    done = docker("run", "--rm", "-i", IMAGE, "true", stdin=b"y\n" * 2_000_000)
    assert (done.returncode, done.stderr) == (0, b"")


def test_run_with_the_options_of_every_day(docker: Docker, tmp_path):
    (tmp_path / "file").write_text("mine")
    tmp_path.chmod(0o755)
    options = (
        "-w /data -u 1000:1000 --tmpfs /scratch -m 64m --cpus 0.5 --pids-limit 20 --cap-drop ALL --read-only --init"
    )
    script = "cat file; echo $A; id -u; pwd"
    output = docker.good(
        "run", "--rm", "-v", f"{tmp_path}:/data:ro", "-e", "A=1", *options.split(), "--network", "none",
        "--label", "a=b", "--hostname", "box", IMAGE, "sh", "-c", script,
    )  # fmt: skip
    assert output == "mine1\n1000\n/data\n"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [("nosuch", 127, b"executable file not found"), ("/bin", 126, b"is a directory")],
)
def test_a_command_that_cannot_run_has_dockers_exit_code(docker: Docker, command: str, code: int, words: bytes):
    done = docker("run", "--rm", IMAGE, command)
    assert words in done.stderr
    # Docker 20 does not know that a directory cannot be executed.
    assert done.returncode == code or (code == 126 and "/usr/bin/" in docker.program)


def test_an_image_that_is_not_here(docker: Docker):
    done = docker("run", "--rm", "nosuch:1", "true")
    assert b"no registry support yet" in done.stderr


def test_the_life_of_a_container(docker: Docker):
    container = docker.good("create", "--name", "life", IMAGE, "sh", "-c", "echo begun; sleep 1000").strip()
    try:
        assert docker.good("start", "life") == "life\n"
        assert docker.good("ps", "-q", "--no-trunc", "--filter", "name=life").strip() == container
        assert docker.good("inspect", "-f", "{{.State.Status}} {{.Name}}", "life") == "running /life\n"
        assert docker.good("exec", "life", "echo", "more") == "more\n"
        assert docker("exec", "life", "sh", "-c", "exit 7").returncode == 7
        assert docker("exec", "-i", "life", "cat", stdin=b"piped").stdout == b"piped"
        assert docker("exec", "life", "nosuch").returncode == 127
        assert docker.good("logs", "life") == "begun\n"
        assert b"is already in use" in docker("create", "--name", "life", IMAGE).stderr
        docker.good("kill", "life")
        assert docker.good("wait", "life") == "137\n"
        assert "Exited (137)" in docker.good("ps", "-a", "--filter", "name=life")
        docker.good("start", "life")
        docker.good("stop", "-t", "1", "life")
    finally:
        docker.good("rm", "-f", "life")
    assert b"No such container" in docker("logs", "life").stderr


def test_logs_are_followed_to_the_end(docker: Docker):
    docker.good("run", "-d", "--name", "talks", IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    try:
        assert docker.good("logs", "-f", "talks") == "1\n2\n3\n"
        assert docker.good("logs", "--tail", "1", "talks") == "3\n"
        stamped = docker.good("logs", "-t", "--tail", "1", "talks")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z 3\n", stamped)
    finally:
        docker.good("rm", "-f", "talks")


def test_images_are_listed_tagged_saved_and_loaded(docker: Docker):
    docker.good("tag", IMAGE, "other/name:1")
    assert "other/name" in docker.good("images")
    assert docker.good("inspect", "-f", "{{json .RepoTags}}", IMAGE).count("other/name:1") == 1
    assert "Imported" in docker.good("history", IMAGE)
    archive = docker(*("save", "other/name:1")).stdout
    assert docker.good("rmi", "other/name:1") == "Untagged: other/name:1\n"
    assert "Loaded image: other/name:1" in docker("load", stdin=archive).stdout.decode()
    docker.good("rmi", "other/name:1")


def test_a_dockerfile_is_built(docker: Docker, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        f"FROM {IMAGE}\nARG WORD\nCOPY file /file\nRUN echo $WORD >> /file\nCMD cat /file\n"
    )
    (tmp_path / "file").write_text("copied\n")
    output = docker.good("build", "--build-arg", "WORD=built", "-t", "built:1", "--label", "a=b", str(tmp_path))
    assert "Step 3/5" in output
    assert "Successfully tagged built:1" in output
    assert docker.good("run", "--rm", "built:1") == "copied\nbuilt\n"
    assert docker.good("build", "-q", "--build-arg", "WORD=built", "-t", "built:1", str(tmp_path)).startswith("sha256:")
    docker.good("rmi", "built:1")


def test_a_build_that_fails_says_where(docker: Docker, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN exit 5\n")
    failed = docker("build", str(tmp_path))
    assert failed.returncode == 5
    assert b"exit 5" in failed.stderr
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUNN true\n")
    assert b"Dockerfile:2:1: unknown instruction" in docker("build", str(tmp_path)).stderr


def test_commands_that_wait_for_later_issues_say_so(docker: Docker):
    assert docker.good("plugin", "ls").splitlines()[1:] == []
    assert b'plugin "nosuch" not found' in docker("plugin", "disable", "nosuch").stderr
    assert b"cannot search for 'debian': there is no registry support yet" in docker("search", "debian").stderr
    assert b"An image does not exist locally with the tag: nosuch" in docker("push", "nosuch").stderr
    assert b"cannot pull nosuch:latest" in docker("pull", "nosuch").stderr
    assert b"cannot log in to" in docker("login", "-u", "a", "--password-stdin", "example.org", stdin=b"b").stderr
    assert f"Image is here: {IMAGE}" in docker.good("pull", IMAGE)
    assert b"This node is not a swarm manager" in docker("node", "ls").stderr
    assert json.loads(docker("inspect", "nosuch").stdout) == []


def test_an_interactive_terminal_has_its_size_and_gives_the_exit_code(docker: Docker):
    child, terminal = pty.fork()
    if child == 0:
        os.execve(docker.program, ["docker", "run", "--rm", "-it", IMAGE, "sh"], docker.environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    shown = b""
    try:
        while b"/ #" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, b"stty size; echo the-$((1+1))nd; exit 4\n")
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:  # the other end of a terminal closes with EIO
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    assert b"33 99" in shown
    assert b"the-2nd" in shown
