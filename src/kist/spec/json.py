"""The one place where JSON becomes values and values become JSON.

The encoding is canonical (keys in the order of the declaration, no white space), so equal values give equal digests.
"""

import json
import threading
from functools import cache
from typing import Any, TypeVar

import msgspec

from kist.errors import InvalidInput
from kist.spec.digest import Digest

T = TypeVar("T")

# msgspec describes a class to itself when it first meets it, and lets other threads see a description that is not whole
# yet: they crash (0.22). So one thread at a time meets classes, and all of a kind at once.
_meeting = threading.Lock()


def encode(value: Any) -> bytes:
    """The JSON text of a value, UTF-8."""
    return msgspec.json.encode(value, enc_hook=_encode_hook)


def encode_escaped(value: Any) -> bytes:
    """The same, where a string may come from a file's name, which can be any bytes (PEP 383).

    What is no Unicode is escaped, one surrogate for each byte: readers in JavaScript and Python get the name as it is,
    those in Go U+FFFD.
    """
    try:
        return encode(value)
    except UnicodeEncodeError:
        return json.dumps(to_builtins(value), separators=(",", ":")).encode()


def encode_replaced(value: Any) -> bytes:
    """The same for readers that take no surrogates: U+FFFD stands for each byte that is no Unicode."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        text = json.dumps(to_builtins(value), separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def decode(data: bytes | str, kind: type[T], *, what: str = "JSON") -> T:
    """The value of ``kind`` that ``data`` spells.

    Raises:
        InvalidInput: it is not JSON, or not of that shape; the message names ``what`` and the path in it.
    """
    try:
        decoded: T = _decoder(kind).decode(data)  # type: ignore[arg-type] # a class is hashable
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"invalid {what}: {error}") from error
    return decoded


def convert(value: Any, kind: type[T], *, what: str = "value") -> T:
    """The value of ``kind`` that plain JSON objects (dict, list, str, …) spell."""
    _decoder(kind)  # type: ignore[arg-type] # the same
    try:
        return msgspec.convert(value, type=kind, dec_hook=_decode_hook)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"invalid {what}: {error}") from error


def to_builtins(value: Any) -> Any:
    """The plain JSON objects of a value."""
    return msgspec.to_builtins(value, enc_hook=_encode_hook)


@cache
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    with _meeting:
        return msgspec.json.Decoder(kind, dec_hook=_decode_hook)


def _encode_hook(value: object) -> object:
    if isinstance(value, str):
        return str.__str__(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _decode_hook(kind: type, value: object) -> object:
    if kind is Digest and isinstance(value, str):
        return Digest(value)
    raise NotImplementedError(f"no {kind.__name__} in JSON")
