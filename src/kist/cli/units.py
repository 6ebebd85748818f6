"""Times and sizes as Docker's tables show them."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WEEK, _MONTH, _YEAR = 7 * _DAY, 30 * _DAY, 365 * _DAY


def ago(seconds: float) -> str:
    """``2 minutes ago``."""
    return duration(seconds) + " ago"


def duration(seconds: float) -> str:
    """A length of time in one unit, the largest of which there are two; or "About a minute", "About an hour"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < _MINUTE:
        return f"{whole} seconds"
    if whole < 2 * _MINUTE:
        return "About a minute"
    if whole < _HOUR:
        return f"{whole // _MINUTE} minutes"
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, unit, word in (
        (2 * _DAY, _HOUR, ""),
        (2 * _WEEK, _DAY, "days"),
        (2 * _MONTH, _WEEK, "weeks"),
        (2 * _YEAR, _MONTH, "months"),
    ):
        if whole < limit:
            return f"{whole // unit} {word}" if word else f"{hours} hours"
    return f"{whole // _YEAR} years"


def size(count: float) -> str:
    """Bytes in powers of 1000, three digits: ``1.98MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}PB"


def binary_size(count: float) -> str:
    """Bytes in powers of 1024, four digits: ``23.54GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1023.5:
            return f"{count:.4g}{unit}"
        count /= 1024
    return f"{count:.4g}PiB"


def moment(seconds: int) -> str:
    """A time of day as Go prints it: ``2026-01-31 10:20:30 +0100 CET``."""
    import time  # noqa: PLC0415 - few ask for it

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def epoch(text: str) -> float:
    """Seconds since the epoch of a date of RFC 3339 with up to nine decimals; 0 for Docker's "never" (year 1)."""
    if not text or text.startswith("0001-"):
        return 0.0
    from datetime import datetime  # noqa: PLC0415 - few verbs read such dates

    head, point, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))] if point else ""
    zone = tail[len(digits) :] if point else ""
    moment = datetime.fromisoformat(head + zone if point else text)
    return moment.timestamp() + (float(f"0.{digits}") if digits else 0.0)
