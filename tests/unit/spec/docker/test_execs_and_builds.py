import base64
import json

import pytest

from kist.errors import InvalidInput, Unsupported
from kist.spec.build import BuildOptions, BuildOutput, StepOptions
from kist.spec.container import ExecOptions
from kist.spec.docker.builds import read_build, write_steps
from kist.spec.docker.execs import ExecStart, read_exec, read_exec_start, write_exec
from kist.spec.docker.progress import write_build_event, write_pull_event
from kist.spec.docker.registries import read_registry_config
from kist.spec.progress import (
    Event,
    Failed,
    Finished,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRuns,
    StepStarted,
    Warned,
)
from kist.spec.resources import Resources, Ulimit

DIGEST = "sha256:" + "ab" * 32


def _header(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


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


def test_what_commands_are_to_have_is_read_from_the_query():
    query = [("memory", "67108864"), ("memswap", "-1"), ("cpushares", "512"), ("cpuperiod", "50000")]
    query += [("cpuquota", "25000"), ("cpusetcpus", "0-1"), ("cpusetmems", "0"), ("shmsize", "1048576")]
    query += [("ulimits", '[{"Name":"nofile","Soft":64,"Hard":128}]'), ("networkmode", "container:x")]
    query += [("extrahosts", "a:1.2.3.4"), ("extrahosts", "b:::1"), ("cgroupparent", "/mine")]
    query += [("securityopt", "no-new-privileges"), ("platform", "linux/x86_64"), ("pull", "1")]
    query += [
        ("cachefrom", '["one","two"]'),
        ("q", "1"),
        ("rm", "0"),
        ("forcerm", "1"),
        ("session", "s"),
        ("buildid", "b"),
    ]
    limits = Resources(
        memory=64 << 20, memory_swap=-1, cpu_shares=512, cpu_period=50000, cpu_quota=25000, cpuset_cpus="0-1",
        cpuset_mems="0", shm_size=1 << 20, ulimits=(Ulimit("nofile", 64, 128),)
    )  # fmt: skip
    steps = StepOptions("container:x", ("a:1.2.3.4", "b:::1"), limits, "/mine", ("no-new-privileges",))
    found = read(query)
    assert found == BuildOptions(platform="linux/amd64", pull=True, cache_from=("one", "two"), steps=steps)
    assert read(write_steps(steps)) == BuildOptions(steps=steps)
    assert write_steps(StepOptions()) == []


def test_lists_are_repeated_parameters_or_json():
    assert read([("extrahosts", '["a:1.2.3.4"]'), ("extrahosts", "")]).steps.extra_hosts == ("a:1.2.3.4",)
    assert read([("cachefrom", "null"), ("cachefrom", "one"), ("cachefrom", "two")]).cache_from == ("one", "two")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("remote", "client-session", "experimental session with v1 builder is no longer supported"),
        ("version", "2", r"the BuildKit builder \(version 2\) is not supported"),
        ("version", "3", "invalid version '3'"),
        ("isolation", "hyperv", "unsupported isolation: 'hyperv'"),
        ("memory", "much", "invalid memory: 'much' is not an integer"),
        ("memswap", "1.5", "invalid memswap"),
        ("cpushares", "0x10", "invalid cpushares"),
        ("cpuperiod", "-", "invalid cpuperiod"),
        ("cpuquota", "9" * 30, "invalid cpuquota"),
        ("shmsize", "-1", "SHM size can not be less than 0"),
        ("ulimits", "nofile=1", "invalid ulimits"),
        ("ulimits", '[{"Name":7}]', "Name must be a string"),
        ("cachefrom", "[1]", "invalid cachefrom"),
        ("extrahosts", "{}x", "invalid extrahosts"),
        ("platform", "a/b/c/d", "invalid platform"),
        ("outputs", "{", "invalid outputs"),
        ("outputs", '[{"Type":"zip"}]', "there is no output of type 'zip'"),
        ("outputs", '[{"Type":"image","Attrs":{"push":"true"}}]', "images cannot be pushed to a registry yet"),
    ],
)
def test_a_build_parameter_that_cannot_be_right_is_refused(name: str, value: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        read([(name, value)])


def test_outputs_are_read():
    assert read([("outputs", '[{"Type":"moby","Attrs":{}}]')]) == BuildOptions()
    both = '[{"Type":"moby"},{"Type":"oci","Attrs":{"name":"a"}}]'
    assert read([("outputs", both)]).outputs == (BuildOutput("image"), BuildOutput("oci", attributes={"name": "a"}))


@pytest.mark.parametrize("header", ["", "e30=", "e30", _header({"a": {"username": "ü?>", "password": "~~~"}})])
def test_credentials_of_registries_are_read_in_either_alphabet(header: str):
    read_registry_config(header)
    read_registry_config(header.translate(str.maketrans("-_", "+/")))


@pytest.mark.parametrize(
    "header", ["{}", "e30=!", "bm90IEpTT04=", _header([]), _header({"a": 7}), _header({"a": {"auth": 1}})]
)
def test_credentials_that_are_none_are_refused(header: str):
    with pytest.raises(InvalidInput, match=r"X-Registry-Config|auth must be a string"):
        read_registry_config(header)


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
        (StepRuns("1", "0123456789abcdef"), [{"stream": " ---> Running in 0123456789ab\n"}]),
        (
            StepFinished("1", 0.1, result=DIGEST, container="0123456789abcdef"),
            [
                {"stream": " ---> Removed intermediate container 0123456789ab\n"},
                {"stream": " ---> abababababab\n"},
            ],
        ),
        (StepFinished("1", 0.1, error="no", container="0123456789abcdef"), []),
        (StepFinished("1", 0.1, cached=True, result=DIGEST, base=True), [{"stream": " ---> abababababab\n"}]),
        (StepProgress("1", 1, 2, "bytes"), []),
        (
            StepFinished("1", 0.1, cached=True, result=DIGEST),
            [{"stream": " ---> Using cache\n"}, {"stream": " ---> abababababab\n"}],
        ),
        (Warned("old"), [{"stream": "[Warning] old\n"}]),
        (Warned("a rule's finding, which no classic builder tells", rule="StageNameCasing"), []),
        (
            Finished(DIGEST, ("docker.io/library/x:1",)),
            [
                {"aux": {"ID": DIGEST}},
                {"stream": "Successfully built abababababab\n"},
                {"stream": "Successfully tagged x:1\n"},
            ],
        ),
        (
            Failed("NotFound", "it failed", "look", 3),
            [{"errorDetail": {"code": 3, "message": "it failed\nlook"}, "error": "it failed\nlook"}],
        ),
        (
            Failed("StepFailed", "The command 'x' returned a non-zero code: 3", "look", 3),
            [
                {
                    "errorDetail": {"code": 3, "message": "The command 'x' returned a non-zero code: 3"},
                    "error": "The command 'x' returned a non-zero code: 3",
                }
            ],
        ),
    ],
)
def test_progress_of_a_build_reads_like_the_classic_builders(event: Event, lines: list[dict[str, object]]):
    assert write_build_event(event) == lines


def test_progress_of_a_bootstrap_reads_like_a_pull():
    assert write_pull_event(StepStarted("p", "packages")) == [{"status": "packages", "id": "p"}]
    assert write_pull_event(StepProgress("p", 1, 2, "packages"))[0]["progressDetail"] == {"current": 1, "total": 2}
    assert write_pull_event(Failed("KistError", "no"))[0]["error"] == "no"
