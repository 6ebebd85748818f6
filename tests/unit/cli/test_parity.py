"""docs/reference/docker-parity.md: made from both tables of options, with a reason for all that is not the same."""

from pathlib import Path

import pytest

from kist.cli.parity import DIFFERS, HAS, LACKS, compare, page, read_reasons, read_surface, unused

ROOT = Path(__file__).resolve().parents[3]
SURFACE = (ROOT / "script" / "parity" / "docker-cli.txt").read_text(encoding="utf-8")
REASONS = (ROOT / "script" / "parity" / "reasons.txt").read_text(encoding="utf-8")

# Verbs that are on their way; who brings one takes it out of here.
COMING: set[str] = set()


def test_the_page_is_up_to_date() -> None:
    found = (ROOT / "docs" / "reference" / "docker-parity.md").read_text(encoding="utf-8")
    assert found == page(SURFACE, REASONS), "run script/docker-parity"


def test_what_is_not_the_same_has_a_reason_and_what_is_has_none() -> None:
    surface, reasons = read_surface(SURFACE), read_reasons(REASONS)
    rows = list(compare(surface, reasons))
    without = [(row.verb, row.option, row.state) for row in rows if row.state != HAS and not row.why]
    assert {(verb, option) for verb, option, _ in without} <= {(verb, "") for verb in COMING}
    assert [(row.verb, row.option) for row in rows if row.state == HAS and row.why] == []
    assert unused(surface, reasons) == []


def test_a_verb_that_has_come_is_awaited_no_longer() -> None:
    lacking = {row.verb for row in compare(read_surface(SURFACE), {}) if not row.option and row.state == LACKS}
    assert lacking >= COMING, f"take {COMING - lacking} out of COMING in this test"


@pytest.mark.parametrize(
    ("line", "reason", "states"),
    [
        ("ps, container ls: -a/--all -n/--last=", "", [HAS, HAS, HAS]),
        ("ps, container schmls: -a/--all", "ps: x", [DIFFERS, HAS]),
        ("ps: -z/--all --all=", "", [HAS, DIFFERS, DIFFERS]),
        ("ps: --tree", "", [HAS, LACKS]),
        ("ps: -a/--all", "ps --all: not quite", [HAS, DIFFERS]),
        ("nothing: --all", "", [LACKS]),
    ],
)
def test_tables_are_compared(line: str, reason: str, states: list[str]) -> None:
    assert [row.state for row in compare(read_surface(line), read_reasons(reason))] == states


def test_reasons_hold_for_groups_and_for_the_rest() -> None:
    surface = read_surface("swarm init: --x\nps: --tree --leaf= -a/--all")
    rows = list(compare(surface, read_reasons("swarm *: no swarm\nps --*: later\nps --leaf: never")))
    assert [(row.verb, row.option, row.state, row.why) for row in rows] == [
        ("swarm init", "", LACKS, "no swarm"),
        ("ps", "", HAS, ""),
        ("ps", "--tree", LACKS, "later"),
        ("ps", "--leaf", LACKS, "never"),
        ("ps", "-a, --all", HAS, ""),
    ]
