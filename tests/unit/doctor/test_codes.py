"""Hints and pages name codes of the doctor's: each must be one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from kist.doctor import CHECKS
from kist.errors import see_doctor

PROJECT = Path(__file__).resolve().parents[3]
NAMED = re.compile(r"kist doctor((?: [a-z][a-z-]+)+)(?=[`'\"; )])")
# Words that follow the verb in a sentence.
PROSE = {"tells"}


def called(tree: ast.AST) -> Iterator[str]:
    """The codes that calls of ``see_doctor`` are given literally."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "see_doctor":
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield from str(first.value).split()


def test_every_code_in_a_hint_is_a_finding() -> None:
    sources = (PROJECT / "src").rglob("*.py")
    given = {code: path for path in sources for code in called(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(given) > 8
    assert {code: str(path) for code, path in given.items() if code not in CHECKS} == {}


def test_every_code_in_a_text_is_a_finding() -> None:
    pages = [*(PROJECT / "docs").rglob("*.md"), *(PROJECT / "src").rglob("*.py"), PROJECT / "README.md"]
    named = {
        code: str(path)
        for path in pages
        for found in NAMED.findall(path.read_text(encoding="utf-8"))
        for code in found.split()
    }
    assert named
    assert {code: path for code, path in named.items() if code not in CHECKS and code not in PROSE} == {}


def test_codes_that_a_table_gives_are_findings() -> None:
    from kist.engine import starter

    assert set(starter._CAUSES.values()) <= CHECKS.keys()


def test_a_hint_ends_with_the_command() -> None:
    assert see_doctor("subids") == "`kist doctor subids` tells more"
    assert see_doctor("subids", "do this") == "do this; `kist doctor subids` tells more"


def test_a_guide_tells_of_every_code() -> None:
    guide = (PROJECT / "docs/guide/doctor.md").read_text(encoding="utf-8")
    assert [code for code in CHECKS if f"`{code}`" not in guide] == []
