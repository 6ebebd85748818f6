"""JSON for the processes that must be small or quick to start: the interpreter's own C scanner and string encoder.

``import json`` costs about 7 ms and half a megabyte, nearly all of it for ``re``; the C functions under it cost
nothing. The command line's hot path and the monitors use this; everybody else uses ``kist.spec.json``. Where an
interpreter does not have the C functions, ``json`` does the work.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring as _quote
    from _json import make_scanner as _make_scanner
except ImportError:  # an interpreter without the C accelerator
    _make_scanner = None  # type: ignore[assignment,misc]

_SPACE = " \t\r\n"


class _Plain:
    """What the scanner asks its decoder for: Python's plain types."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def loads(text: "bytes | str") -> "Any":
    """The value that ``text`` spells.

    Raises:
        ValueError: it is not JSON.
    """
    if isinstance(text, bytes):
        text = text.decode()
    if _make_scanner is not None:
        stripped = text.strip(_SPACE)
        try:
            value, end = _make_scanner(_Plain)(stripped, 0)  # type: ignore[arg-type]  # it asks for these attributes
        except (StopIteration, SystemError, RecursionError):
            end = -1  # the scanner leaves the message to ``json``: SystemError when that is not imported
        if end == len(stripped):
            return value
    import json  # noqa: PLC0415 - for the message of an error, and for interpreters without the C scanner

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def dumps(value: "Any") -> str:
    """The compact JSON text of plain values: dict, list, tuple, str, int, float, bool, None."""
    if _make_scanner is None:
        import json  # noqa: PLC0415 - the slow way, for interpreters without the C encoder

        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, str):
        return _quote(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quote(str(key))}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    raise TypeError(f"no JSON form for {type(value).__name__}")
