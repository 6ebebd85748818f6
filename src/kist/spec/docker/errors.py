"""Errors on the wire: Docker's ``message``, and beside it what Kist's own clients rebuild the error from."""

from typing import Any

from kist.errors import KistError


def write_error(error: KistError) -> dict[str, Any]:
    """The body of an error answer."""
    return {
        "message": str(error),
        "hint": error.hint,
        "error": type(error).__name__,
        "exit_code": error.exit_code,
    }
