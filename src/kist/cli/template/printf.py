"""Go's ``fmt.Sprintf`` (https://pkg.go.dev/fmt), for the verbs that templates use."""

import re

from kist.cli.template.values import NO_VALUE, GoError, show, show_float

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_VERB = re.compile(r"%([-+# 0]*)(\*|[0-9]+)?(?:\.(\*|[0-9]*))?(.?)", re.DOTALL)
_WIDEST = 1000


def sprintf(form: str, values: "Sequence[Any]") -> str:
    """``form`` with its verbs replaced; a verb that does not fit is shown as Go shows it: ``%!d(string=x)``.

    Raises:
        GoError: a width beyond a thousand.
    """
    rest = list(values)

    def replace(found: "re.Match[str]") -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        wide, exact = _number(width, rest), _number(precision, rest)
        if not rest:
            return f"%!{verb}(MISSING)"
        return _one(verb, flags, wide, exact, rest.pop(0))

    text = _VERB.sub(replace, form)
    if rest:
        text += "%!(EXTRA " + ", ".join(f"{_kind(value)}={show(value, inside=True)}" for value in rest) + ")"
    return text


def _number(text: "str | None", rest: "list[Any]") -> "int | None":
    """A width or precision; ``*`` takes it from the values."""
    if text is None:
        return None
    value = rest.pop(0) if text == "*" and rest else text or "0"
    if not str(value).isdecimal() or int(value) > _WIDEST:
        raise GoError(f"the width {show(value)} is none from 0 to {_WIDEST}")
    return int(value)


def _one(verb: str, flags: str, width: "int | None", precision: "int | None", value: "Any") -> str:
    convert = _CONVERSIONS.get(verb)
    text = convert(value, flags, precision) if convert is not None else None
    if text is None:
        return f"%!{verb}({_kind(value)}={show(value, inside=True)})"
    wide = width or 0
    if "-" in flags:
        return text.ljust(wide)
    if "0" in flags and isinstance(value, int | float):
        sign = text[:1] if text[:1] in {"+", "-"} else ""
        return sign + text[len(sign) :].rjust(wide - len(sign), "0")
    return text.rjust(wide)


def _kind(value: "Any") -> str:
    if value is None or value is NO_VALUE:
        return "<nil>"
    names = {bool: "bool", int: "int", float: "float64", str: "string"}
    return names.get(type(value), "map[string]interface {}" if isinstance(value, dict) else "[]interface {}")


def _signed(text: str, flags: str) -> str:
    return "+" + text if "+" in flags and not text.startswith("-") else text


def _any(value: "Any", flags: str, precision: "int | None") -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _signed(show(value), flags)
    if isinstance(value, str) and "#" in flags:
        return quote(value)
    return show(value, inside=True)[:precision]


def _text(value: "Any", _flags: str, precision: "int | None") -> "str | None":
    if isinstance(value, list):
        return show(value)
    return value[:precision] if isinstance(value, str) else None


def quote(text: str) -> str:
    """The text as a Go string constant."""
    import json  # noqa: PLC0415 - for %q only

    return json.dumps(text, ensure_ascii=False)


def _quoted(value: "Any", _flags: str, precision: "int | None") -> "str | None":
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "[" + " ".join(map(quote, value)) + "]"
    return quote(value[:precision]) if isinstance(value, str) else None


def _integer(base: str) -> "Callable[[Any, str, int | None], str | None]":
    def convert(value: "Any", flags: str, precision: "int | None") -> "str | None":
        if isinstance(value, str) and base in "xX":
            return (
                format(value.encode(errors="surrogateescape").hex(), "s")
                if base == "x"
                else value.encode().hex().upper()
            )
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(base, "") if "#" in flags else ""
        digits = format(abs(value), base).rjust(precision or 0, "0")
        return _signed(("-" if value < 0 else "") + prefix + digits, flags)

    return convert


def _floating(verb: str) -> "Callable[[Any, str, int | None], str | None]":
    def convert(value: "Any", flags: str, precision: "int | None") -> "str | None":
        if not isinstance(value, float):
            return None
        if verb == "g" and precision is None:
            return _signed(show_float(value), flags)
        return _signed(format(value, f".{6 if precision is None else precision}{verb}"), flags)

    return convert


def _boolean(value: "Any", _flags: str, _precision: "int | None") -> "str | None":
    return show(value) if isinstance(value, bool) else None


def _character(value: "Any", _flags: str, _precision: "int | None") -> "str | None":
    whole = isinstance(value, int) and not isinstance(value, bool)
    return chr(value) if whole and 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000 else None


_CONVERSIONS: "dict[str, Callable[[Any, str, int | None], str | None]]" = {
    "v": _any,
    "s": _text,
    "q": _quoted,
    "t": _boolean,
    "c": _character,
    **{verb: _integer(verb) for verb in "dxXob"},
    **{verb: _floating(verb) for verb in "feEgG"},
}
