"""Errors on the wire: Docker's ``message``, and beside it what Kist's own clients rebuild the error from."""

from typing import Any

from kist.errors import KistError, StepFailed, by_name


def write_error(error: KistError) -> dict[str, Any]:
    """The body of an error answer."""
    return {
        "message": str(error),
        "hint": error.hint,
        "error": type(error).__name__,
        "exit_code": error.exit_code,
    }


def read_error(body: dict[str, Any]) -> KistError:
    """The error that a body of an error answer spells; a body without Kist's fields gives a plain ``KistError``."""
    kind = by_name(str(body.get("error") or ""))
    message, hint = str(body.get("message") or "unknown error"), str(body.get("hint") or "")
    if kind is StepFailed:
        return StepFailed(message, hint=hint, exit_code=int(body.get("exit_code") or 1))
    return kind(message, hint=hint)
