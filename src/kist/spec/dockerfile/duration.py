"""Durations as Go writes them (``1m30s``, ``500ms``), in nanoseconds; HEALTHCHECK's options use them."""

import re
from decimal import Decimal

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> int:
    """The nanoseconds of ``text``.

    Raises:
        ValueError: it is no duration, or a negative one.
    """
    if text == "0":
        return 0
    total, at = Decimal(0), 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            break
        total += Decimal(part[1]) * _UNITS[part[2]]
        at = part.end()
    if not text or at < len(text) or total >= 2**63:
        raise ValueError(f"{text!r} is no duration")
    return int(total)
