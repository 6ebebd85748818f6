"""The guide's commands are those that the tests have tried."""

import re
from pathlib import Path

import certificates

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide" / "remote.md"


def test_the_guide_makes_certificates_as_the_tests_do() -> None:
    shown = re.sub(r" \\\n *", " ", GUIDE.read_text(encoding="utf-8"))
    for line in (*certificates.AUTHORITY, *certificates.SERVER, *certificates.CLIENT):
        assert line in shown
