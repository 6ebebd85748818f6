"""The option tables themselves: complete, consistent, and the reference page made of them."""

from pathlib import Path

import pytest

from kist.cli.dispatch import load
from kist.cli.option import FLAG
from kist.cli.reference import page
from kist.cli.verbs import GROUPS, NAMES, VERBS, members, summary

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"

# What the container options must have at least, as Docker spells them.
CONTAINER = (
    "-d", "-i", "-t", "--rm", "--name", "-e", "--env-file", "-v", "--tmpfs", "-w", "-u", "--entrypoint", "-m", "--cpus",
    "--pids-limit", "--network", "--cap-add", "--cap-drop", "--read-only", "--init", "--as-me", "--hostname", "-h",
    "--label", "-l", "--stop-signal", "--stop-timeout", "--shm-size", "--dry-run", "--mount",
)  # fmt: skip
ISSUE = (
    "run", "create", "start", "stop", "kill", "rm", "ps", "logs", "exec", "wait", "inspect", "images", "rmi", "tag",
    "history", "import", "load", "save", "build", "bootstrap", "info", "version", "engine",
)  # fmt: skip


def test_every_verb_is_there() -> None:
    assert set(ISSUE) <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_description_is_whole(verb: str) -> None:
    command = load(verb)
    assert command.name == verb
    assert summary(verb)
    assert not summary(verb).endswith(".")
    names = [name for option in command.options for name in option.names]
    assert len(names) == len(set(names)), "no name twice"
    keys = [option.key for option in command.options]
    assert len(keys) == len(set(keys))
    for option in command.options:
        assert (option.kind == FLAG) == (not option.metavar)
        assert option.help
        assert not option.help.endswith(".")
        assert all(name.startswith("--") or len(name) == 2 for name in option.names)
        assert option.names[-1].startswith("--")


def test_no_name_means_two_verbs() -> None:
    assert len(NAMES) == sum(len(verb.names) for verb in VERBS.values())
    assert {name.split()[0] for name in NAMES if " " in name} == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_its_verbs_once(group: str) -> None:
    verbs = list(members(group).values())
    assert verbs
    assert len(verbs) == len(set(verbs))


def test_run_has_all_its_options() -> None:
    names = {name for option in load("run").options for name in option.names}
    assert set(CONTAINER) <= names


def test_create_has_those_of_run_but_for_the_foreground() -> None:
    of_run = {option.key for option in load("run").options}
    assert of_run - {option.key for option in load("create").options} == {"detach", "local", "sig_proxy", "detach_keys"}


def test_the_reference_page_is_up_to_date() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == page(), "run script/cli-reference"
