"""Completion without an engine: options, values, verbs, and how a line is split."""

from pathlib import Path

import pytest

from kist.cli.completion import complete, in_bash
from kist.cli.completion.answer import split
from kist.cli.completion.names import SOURCES
from kist.cli.completion.values import BY_KEY, BY_METAVAR, FILTER_VALUES, FILTERS, OPERANDS, STATES
from kist.cli.dispatch import load
from kist.cli.option import FLAG
from kist.cli.verbs import GROUPS, VERBS

BREAKS = " \t\n\"'><=;|&(:"


def words(tmp_path: Path, line: str) -> list[str]:
    environment = {"KIST_RUN": str(tmp_path), "KIST_ROOT": str(tmp_path), "SOME_VARIABLE": "1"}
    return in_bash(line, "", environment)


@pytest.mark.parametrize(
    ("line", "some", "others"),
    [
        ("kist ", ["run", "ps", "container", "help"], ["container ls", "--help"]),
        ("kist r", ["run", "rm", "rmi"], ["ps"]),
        ("kist --ho", ["--host"], ["run"]),
        ("kist -H unix:///x p", ["ps"], ["run"]),
        ("kist container ", ["ls", "run", "inspect"], ["images", "container ls"]),
        ("kist container l", ["ls", "logs"], ["run"]),
        ("kist help im", ["images", "import"], ["run"]),
        ("kist ps -", ["--all", "-a", "--help"], ["all"]),
        ("kist container ls --no", ["--no-trunc"], ["--all"]),
        ("kist run --detach-", ["--detach-keys"], ["--detach"]),
        ("kist run --pull ", ["always", "missing", "never"], []),
        ("kist run --pull=al", ["--pull=always"], ["always"]),
        ("kist run -it --stop-signal SIGU", ["SIGUSR1", "SIGUSR2", "SIGURG"], ["SIGTERM"]),
        ("kist kill -s ", ["SIGTERM", "SIGKILL"], []),
        ("kist run -e SOME_", ["SOME_VARIABLE"], []),
        ("kist run --cap-add NET_", ["NET_ADMIN", "NET_RAW"], ["CHOWN"]),
        ("kist run --network ", ["bridge", "host", "none"], []),
        ("kist run --env-file ", [":files"], []),
        ("kist run --restart=on", ["--restart=on-failure"], []),
        ("kist run busybox ", [":files"], ["--rm"]),
        ("kist run busybox --", [":files"], ["--rm"]),
        ("kist ps --filter ", ["status=", ":nospace"], []),
        ("kist ps --filter status=r", ["status=running", "status=restarting"], ["status=exited"]),
        ("kist ps --filter=health=un", ["--filter=health=unhealthy"], []),
        ("kist ps --format ", ["json", "table"], []),
        ("kist inspect --type ", ["container", "image"], []),
        ("kist completion ", ["bash", "fish", "zsh"], []),
        ("kist doctor sub", ["subids"], []),
        ("kist doctor subids newu", ["newuidmap"], []),
        ("kist build ", [":dirs"], []),
        ("kist load -i ", [":files"], []),
        ("kist engine ", ["stop"], []),
        ("kist nonsense ", [], ["run", ":files"]),
        ("kist container nonsense ", [], ["ls", ":files"]),
        ("kist ps ", [], [":files", "--all"]),
    ],
)
def test_candidates(tmp_path: Path, line: str, some: list[str], others: list[str]) -> None:
    found = words(tmp_path, line)
    assert set(some) <= set(found)
    assert not set(others) & set(found)
    assert len(found) == len(set(found))


def test_no_engine_is_started_and_nothing_is_left(tmp_path: Path) -> None:
    assert words(tmp_path, "kist stop ") == []
    assert list(tmp_path.iterdir()) == []


def test_bash_replaces_only_what_follows_its_breaks(tmp_path: Path) -> None:
    environment = {"KIST_RUN": str(tmp_path)}
    assert in_bash("kist run --pull=al", BREAKS, environment) == ["always"]
    assert in_bash("kist ps --filter status=exi", BREAKS, environment) == ["exited"]
    assert in_bash("kist ps --filter stat", BREAKS, environment) == ["status=", ":nospace"]


def test_other_shells_get_what_each_word_is(tmp_path: Path) -> None:
    lines = complete(["container", "l"], {"KIST_RUN": str(tmp_path)}).lines()
    assert "ls\tList containers" in lines


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("kist ps", ["kist", "ps"]),
        ("kist  ps ", ["kist", "ps", ""]),
        ("kist run -e 'A B' x\\ y \"c d", ["kist", "run", "-e", "A B", "x y", "c d"]),
        ("kist", ["kist"]),
        ("", [""]),
    ],
)
def test_lines_are_split_as_a_shell_does(line: str, found: list[str]) -> None:
    assert split(line) == found


def test_the_tables_speak_of_what_there_is() -> None:
    options = [option for verb in VERBS for option in load(verb).options]
    values = {option.key for option in options if option.kind != FLAG}
    coming = {"rootfs", "context", "host", "log_level"}  # the last three stand before the verb
    assert BY_KEY.keys() - coming <= values
    sources = [
        word for table in (BY_KEY, BY_METAVAR, FILTER_VALUES, OPERANDS) for row in table.values() for word in row
    ]
    assert {word[1:] for word in sources if word.startswith("@")} <= set(SOURCES)
    assert not set(GROUPS) & set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_operand_that_names_an_object_completes(verb: str) -> None:
    for word in load(verb).operands.split():
        name = word.strip("[]").removesuffix("...").strip("[]")
        if name.partition("|")[0].partition(":")[0] in {"CONTAINER", "IMAGE", "NETWORK", "VOLUME"}:
            assert name in OPERANDS or name.partition("|")[0] in OPERANDS


def test_filters_and_states_are_of_verbs() -> None:
    coming = {"pause", "port", "stats", "top", "unpause", "container prune", "image prune", "system prune"}
    assert {*FILTERS, *STATES} - coming <= set(VERBS)
