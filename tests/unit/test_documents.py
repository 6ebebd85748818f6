"""What the documents for those who work on Kist name is there."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
# Where a path in a document may begin; the rooms of the engine are named from its own directory.
BEGINNINGS = ("", "src/kist", "src/kist/engine", "docs")
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|txt|toml|json))`")
LINKED = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(document: str) -> None:
    named = NAMED.findall((TOP / document).read_text(encoding="utf-8"))
    assert len(named) > 5
    assert [each for each in named if not any((TOP / beginning / each).is_file() for beginning in BEGINNINGS)] == []


def test_every_link_within_the_documents_leads_somewhere() -> None:
    documents = [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("examples/**/*.md")]
    broken = {
        f"{document.relative_to(TOP)}: {link}"
        for document in documents
        for link in LINKED.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    }
    assert broken == set()
