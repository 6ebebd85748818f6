"""Times as Docker writes and reads them: RFC 3339 with nanoseconds, Unix times, Go's durations, words for people.

Kist's own times are nanoseconds since the epoch, 0 for never.
"""

import re
from datetime import UTC, datetime, timedelta

from kist.errors import InvalidInput

NEVER = "0001-01-01T00:00:00Z"
_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?\Z")
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9})\d*)?)?(Z|z|[+-]\d{2}:\d{2})?\Z"
)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 1_000_000, "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND}


def write_time(nanoseconds: int) -> str:
    """RFC 3339 with as many digits of the fraction as there are (Go's RFC3339Nano); 0 is Go's zero time."""
    if not nanoseconds:
        return NEVER
    seconds, fraction = divmod(nanoseconds, _SECOND)
    moment = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{moment}.{digits}Z" if digits else moment + "Z"


def write_moment(nanoseconds: int) -> str | None:
    """Unix seconds with nine digits of a fraction, as query parameters have them; None for 0."""
    return f"{nanoseconds // _SECOND}.{nanoseconds % _SECOND:09d}" if nanoseconds else None


def read_time(text: str, *, now: int = 0, what: str = "time") -> int:
    """A moment of a query parameter: Unix seconds with a fraction, RFC 3339, or a Go duration before ``now``.

    Raises:
        InvalidInput: it is none of them.
    """
    if not text or text == "0":
        return 0
    for read in (_read_unix, _read_rfc3339, _read_duration):
        found = read(text, now)
        if found is not None:
            return found
    raise InvalidInput(
        f"invalid value for {what!r}: {text!r}",
        hint="write Unix seconds, a time like 2026-01-31T12:00:00Z, or a duration like 10m before now",
    )


def _read_unix(text: str, _now: int) -> int | None:
    found = _UNIX.match(text)
    if not found:
        return None
    value = int(found[2]) * _SECOND + int((found[3] or "").ljust(9, "0"))
    return -value if found[1] else value


def _read_rfc3339(text: str, _now: int) -> int | None:
    found = _RFC3339.match(text)
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    if clock and len(clock) == 5:
        clock += ":00"
    zone = "+00:00" if zone in {None, "Z", "z"} else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    except ValueError:
        return None
    whole = int((moment - _EPOCH) / timedelta(seconds=1))
    return whole * _SECOND + int((fraction or "").ljust(9, "0"))


def _read_duration(text: str, now: int) -> int | None:
    total, end = 0.0, 0
    for part in _DURATION.finditer(text):
        if part.start() != end:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        end = part.end()
    return now - int(total) if end == len(text) else None


def describe_duration(nanoseconds: int) -> str:
    """A length of time in Docker's words: ``Less than a second``, ``5 minutes``, ``About an hour``."""
    seconds = max(0, nanoseconds) // _SECOND
    minutes, hours = seconds // 60, (seconds + 1800) // 3600
    days = hours // 24
    if seconds < 60:
        return ("Less than a second", "1 second")[seconds] if seconds < 2 else f"{seconds} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"
