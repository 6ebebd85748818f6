"""Hints and pages name codes of the doctor's: each must be one."""

import ast
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kist.doctor import checks
from kist.doctor.codes import ABOUT
from kist.engine import starter
from kist.errors import KistError, see_doctor

PROJECT = Path(__file__).resolve().parents[3]
NAMED = re.compile(r"kist doctor((?: [a-z][a-z-]+)+)(?=[`'\"; )])")
# Words that follow the verb in a sentence.
PROSE = {"tells"}


def called(text: str) -> Iterator[str]:
    """The codes that calls of ``see_doctor`` are given literally."""
    if "see_doctor" not in text:
        return  # most have none, and to parse them all takes seconds
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "see_doctor":
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield from str(first.value).split()


def test_every_code_in_a_hint_is_a_finding() -> None:
    sources = (PROJECT / "src").rglob("*.py")
    given = {code: path for path in sources for code in called(path.read_text(encoding="utf-8"))}
    assert len(given) > 8
    assert {code: str(path) for code, path in given.items() if code not in ABOUT} == {}


def test_every_code_in_a_text_is_a_finding() -> None:
    pages = [*(PROJECT / "docs").rglob("*.md"), *(PROJECT / "src").rglob("*.py"), PROJECT / "README.md"]
    named = {
        code: str(path)
        for path in pages
        for found in NAMED.findall(path.read_text(encoding="utf-8"))
        for code in found.split()
    }
    assert named
    assert {code: path for code, path in named.items() if code not in ABOUT and code not in PROSE} == {}


def test_codes_that_a_table_gives_are_findings() -> None:
    assert set(starter._CAUSES.values()) <= ABOUT.keys()


def test_each_code_has_a_check() -> None:
    assert checks.CHECKS.keys() == ABOUT.keys()


FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"operation": "mount_root", "errno": errno.EINVAL}, "overlay"),
    ({"operation": "mount", "arguments": {"type": "proc"}, "errno": errno.EPERM}, "proc"),
    ({"operation": "prepare", "errno": errno.EACCES, "path": "/sys/fs/cgroup/kist"}, "cgroups"),
    ({"operation": "file", "errno": errno.ENOSPC, "path": "/etc/x"}, "space"),
    ({"operation": "privileges", "errno": errno.EACCES}, "seccomp"),
    ({"operation": "map_layers", "errno": errno.EOPNOTSUPP}, "mapped-mounts"),
    ({"operation": "publish", "errno": errno.EACCES, "path": "0.0.0.0:80"}, "low-ports"),
    ({"operation": "symlink", "errno": errno.EEXIST}, ""),
]


@pytest.mark.parametrize(("failure", "code"), FAILURES)
def test_a_container_that_does_not_start_for_the_machines_sake_says_what_to_ask(
    failure: dict[str, Any], code: str
) -> None:
    with pytest.raises(KistError) as caught:
        starter.raise_failure({"arguments": {}, "path": "", **failure})
    assert (f"`kist doctor {code}` tells more" in caught.value.hint) == bool(code), caught.value.hint
    assert code or "kist doctor" not in caught.value.hint


def test_a_hint_ends_with_the_command() -> None:
    assert see_doctor("subids") == "`kist doctor subids` tells more"
    assert see_doctor("subids", "do this") == "do this; `kist doctor subids` tells more"


def test_a_guide_tells_of_every_code() -> None:
    guide = (PROJECT / "docs/guide/doctor.md").read_text(encoding="utf-8")
    assert [code for code in ABOUT if f"`{code}`" not in guide] == []
