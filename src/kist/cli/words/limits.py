"""Limits with a grammar: ``--ulimit``, ``--cpuset-cpus``."""

from kist.cli.values import in_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ULIMITS = ("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
            "rtprio", "rttime", "sigpending", "stack")  # fmt: skip


def ulimit(text: str) -> "dict[str, Any]":
    """``nofile=1024:2048``: the soft limit and, after a colon, the hard one; -1 for none."""
    name, equals, values = text.partition("=")
    if name not in _ULIMITS:
        raise ValueError(f"it is NAME=SOFT[:HARD]; the names are {', '.join(_ULIMITS)}")
    soft, colon, hard = values.partition(":")
    low = _limit(soft)
    high = _limit(hard) if colon else low
    if not equals or low is None or high is None:
        raise ValueError("it is NAME=SOFT[:HARD] with whole numbers, or -1 for no limit: nofile=1024:2048")
    if high != -1 and (low == -1 or low > high):
        raise ValueError(f"the soft limit ({low}) is at most the hard one ({high})")
    return {"Name": name, "Soft": low, "Hard": high}


def _limit(text: str) -> "int | None":
    if text == "-1":
        return -1
    return in_range(int(text), "a limit", -1) if text.isascii() and text.isdigit() else None


def number_list(text: str) -> str:
    """``0-3,7``: numbers and ranges of them."""
    for part in text.split(","):
        low, dash, high = part.partition("-")
        ends = (low, high) if dash else (low,)
        if not all(end.isascii() and end.isdigit() for end in ends) or (dash and int(low) > int(high)):
            raise ValueError("it is a list of numbers and ranges: 0-2,5")
    return text
