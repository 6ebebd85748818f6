"""The values that options take: text -> value, or a ValueError that says what is allowed."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = "a size is a number with b, k, m or g: 512m"
_CPUS = "a number of CPUs is a decimal number: 0.5, 2"
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
MIN_MEMORY = 6 << 20  # Docker's own floor; below it the container's init does not fit
_LARGEST = (1 << 63) - 1  # what the API's numbers hold


def size(text: str) -> int:
    """Bytes: ``512m``, ``1.5g``, ``64k``, ``1073741824``; units are powers of 1024, as Docker's."""
    lower = text.strip().lower().removesuffix("ib").removesuffix("b") if len(text.strip()) > 1 else text.strip()
    unit = lower[-1:] if lower[-1:].isalpha() else ""
    number = lower.removesuffix(unit) if unit else lower
    if unit not in _UNITS:
        raise ValueError(_SIZE)
    return in_range(int(_decimal(number, _SIZE) * _UNITS[unit]), "a size in bytes")


def memory(text: str) -> int:
    """A limit of memory in bytes, at least 6 MiB."""
    value = size(text)
    if 0 < value < MIN_MEMORY:
        raise ValueError("the minimum memory limit is 6m")
    return value


def cpus(text: str) -> int:
    """CPUs as thousand-millionths of one."""
    value = _decimal(text, _CPUS)
    if 0 < value < 0.01:
        raise ValueError("the minimum is 0.01 CPUs")
    return in_range(round(value * 1_000_000_000), "a number of thousand-millionths of a CPU")


def _decimal(text: str, allowed: str) -> float:
    """Digits with at most one point: neither a sign, an exponent nor a NaN."""
    if not text or text.count(".") > 1 or not text.replace(".", "", 1).isdigit() or not text.isascii():
        raise ValueError(allowed)
    return float(text)


def in_range(value: int, noun: str, least: int = 0) -> int:
    """``value``, where the API's numbers hold it; the engine would refuse it without the option's name."""
    if value > _LARGEST:
        raise ValueError(f"value out of range: {noun} is a whole number from {least} to {_LARGEST}")
    return value


def whole(least: int, noun: str) -> "Callable[[str], int]":
    """A parser of whole numbers from ``least`` up."""

    def parse(text: str) -> int:
        digits = text.removeprefix("-")
        if not digits.isdigit() or not digits.isascii() or int(text) < least:
            raise ValueError(f"{noun} is a whole number from {least} up")
        return in_range(int(text), noun, least)

    return parse


def within(least: int, most: int, *, zero: bool = False) -> "Callable[[str], int]":
    """A parser of whole numbers from ``least`` to ``most``, and 0 where that stands for none."""

    def parse(text: str) -> int:
        digits = text.removeprefix("-")
        good = digits.isdigit() and digits.isascii() and (least <= int(text) <= most or (zero and int(text) == 0))
        if not good:
            raise ValueError(f"it is a whole number from {least} to {most}{', or 0 for none' if zero else ''}")
        return int(text)

    return parse


def swap(text: str) -> int:
    """Bytes of memory and swap together; -1 for as much swap as there is."""
    try:
        return -1 if text == "-1" else size(text)
    except ValueError:
        raise ValueError(f"{_SIZE}, or -1 for as much swap as there is") from None


class choice:  # noqa: N801 - it is used as the other parsers are
    """A parser of words from a list; completion offers ``allowed``."""

    __slots__ = ("allowed",)

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, text: str) -> str:
        """The word, when it is one of them."""
        if text not in self.allowed:
            words = [word for word in self.allowed if word]
            raise ValueError(f"allowed {'is' if len(words) == 1 else 'are'} {', '.join(words)}")
        return text


def container_name(text: str) -> str:
    """A container's name, in Docker's alphabet."""
    if len(text) < 2 or not _NAME_CHARACTERS.issuperset(text) or text[0] in "_.-":
        raise ValueError("a name has two or more letters, digits, '_', '.' or '-', and begins with a letter or digit")
    return text


def assignment(text: str) -> str:
    """``NAME=VALUE`` or ``NAME``."""
    if not text.partition("=")[0]:
        raise ValueError("it is NAME=VALUE or NAME")
    return text


def variables(text: str) -> str:
    """A pattern of names of variables: ``OMP_*``."""
    if not text or "=" in text:
        raise ValueError("it is a pattern of names, such as OMP_*, without a value")
    return text


def pair(text: str) -> "tuple[str, str]":
    """``NAME=VALUE``, taken apart."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError("it is NAME=VALUE")
    return name, value


def volume(text: str) -> "list[str]":
    """The parts of ``SOURCE:TARGET[:OPTIONS]``, or the target alone."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise ValueError("it is SOURCE:TARGET or SOURCE:TARGET:ro")
    if not parts[1 if len(parts) > 1 else 0].startswith("/"):
        raise ValueError("the target is an absolute path")
    return parts


def tmpfs(text: str) -> "tuple[str, str]":
    """``TARGET[:OPTIONS]``, taken apart."""
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise ValueError("the target is an absolute path")
    return target, options


def absolute(text: str) -> str:
    """An absolute path in the container."""
    if not text.startswith("/"):
        raise ValueError("it is an absolute path in the container")
    return text


def capability(text: str) -> str:
    """A capability's name in capitals, with or without ``CAP_``; the engine knows which there are."""
    name = text.upper()
    if not name.replace("_", "").isalpha():
        raise ValueError("a capability is a name like NET_ADMIN, or ALL")
    return name


_SIGNAL = "a signal is a name like TERM or SIGTERM, or a number from 1 to 64"


def signal_name(text: str) -> str:
    """A signal as the API takes it: a name with or without ``SIG``, or a number; the engine knows which there are."""
    if text.isdigit() and text.isascii() and 1 <= int(text) <= 64:
        return text
    name = text.upper().removeprefix("SIG")
    plain = name.replace("RTMIN+", "").replace("RTMAX-", "")
    if not plain.isalnum() or text.isdigit() or not text.isascii():
        raise ValueError(_SIGNAL)
    return name


def known_signal(text: str) -> str:
    """The same, of a signal that there is: for an option that is told wrong before anything is made."""
    from kist.cli import signals  # noqa: PLC0415 - for names only

    name = signal_name(text)
    number = name.removeprefix("RTMIN+").removeprefix("RTMAX-")
    if not number.isdigit() and not signals.exists(name):
        raise ValueError(_SIGNAL)
    return name


def timestamp(now: "Callable[[], float]") -> "Callable[[str], str]":
    """A parser of points in time: ``10m`` (ago), seconds since the epoch, or a date and time of RFC 3339."""

    def parse(text: str) -> str:
        seconds = _duration(text)
        if seconds is not None:
            return f"{now() - seconds:.9f}"
        if text.replace(".", "", 1).isdigit():
            return text
        from datetime import datetime  # noqa: PLC0415 - only for dates

        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError("a time is like 10m (ago), 2026-01-31T10:20:30, or seconds since the epoch") from None
        # Of nine digits, as ``logs -t`` prints them, a datetime keeps six.
        fraction = text.partition(".")[2][:9]
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        return f"{int(moment.timestamp() // 1)}.{digits.ljust(9, '0')}"

    return parse


def _duration(text: str) -> "float | None":
    """Seconds of ``1h30m``; None when it is no duration."""
    total, number = 0.0, ""
    for character in text:
        if character.isdigit() or character == ".":
            number += character
        elif character in _SECONDS and number and number.count(".") < 2 and number != ".":
            total += float(number) * _SECONDS[character]
            number = ""
        else:
            return None
    return total if text and not number else None
