"""Lists: tables, formats, ids, filters, the client's configuration; and what each field shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from kist.cli.context import Context
from kist.cli.listing import FORMAT, QUIET, Output, a_filter, filters
from kist.cli.nouns.container import CONTAINER, ports
from kist.cli.nouns.image import IMAGE, rows
from kist.cli.option import Arguments, Command, Option
from kist.cli.parser import parse
from kist.errors import InvalidInput, ParseError

ROW: dict[str, Any] = {
    "Id": "ab" * 32,
    "Names": ["/web", "/proxy/web"],
    "Image": "sha256:" + "cd" * 32,
    "Command": "sh -c 'sleep 1000; echo done'",
    "Created": 86400 * 365,
    "Ports": [],
    "Labels": {"b": "2", "com.example.stage": "test"},
    "State": "running",
    "Status": "Up 2 hours",
    "NetworkSettings": {"Networks": {"bridge": {}, "db": {}}},
    "Mounts": [{"Type": "bind", "Source": "/a/long/path/of/a/host", "Name": ""}, {"Name": "data", "Driver": "local"}],
    "SizeRw": 1000,
    "SizeRootFs": 2_000_000,
}
COMMAND = Command("ps", lambda _context, _arguments: 0, options=(FORMAT, QUIET, Option("--no-trunc", "x")))


def context(directory: Path) -> Context:
    return Context({"DOCKER_CONFIG": str(directory), "NO_COLOR": "1", "TZ": "UTC"})


def printed(capfd: pytest.CaptureFixture[str], directory: Path, *words: str, row: dict[str, Any] | None = None) -> str:
    Output(context(directory), CONTAINER, parse(COMMAND, words)).show([row or ROW])
    return capfd.readouterr().out


def test_the_table_has_dockers_columns(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    header, line = printed(capfd, tmp_path).splitlines()
    assert header.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert line.index("cdcd") == header.index("IMAGE")
    assert line.index("Up 2 hours") == header.index("STATUS")
    assert line.startswith('abababababab   cdcdcdcdcdcd   "sh -c \'sleep 1000; …"   ')
    assert line.endswith("web")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("{{.ID}} {{.Names}} {{.Image}}", "abababababab web cdcdcdcdcdcd"),
        ('{{.Labels}}|{{.Label "b"}}|{{.Label "none"}}', "b=2,com.example.stage=test|2|"),
        ("{{.Mounts}} {{.LocalVolumes}} {{.Networks}}", "/a/long/path/o…,data 1 bridge,db"),
        ("{{.Size}}", "1kB (virtual 2MB)"),
        ("{{.State}}: {{.Status | upper}}", "running: UP 2 HOURS"),
        ("a\\tb\\nc", "a\tb\nc"),
        ('{{range split .Names ","}}[{{.}}]{{end}}', "[web]"),
    ],
)  # fmt: skip
def test_formats(capfd: pytest.CaptureFixture[str], tmp_path: Path, form: str, text: str) -> None:
    assert printed(capfd, tmp_path, "--format", form) == text + "\n"


def test_json_has_every_field(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = json.loads(printed(capfd, tmp_path, "--format", "json"))
    assert list(found) == sorted(CONTAINER.fields)
    assert found["Names"] == "web"
    assert found == json.loads(printed(capfd, tmp_path, "--format", "{{json .}}"))


def test_a_table_of_ones_own_has_headers(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    form = 'table {{.ID}}\\t{{lower .Names}}\\t{{.Label "com.example.stage"}}\\t{{index (split .Status " ") 0}}'
    assert printed(capfd, tmp_path, "--format", form) == (
        "CONTAINER ID   NAMES     stage     STATUS\nabababababab   web       test      Up\n"
    )
    Output(context(tmp_path), CONTAINER, parse(COMMAND, ["--format", form])).show([])
    assert capfd.readouterr().out == "CONTAINER ID   NAMES     stage     STATUS\n"


def test_no_trunc_shows_everything(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.Mounts}}")
    assert printed(capfd, tmp_path, *words) == (
        f'{ROW["Id"]} web,proxy/web {ROW["Image"]} "{ROW["Command"]}" /a/long/path/of/a/host,data\n'
    )


def test_ids_go_before_a_format_and_that_is_said(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Output(context(tmp_path), CONTAINER, parse(COMMAND, ["-q", "--format", "{{.Names}}"])).show([ROW, ROW])
    told = capfd.readouterr()
    assert told.out == "abababababab\nabababababab\n"
    assert "both --format and --quiet" in told.err


def test_the_clients_configuration_has_a_format(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"psFormat": "{{.Names}}!"}', encoding="ascii")
    assert printed(capfd, tmp_path) == "web!\n"
    assert printed(capfd, tmp_path, "--format", "{{.ID}}") == "abababababab\n"
    assert printed(capfd, tmp_path, "--format", "table").startswith("CONTAINER ID")
    assert printed(capfd, tmp_path, "-q") == "abababababab\n"


def test_the_clients_configuration_has_the_keys_that_detach(tmp_path: Path) -> None:
    given, none = Arguments({"detach_keys": b"x"}, ()), Arguments({}, ())
    assert context(tmp_path).detach_keys(none) == b"\x10\x11"
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-e,e"}', encoding="ascii")
    assert context(tmp_path).detach_keys(none) == b"\x05e"
    assert context(tmp_path).detach_keys(given) == b"x"
    (tmp_path / "config.json").write_text('{"detachKeys": "ctrl-ee"}', encoding="ascii")
    with pytest.raises(InvalidInput, match="detachKeys"):
        context(tmp_path).detach_keys(none)


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="ascii")
    with pytest.raises(InvalidInput, match=r"config\.json is not JSON"):
        Output(context(tmp_path), CONTAINER, Arguments({}, ()))


def test_a_format_with_a_field_that_there_is_none_of(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="can't evaluate field Name in a container") as caught:
        Output(context(tmp_path), CONTAINER, parse(COMMAND, ["--format", "{{.Name}}"])).show([ROW])
    assert caught.value.hint == "did you mean .Names?"


def test_what_a_format_needs_is_known_before_the_engine_is_asked(tmp_path: Path) -> None:
    output = Output(context(tmp_path), CONTAINER, parse(COMMAND, ["--format", "table {{.ID}}\t{{.Size}}"]))
    assert output.needs("Size")
    assert not output.needs("Names")


@pytest.mark.parametrize(
    ("listed", "text"),
    [
        ([("", 80, 0, "tcp")], "80/tcp"),
        ([("", 80, 0, "tcp"), ("", 81, 0, "tcp"), ("", 83, 0, "tcp"), ("", 81, 0, "udp")], "80-81/tcp, 83/tcp, 81/udp"),
        ([("0.0.0.0", 80, 8080, "tcp"), ("::", 80, 8080, "tcp")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([("0.0.0.0", 80, 80, "tcp"), ("0.0.0.0", 81, 81, "tcp")], "0.0.0.0:80-81->80-81/tcp"),
        ([("127.0.0.1", 90, 9000, "udp"), ("", 70, 0, "tcp")], "70/tcp, 127.0.0.1:9000->90/udp"),
    ],
)
def test_ports_are_shown_as_docker_shows_them(listed: list[tuple[str, int, int, str]], text: str) -> None:
    names = ("IP", "PrivatePort", "PublicPort", "Type")
    row = {"Ports": [{name: value for name, value in zip(names, port, strict=True) if value} for port in listed]}
    output = Output(Context({}), CONTAINER, Arguments({}, ()))
    assert ports(row, output.view) == text


def test_filters_are_read_and_sent() -> None:
    assert a_filter(" Label =a=b") == ("label", "a=b")
    assert filters([]) is None
    assert json.loads(filters([("label", "a"), ("label", "b=c"), ("status", "exited")]) or "") == {
        "label": {"a": True, "b=c": True}, "status": {"exited": True},
    }  # fmt: skip


@pytest.mark.parametrize(("text", "column"), [("status", 6), ("=x", 0), ("", 0)])
def test_a_malformed_filter_has_a_caret(text: str, column: int) -> None:
    with pytest.raises(ValueError, match="a filter is NAME=VALUE") as caught:
        a_filter(text)
    assert str(caught.value).splitlines()[1:] == [f"   | {text}", "   | " + " " * column + "^"]


def test_an_image_has_a_row_for_each_name() -> None:
    image = {"Id": "sha256:" + "ab" * 32, "RepoTags": ["a:1", "b:2"], "RepoDigests": ["a@sha256:00"], "Created": 0}
    assert [(r["repository"], r["tag"], r["digest"]) for r in rows(image, digests=False)] == [
        ("a", "1", "sha256:00"), ("b", "2", "<none>"),
    ]  # fmt: skip
    unnamed = {**image, "RepoTags": [], "RepoDigests": ["a@sha256:00"]}
    assert [(r["repository"], r["tag"]) for r in rows(unnamed, digests=True)] == [("a", "<none>")]
    assert [(r["repository"], r["tag"]) for r in rows(unnamed, digests=False)] == [("<none>", "<none>")]
    assert set(IMAGE.columns) <= set(IMAGE.fields)
