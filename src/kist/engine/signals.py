"""Signals by name."""

import re
import signal

from kist.errors import InvalidInput

# The numbers between depend on the C library (glibc keeps two for itself), so these are always relative.
_REAL_TIME = re.compile(r"RTMIN\+(?P<from>[0-9]{1,2})|RTMAX-(?P<to>[0-9]{1,2})")


def signal_number(name: str | int) -> int:
    """The number of a signal given as ``KILL``, ``SIGKILL``, ``9``, or ``RTMIN+3`` and ``RTMAX-1``.

    Raises:
        InvalidInput: there is no such signal.
    """
    text = str(name).upper()
    number = int(text) if text.isdecimal() and text.isascii() else _by_name(text.removeprefix("SIG"))
    if not 0 < number <= signal.SIGRTMAX:
        raise InvalidInput(
            f"invalid signal: {name}", hint=f"a signal is a name such as TERM, or a number from 1 to {signal.SIGRTMAX}"
        )
    return number


def _by_name(name: str) -> int:
    """Its number; 0 when there is no such signal."""
    found = _REAL_TIME.fullmatch(name)
    if found and found["from"]:
        number = signal.SIGRTMIN + int(found["from"])
    elif found:
        number = signal.SIGRTMAX - int(found["to"])
    else:
        return getattr(signal, "SIG" + name, 0) if name.isalnum() else 0
    return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else 0
