"""Options become the body of a create request, and the engine reads from it what was meant."""

import os
from pathlib import Path
from typing import Any

import pytest

from kist.cli.commands.run import COMMAND, with_tag
from kist.cli.create_body import create_body, read_env_file
from kist.cli.parser import parse
from kist.cli.usage import UsageError
from kist.errors import InvalidInput, KistError
from kist.spec.container import ContainerOptions
from kist.spec.docker.create import read_create
from kist.spec.mount import Mount
from kist.spec.resources import Resources


def body(*argv: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    return create_body(parse(COMMAND, argv), environment or {}, "/here/now")


def read(*argv: str) -> ContainerOptions:
    return read_create(body(*argv))


def test_the_least_asks_for_nothing_but_the_image() -> None:
    assert body("debian:12") == {"Image": "debian:12"}
    assert read("debian:12") == ContainerOptions(image="debian:12")


def test_everything_reaches_the_engines_options() -> None:
    options = read(
        "-it", "--rm", "-e", "A=1", "-w", "/w", "-u", "me:us", "--entrypoint", "/e", "-m", "64m", "--cpus", "1.5",
        "--pids-limit", "50", "--network", "none", "--cap-add", "net_admin", "--cap-drop", "ALL", "--read-only",
        "--init", "-h", "host", "-l", "k=v", "--label", "bare", "--stop-signal", "SIGINT", "--stop-timeout", "3",
        "--shm-size", "1m", "-v", "/a:/b:ro", "--tmpfs", "/t:size=1m", "img", "cmd", "-x",
    )  # fmt: skip
    assert options == ContainerOptions(
        image="img",
        command=("cmd", "-x"),
        entrypoint=("/e",),
        env=("A=1",),
        working_dir="/w",
        user="me:us",
        hostname="host",
        mounts=(Mount.bind("/a", "/b", read_only=True), Mount.tmpfs("/t", "size=1m")),
        network="none",
        resources=Resources(memory=64 << 20, nano_cpus=1_500_000_000, pids=50, shm_size=1 << 20),
        cap_add=("NET_ADMIN",),
        cap_drop=("ALL",),
        read_only=True,
        init=True,
        tty=True,
        open_stdin=True,
        stdin_once=True,
        auto_remove=True,
        labels={"k": "v", "bare": ""},
        stop_signal="INT",
        stop_timeout=3,
    )


@pytest.mark.parametrize(
    ("text", "bind"),
    [("./rel:/x", "/here/now/rel:/x"), ("../up:/x:ro", "/here/up:/x:ro"), (".:/x", "/here/now:/x"), ("/a/:/x", "/a:/x"),
     ("volume:/x", "volume:/x")],
)  # fmt: skip
def test_relative_binds_become_absolute(text: str, bind: str) -> None:
    assert body("-v", text, "i")["HostConfig"]["Binds"] == [bind]


def test_a_tilde_is_the_callers_home() -> None:
    assert body("-v", "~/d:/x", "i")["HostConfig"]["Binds"] == [os.path.expanduser("~/d") + ":/x"]


@pytest.mark.parametrize("text", ["a:b:c:d", ":/x", "/x:", "", "/a:rel", "rel"])
def test_a_volume_that_cannot_be_right_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="--volume"):
        body("-v", text, "i")


@pytest.mark.parametrize(
    ("words", "mount"),
    [
        ("type=bind,source=data,target=/x", {"Type": "bind", "Source": "/here/now/data", "Target": "/x"}),
        ("type=bind,src=/a,dst=/x,readonly", {"Type": "bind", "Source": "/a", "Target": "/x", "ReadOnly": True}),
        ("type=bind,src=/a,destination=/x,ro=false",
         {"Type": "bind", "Source": "/a", "Target": "/x", "ReadOnly": False}),
        ("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770",
         {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1770}}),
        ("source=v,target=/x", {"Type": "volume", "Source": "v", "Target": "/x"}),
    ],
)  # fmt: skip
def test_mounts_in_words(words: str, mount: dict[str, object]) -> None:
    assert body("--mount", words, "i")["HostConfig"]["Mounts"] == [mount]


@pytest.mark.parametrize(
    ("words", "text"),
    [("type=nfs,target=/x", "type is bind, volume, tmpfs or image"), ("type=bind,target=/x", "needs a source"),
     ("type=bind,source=/a", "target is missing"), ("type=bind,source=/a,target=x", "not an absolute"),
     ("type=bind,colour=red", "unknown word 'colour'"), ("type=bind,src=/a,dst=/x,ro=perhaps", "true or false"),
     ("type=tmpfs,target=/t,tmpfs-size=big", "a size is")],
)  # fmt: skip
def test_mounts_that_cannot_be_right_are_told(words: str, text: str) -> None:
    with pytest.raises(UsageError, match="--mount") as caught:
        body("--mount", words, "i")
    assert text in str(caught.value)


def test_variables_come_from_files_first_and_from_the_caller_by_name(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# comment\n\nA=file\nHOME\nUNSET\nB= spaced \n")
    made = body("-e", "A=line", "-e", "HOME", "-e", "NOPE", "--env-file", str(path), "i", environment={"HOME": "/h"})
    assert made["Env"] == ["A=file", "HOME=/h", "B= spaced ", "A=line", "HOME=/h"]


HOST = {"OMP_B": "2", "OMP_A": "1", "omp_c": "3", "PATH": "/bin", "SECRET": "s", "ODD[1]": "x"}


@pytest.mark.parametrize(
    ("options", "env"),
    [
        ((), None),
        (("OMP_*",), ["OMP_A=1", "OMP_B=2"]),
        (("OMP_?", "PATH", "NOPE_*"), ["OMP_A=1", "OMP_B=2", "PATH=/bin"]),
        (("[Oo]mp_c", "ODD[[]1]"), ["ODD[1]=x", "omp_c=3"]),
        (("*",), [f"{name}={HOST[name]}" for name in sorted(HOST)]),
        (("OMP",), None),
    ],
)
def test_the_callers_environment_gets_in_by_pattern_alone(options: tuple[str, ...], env: list[str] | None) -> None:
    words = [word for option in options for word in ("--env-host", option)]
    assert body(*words, "i", environment=HOST).get("Env") == env


def test_what_is_given_in_words_goes_before_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("OMP_A=file\n")
    made = body("--env-host", "OMP_*", "--env-file", str(path), "-e", "OMP_B=line", "i", environment=HOST)
    assert made["Env"] == ["OMP_A=file", "OMP_B=line"]


@pytest.mark.parametrize("text", ["", "OMP_A=1"])
def test_a_pattern_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="pattern of names"):
        body("--env-host", text, "i")


@pytest.mark.parametrize(
    ("content", "text"), [(b"ok=1\na b=2\n", ":2: 'a b'"), (b"=x\n", ":1: ''"), (b"\xff", "not UTF-8")]
)
def test_an_env_file_that_is_wrong_names_the_line(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_env_file(str(path))
    assert text in str(caught.value)


def test_a_missing_env_file_is_named() -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        read_env_file("/none/such")


def test_an_empty_entrypoint_clears_the_images() -> None:
    assert read("--entrypoint", "", "i").entrypoint == ()


def test_as_me_tells_who_calls() -> None:
    made = read("--as-me", "i")
    assert made.caller is not None
    assert (made.caller.uid, made.caller.gid) == (os.getuid(), os.getgid())
    assert set(made.caller.groups) == set(os.getgroups())
    with pytest.raises(KistError, match="conflicting"):
        body("--as-me", "-u", "1", "i")


@pytest.mark.parametrize(
    ("image", "full"), [("a", "a:latest"), ("a:1", "a:1"), ("h:5/a", "h:5/a:latest"), ("a@sha256:0", "a@sha256:0")]
)
def test_the_name_that_a_short_one_stands_for(image: str, full: str) -> None:
    assert with_tag(image) == full
