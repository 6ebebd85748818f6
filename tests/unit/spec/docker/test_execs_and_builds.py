import json

import pytest

from kist.errors import InvalidInput, Unsupported
from kist.spec.build import BuildOptions
from kist.spec.container import ExecOptions
from kist.spec.docker.builds import read_build
from kist.spec.docker.execs import ExecStart, read_exec, read_exec_start, write_exec
from kist.spec.docker.progress import write_build_event, write_pull_event
from kist.spec.progress import (
    Event,
    Failed,
    Finished,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    "options",
    [
        ExecOptions(("true",)),
        ExecOptions(("sh", "-c", "x"), ("A=1",), "me:us", "/srv", tty=True, open_stdin=True, privileged=True),
    ],
)
def test_exec_options_survive_dockers_json(options: ExecOptions):
    assert read_exec(json.loads(json.dumps(write_exec(options)))) == options


def test_an_exec_needs_a_command_and_names_what_it_cannot():
    with pytest.raises(InvalidInput, match="No exec command"):
        read_exec({"Cmd": []})
    with pytest.raises(Unsupported, match="Elevated"):
        read_exec({"Cmd": ["sh"], "Elevated": True})


@pytest.mark.parametrize(
    ("body", "start"),
    [
        ({}, ExecStart()),
        ({"Detach": True, "Tty": False}, ExecStart(detach=True)),
        ({"ConsoleSize": [24, 80]}, ExecStart(size=(24, 80))),
        ({"ConsoleSize": [0, 0]}, ExecStart()),
    ],
)
def test_how_an_exec_is_started(body: dict[str, object], start: ExecStart):
    assert read_exec_start(body) == start


@pytest.mark.parametrize("size", [[24], [24, -1], [24, 70000], ["a", "b"], [True, False], 24])
def test_a_console_size_that_no_terminal_has_is_refused(size: object):
    with pytest.raises(InvalidInput, match="ConsoleSize"):
        read_exec_start({"ConsoleSize": size})


def read(query: list[tuple[str, str]]) -> BuildOptions:
    def values(name: str) -> list[str]:
        return [value for key, value in query if key == name]

    return read_build(lambda name: (values(name) or [""])[0], values)


def test_build_options_are_read_from_dockers_query():
    query = [("dockerfile", "d/D"), ("t", "a:1"), ("t", "b:2"), ("buildargs", '{"A":"1"}'), ("labels", '{"k":"v"}')]
    query += [("target", "stage"), ("nocache", "1"), ("rm", "1"), ("version", "1")]
    expected = BuildOptions("d/D", ("a:1", "b:2"), {"A": "1"}, "stage", no_cache=True, labels={"k": "v"})
    assert read(query) == expected
    assert read([("dockerfile", "Dockerfile")]) == BuildOptions()


def test_what_docker_20_sends_with_every_build_is_accepted():
    query = (
        "buildargs={}&cachefrom=[]&cgroupparent=&cpuperiod=0&cpuquota=0&cpusetcpus=&cpusetmems=&cpushares=0&"
        "dockerfile=Dockerfile&labels={}&memory=0&memswap=0&networkmode=default&rm=1&shmsize=0&t=x:1&target=&"
        "ulimits=null&version=1"
    )
    pairs = [tuple(part.split("=", 1)) for part in query.split("&")]
    assert read([(name, value) for name, value in pairs]) == BuildOptions(tags=("x:1",))


def test_what_docker_py_sends_with_every_build_is_accepted():
    query = [("t", "x:1"), ("q", "False"), ("nocache", "False"), ("rm", "False"), ("pull", "False")]
    assert read(query) == BuildOptions(tags=("x:1",))


def test_build_arguments_without_a_value_are_left_out():
    assert read([("buildargs", '{"A":null,"B":"2"}')]).build_args == {"B": "2"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("squash", "1"), ("remote", "https://x"), ("platform", "linux/arm64"), ("networkmode", "host"), ("version", "2")],
)
def test_a_build_parameter_that_would_change_the_result_is_refused(name: str, value: str):
    with pytest.raises(Unsupported):
        read([(name, value)])


@pytest.mark.parametrize("value", ["{", "[]", '{"A":1}', "7"])
def test_build_arguments_that_are_no_strings_are_refused(value: str):
    with pytest.raises(InvalidInput, match="buildargs"):
        read([("buildargs", value)])


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (StepStarted("1", "RUN true", 2, 3), [{"stream": "Step 2/3 : RUN true\n"}]),
        (StepStarted("1", "context"), [{"stream": "context\n"}]),
        (StepOutput("1", "stdout", "hi\n"), [{"stream": "hi\n"}]),
        (StepProgress("1", 1, 2, "bytes"), []),
        (
            StepFinished("1", 0.1, cached=True, result=DIGEST),
            [{"stream": " ---> Using cache\n"}, {"stream": " ---> abababababab\n"}],
        ),
        (Warned("old"), [{"stream": "[Warning] old\n"}]),
        (
            Finished(DIGEST, ("docker.io/library/x:1",)),
            [
                {"aux": {"ID": DIGEST}},
                {"stream": "Successfully built abababababab\n"},
                {"stream": "Successfully tagged x:1\n"},
            ],
        ),
        (
            Failed("StepFailed", "it failed", "look", 3),
            [{"errorDetail": {"code": 3, "message": "it failed\nlook"}, "error": "it failed\nlook"}],
        ),
    ],
)
def test_progress_of_a_build_reads_like_the_classic_builders(event: Event, lines: list[dict[str, object]]):
    assert write_build_event(event) == lines


def test_progress_of_a_bootstrap_reads_like_a_pull():
    assert write_pull_event(StepStarted("p", "packages")) == [{"status": "packages", "id": "p"}]
    assert write_pull_event(StepProgress("p", 1, 2, "packages"))[0]["progressDetail"] == {"current": 1, "total": 2}
    assert write_pull_event(Failed("KistError", "no"))[0]["error"] == "no"
