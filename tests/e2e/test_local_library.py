"""``kist.Engine(local=True)`` in scripts of root's and of ordinary users: in the process, or in a child of it."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from callers import Caller, below, command_line, gone, groups, parent
from harness import BUSYBOX, kill_and_see, until

pytestmark = pytest.mark.root("becomes ordinary users itself")

KINDS = pytest.mark.parametrize("caller", ["root", "range", "alone"], indirect=True)
# What is the same for both kinds of ordinary users is tested with one.
ORDINARY = pytest.mark.parametrize("caller", ["alone"], indirect=True)
ROOT_AND_ORDINARY = pytest.mark.parametrize("caller", ["root", "alone"], indirect=True)

_WORK = f"""
import json, os, sys, kist
from concurrent.futures import ThreadPoolExecutor

def who():
    return os.getresuid(), os.getresgid(), open("/proc/self/uid_map").read(), os.readlink("/proc/self/ns/mnt")

os.environ["WORD"] = "built\\n"
before, options = who(), kist.ContainerOptions(image="{BUSYBOX}", network="none")
with kist.Engine(local=True) as engine, ThreadPoolExecutor(8) as pool:
    outputs = list(pool.map(lambda n: engine.run("{BUSYBOX}", ["echo", str(n)], options=options).stdout, range(16)))
    built = engine.build(sys.argv[1], kist.BuildOptions(secrets=(kist.Secret("word", env="WORD"),)))
    made = engine.run(built, ["cat", "/made"], options=options).stdout
    code = engine.run("{BUSYBOX}", ["sh", "-c", "exit 3"], options=options, check=False).exit_code
    try:
        engine.run("nope", ["true"])
    except kist.errors.NotFound as error:
        missing = str(error)
    containers = len(engine.containers(all=True))
try:
    engine.images()
except Exception as error:
    closed = str(error)
print(json.dumps({{"same": who() == before, "outputs": outputs, "made": made, "code": code, "missing": missing,
                  "containers": containers, "closed": closed}}))
"""

_HOLD = f"""
import sys, kist
engine = kist.Engine(local=True)
options = kist.ContainerOptions(image="{BUSYBOX}", command=("sleep", "1000"), network="none", auto_remove=True)
engine.start(engine.create(options))
print("up", flush=True)
sys.stdin.readline()
print(len(engine.containers()), flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def holding(caller: Caller) -> "Iterator[subprocess.Popen[bytes]]":
    """A script whose engine has a container that sleeps."""
    words = [*caller.python, "-c", _HOLD]
    with subprocess.Popen(words, env=caller.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as script:
        try:
            assert script.stdout is not None
            assert script.stdout.readline() == b"up\n"
            yield script
        finally:
            script.kill()


@KINDS
def test_a_script_with_threads_has_an_engine_and_stays_who_it_is(caller: Caller) -> None:
    context = caller.home / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"FROM {BUSYBOX}\nRUN --mount=type=secret,id=word,required cat /run/secrets/word > /made\n"
    )
    done = subprocess.run(
        [*caller.python, "-c", _WORK, str(context)],
        env=caller.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outputs"] == [f"{number}\n" for number in range(16)]
    assert (told["same"], told["made"], told["code"], told["containers"]) == (True, "built\n", 3, 0)
    assert "No such image" in told["missing"]
    assert "closed" in told["closed"] or "ended" in told["closed"]
    assert not caller.engine_runs()
    assert caller.left() == []


@KINDS
def test_all_of_it_is_the_scripts_and_ends_when_that_is_killed(caller: Caller) -> None:
    with holding(caller) as script:
        own, inside = groups(script.pid), below(script.pid)
        assert b"sleep\x001000\x00" in map(command_line, inside)
        for pid in inside:
            for names, path in groups(pid).items():
                assert f"{path}/".startswith(own[names].rstrip("/") + "/"), (pid, names, path)
        kill_and_see(script.pid)
        until(lambda: all(map(gone, inside)))
    assert caller("ps", "-aq").stdout == ""
    assert caller.left() == []


@ROOT_AND_ORDINARY
def test_it_ends_with_a_script_that_does_not_close_it(caller: Caller) -> None:
    with holding(caller) as script:
        inside = below(script.pid)
        assert script.communicate(b"\n\n", timeout=30)[0] == b"1\n"
        assert script.returncode == 0
        until(lambda: all(map(gone, inside)))
    assert caller("ps", "-aq").stdout == ""


@ORDINARY
def test_the_child_leaves_signals_to_its_script(caller: Caller) -> None:
    with holding(caller) as script:
        (engine,) = [each for each in below(script.pid) if parent(each) == script.pid]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(engine, number)
        assert script.communicate(b"\n\n", timeout=30)[0] == b"1\n"


@ORDINARY
def test_a_child_that_cannot_be_an_engine_says_why(caller: Caller) -> None:
    script = 'import kist; kist.Engine(local=True, data_root="/tmp/a:b")'
    done = subprocess.run(
        [*caller.python, "-c", script], env=caller.environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert "kist.errors.InvalidInput: the data root '/tmp/a:b'" in done.stderr


@ORDINARY
def test_the_end_of_the_child_is_told(caller: Caller) -> None:
    with holding(caller) as script:
        (engine,) = [each for each in below(script.pid) if parent(each) == script.pid]
        inside = below(engine)
        kill_and_see(engine)
        until(lambda: all(map(gone, inside)))
        assert script.communicate(b"\n", timeout=30)[0] == b""
        assert script.returncode == 1
    assert caller("ps", "-aq").stdout == ""
