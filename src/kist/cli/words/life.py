"""How long, how often, in whose namespaces: durations, restart policies, namespace modes, platforms."""

from kist.cli.values import in_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION = "a duration is a number with ms, s, m or h: 30s, 1m30s"
_LEAST = 1_000_000
_POLICIES = ("no", "always", "unless-stopped", "on-failure")


def duration(text: str) -> int:
    """Nanoseconds of a duration in Go's words, 0 for the default; nothing under a millisecond."""
    total, rest = 0.0, "" if text == "0" else text or "?"
    while rest:
        after = rest.lstrip("0123456789.")
        number = rest.removesuffix(after)
        rest = after.lstrip("nuµmsh")
        total += _part(number, after.removesuffix(rest))
    if 0 < total < _LEAST:
        raise ValueError("the shortest is 1ms")
    return in_range(round(total), "a duration in nanoseconds")


def _part(number: str, unit: str) -> float:
    if unit not in _UNITS or not number or number.count(".") > 1 or number == "." or not number.isascii():
        raise ValueError(_DURATION)
    return float(number) * _UNITS[unit]


def restart(text: str) -> "dict[str, object]":
    """``no``, ``always``, ``unless-stopped``, ``on-failure`` or ``on-failure:COUNT``."""
    name, colon, count = text.partition(":")
    if name not in _POLICIES or (colon and (name != "on-failure" or not (count.isascii() and count.isdigit()))):
        raise ValueError("it is no, always, unless-stopped, or on-failure[:COUNT]")
    return {"Name": name, "MaximumRetryCount": int(count) if count else 0}


def _shown(word: str) -> str:
    if word == "container:":
        return "container:NAME"
    return f"{word[:-1]}[:OPTIONS]" if word.endswith(":") else word


def mode(*allowed: str) -> "Callable[[str], str]":
    """A parser of namespace modes; one that ends in a colon takes a word after it (``container:NAME``)."""
    plain = [word for word in allowed if word + ":" not in allowed]
    shown = ", ".join(map(_shown, plain))

    def parse(text: str) -> str:
        head, colon, rest = text.partition(":")
        if (colon and not rest) or (head + colon if colon else text) not in allowed:
            raise ValueError(f"allowed {'is' if len(plain) == 1 else 'are'} {shown}")
        return text

    return parse


ipc = mode("none", "private", "shareable", "host", "container:")
pid = mode("host", "container:")
uts = mode("host")
userns = mode("host", "auto", "auto:", "keep-id", "keep-id:", "container:")


def platform(text: str) -> str:
    """``OS/ARCHITECTURE[/VARIANT]`` or one of its parts."""
    parts = text.split("/")
    if not 0 < len(parts) < 4 or not all(part.isascii() and part.replace("_", "").isalnum() for part in parts):
        raise ValueError("it is OS/ARCHITECTURE[/VARIANT], as in linux/arm64")
    return text


def attach(text: str) -> str:
    """One of the three standard streams."""
    name = text.lower()
    if name not in {"stdin", "stdout", "stderr"}:
        raise ValueError("allowed are stdin, stdout and stderr")
    return name
