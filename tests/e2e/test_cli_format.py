"""--format and --filter of lists and inspects over a real engine, with Docker's exit codes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

IMAGE = "busybox:test"
_ARRAYS = {"inspect", "image"}
LABEL = "label=test=format"


@pytest.fixture(scope="module")
def three(cli: Any) -> Iterator[Any]:
    """Containers that run, that have ended with 3, and that were only made."""
    quiet = ("--network", "none", "-l", "test=format")
    cli.good("run", "-d", "--name", "fmt-run", *quiet, "-l", "n=1", "--init", IMAGE, "sleep", "1000")
    assert cli("run", "--name", "fmt-end", *quiet, IMAGE, "sh", "-c", "echo hello > /new; exit 3").returncode == 3
    cli.good("create", "--name", "fmt-new", *quiet, "-v", "/:/host:ro", IMAGE, "true")
    yield cli
    cli.good("rm", "-f", "fmt-run", "fmt-end", "fmt-new")


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (("status=running",), ["fmt-run"]),
        (("status=exited",), ["fmt-end"]),
        (("status=created",), ["fmt-new"]),
        (("status=running", "status=exited"), ["fmt-end", "fmt-run"]),
        (("exited=3",), ["fmt-end"]),
        (("exited=4",), []),
        (("name=fmt-e",), ["fmt-end"]),
        (("label=n",), ["fmt-run"]),
        (("label=n=2",), []),
        (("before=fmt-end",), ["fmt-run"]),
        (("since=fmt-end",), ["fmt-new"]),
        (("volume=/host",), ["fmt-new"]),
        (("network=none",), ["fmt-new", "fmt-end", "fmt-run"]),
        (("ancestor=" + IMAGE,), ["fmt-new", "fmt-end", "fmt-run"]),
        (("health=none",), ["fmt-new", "fmt-end", "fmt-run"]),
        (("publish=80",), []),
        (("expose=80",), []),
        (("is-task=true",), []),
        (("isolation=default",), ["fmt-new", "fmt-end", "fmt-run"]),
    ],
)
def test_filters_of_containers(three: Any, filters: tuple[str, ...], names: list[str]) -> None:
    words = [word for each in (LABEL, *filters) for word in ("--filter", each)]
    assert three.good("container", "ls", "-a", *words, "--format", "{{.Names}}").split() == names


def test_lists_of_containers_have_dockers_forms(three: Any) -> None:
    mine = ("--filter", LABEL)
    assert three.good("ps", *mine, "--format", '{{.Image}} {{.State}} {{.Label "n"}}') == f"{IMAGE} running 1"
    lines = three.good("ps", "-a", *mine, "--format", "json").splitlines()
    assert [json.loads(line)["Names"] for line in lines] == ["fmt-new", "fmt-end", "fmt-run"]
    table = three.good("ps", "-n", "2", *mine, "--format", "table {{.Names}}\\t{{.State}}").splitlines()
    assert table == ["NAMES     STATE", "fmt-new   created", "fmt-end   exited"]
    assert three.good("ps", "-lq", "--no-trunc") == three.good("inspect", "-f", "{{.Id}}", "fmt-new")
    assert "SIZE" in three.good("ps", "-s").splitlines()[0]
    sizes = three.good("ps", "-a", "--filter", "name=fmt-end", "--format", "{{.Size}}")
    assert "(virtual " in sizes
    assert not sizes.startswith("0B")


def test_inspect_has_dockers_forms(three: Any) -> None:
    assert three.good(
        "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.Name}}", "fmt-end", "fmt-new"
    ) == ("exited 3 /fmt-end\ncreated 0 /fmt-new")
    assert json.loads(three.good("inspect", "--format", "{{json .Config.Labels}}", "fmt-new")) == {"test": "format"}
    assert [found["Name"] for found in json.loads(three.good("inspect", "--format", "json", "fmt-run"))] == ["/fmt-run"]
    assert "SizeRw" in json.loads(three.good("container", "inspect", "-s", "fmt-end"))[0]
    assert three.good("inspect", "--type", "image", "-f", "{{index .RepoTags 0}}", IMAGE) == IMAGE
    assert three.good("image", "inspect", "-f", "{{.Config.Cmd}}", IMAGE) == "[sh]"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("ps", "--format", "{{.Names"), 1, "the action is not closed"),
        (("ps", "-a", "--format", "{{.Nmaes}}"), 1, "did you mean .Names?"),
        (("inspect", "-f", "{{.Name", "fmt-new"), 64, "the action is not closed"),
        (("version", "-f", "{{"), 64, "the action is not closed"),
        (("info", "-f", "{{}}"), 64, "missing value"),
        (("inspect", "-f", "{{.Foo}}", "fmt-new"), 1, "can't evaluate field Foo"),
        (("inspect", "-f", "{{.Id}}", "fmt-nwe"), 1, "did you mean fmt-new"),
        (("inspect", "--type", "container", IMAGE), 1, f"No such container: {IMAGE}"),
        (("image", "inspect", "busybux:test"), 1, "did you mean busybox:test?"),
        (("stop", "fmt-rnu"), 1, "did you mean fmt-run"),
        (("ps", "--filter", "status"), 125, "a filter is NAME=VALUE"),
        (("ps", "--filter", "staus=running"), 1, "did you mean status?"),
        (("ps", "--filter", "status=asleep"), 1, "a status is one of"),
        (("images", "--filter", "dangling=perhaps"), 1, "dangling=true or dangling=false"),
    ],
)
def test_malformed_formats_and_filters_are_named(three: Any, words: tuple[str, ...], code: int, told: str) -> None:
    done = three(*words)
    array = words[0] in _ARRAYS and "-f" not in words  # what was found: nothing
    assert (done.returncode, done.stdout.strip()) == (code, "[]" if array else "")
    assert told in done.stderr


def test_lists_of_images(three: Any) -> None:
    assert three.good("images", "--filter", "reference=busy*", "--format", "{{.Repository}}:{{.Tag}}") == IMAGE
    assert three.good("image", "ls", "--filter", "reference=other", "-q") == ""
    assert three.good("images", "--format", "{{.Digest}}", IMAGE).startswith("sha256:")
    assert json.loads(three.good("images", "--format", "json", IMAGE))["Tag"] == "test"
    assert three.good("history", "--format", "{{.Comment}}", IMAGE) == "Imported from -"
    header, step = three.good("history", "--human=false", IMAGE).splitlines()
    assert header.split()[:3] == ["IMAGE", "CREATED", "AT"]
    assert any(word.isdecimal() and len(word) > 5 for word in step.split()), "a size in bytes"


def test_documents(three: Any) -> None:
    server = json.loads(three.good("version", "--format", "json"))["Server"]
    assert three.good("version", "-f", "{{.Server.Version}} {{.Server.APIVersion}}") == (
        f"{server['Version']} {server['ApiVersion']}"
    )
    assert int(three.good("system", "info", "-f", "{{.Containers}}")) >= 3
    events = three.good(
        "events", "--since", "1h", "--until", "0s", "-f", "container=fmt-new", "--format", "{{.Action}}"
    )
    assert "create" in events.split()


def test_the_clients_configuration_holds(three: Any, tmp_path: Any) -> None:
    (tmp_path / "config.json").write_text(
        '{"psFormat": "<{{.Names}}>", "imagesFormat": "<{{.Tag}}>"}', encoding="ascii"
    )
    assert three.good("--config", str(tmp_path), "ps", "-n", "1") == "<fmt-new>"
    assert three.good("--config", str(tmp_path), "images", IMAGE) == "<test>"
