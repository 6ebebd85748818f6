"""Signals by name."""

import signal

from kist.errors import InvalidInput


def signal_number(name: str | int) -> int:
    """The number of a signal given as ``KILL``, ``SIGKILL`` or ``9``.

    Raises:
        InvalidInput: there is no such signal.
    """
    text = str(name).upper()
    try:
        number = signal.Signals(int(text)) if text.isdecimal() else signal.Signals["SIG" + text.removeprefix("SIG")]
    except (KeyError, ValueError):
        raise InvalidInput(f"invalid signal: {name}", hint="a signal is a name such as TERM, or a number") from None
    return number.value
