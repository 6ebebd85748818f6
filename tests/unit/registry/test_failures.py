"""Registries' errors in our words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import Conflict, Forbidden, InvalidInput, KistError, NotFound, Unavailable, Unsupported
from kist.registry.failures import refusal, shown


def said(code: str, message: str = "so it is") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "known", "kind", "message", "hint"),
    [
        (401, said("UNAUTHORIZED"), False, Forbidden, "so it is (UNAUTHORIZED)", "docker login r.example keeps"),
        (401, said("UNAUTHORIZED"), True, Forbidden, "so it is", "the name or the password is another one there"),
        (403, said("DENIED"), True, Forbidden, "(DENIED)", "its owner has to allow it"),
        (403, said("DENIED"), False, Forbidden, "(DENIED)", "docker login"),
        (404, said("NAME_UNKNOWN"), False, NotFound, "(NAME_UNKNOWN)", "look at the name"),
        (404, said("MANIFEST_UNKNOWN", ""), False, NotFound, "push a: MANIFEST_UNKNOWN", "look at the name"),
        (400, said("DIGEST_INVALID"), False, InvalidInput, "(DIGEST_INVALID)", ""),
        (405, said("UNSUPPORTED"), False, Unsupported, "(UNSUPPORTED)", ""),
        (429, said("TOOMANYREQUESTS"), False, Unavailable, "(TOOMANYREQUESTS)", "wait some minutes"),
        (429, b"<html>", False, Unavailable, "429 Too Many Requests", "wait some minutes"),
        (413, b"", False, Unavailable, "413", "a proxy before the registry"),
        (502, b"", False, Unavailable, "502 Bad Gateway", "try again"),
        (409, b"[]", False, Conflict, "409 Conflict", ""),
        (418, b'{"errors": "none"}', False, InvalidInput, "418", ""),
        (400, b'{"errors": [7, {"code": null}]}', False, InvalidInput, "UNKNOWN", ""),
    ],
)
def test_an_answer(status: int, body: bytes, known: bool, kind: type[KistError], message: str, hint: str) -> None:
    error = refusal("r.example", "push a", status, body, known=known)
    assert type(error) is kind
    assert error.message.startswith("r.example: push a: ")
    assert message in error.message
    assert hint in error.hint


@given(st.binary(), st.integers(400, 599))
def test_whatever_a_server_says(body: bytes, status: int) -> None:
    error = refusal("r.example", "push a", status, body, known=False)
    assert error.message.isprintable()


@given(st.text())
def test_what_is_shown_is_one_line_and_harmless(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 301
