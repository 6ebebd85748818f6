"""An error answer of the engine becomes the class of ``kist.errors`` that it was there."""

from kist import errors
from kist.spec.jsontext import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# For daemons that do not name the class: Docker's own.
_BY_STATUS = {
    400: errors.InvalidInput,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    501: errors.Unsupported,
    503: errors.Unavailable,
}


def from_response(status: int, body: bytes) -> errors.KistError:
    """The error that an answer of ``status`` with ``body`` stands for."""
    try:
        fields = loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"message": body.decode(errors="replace").strip() or f"the engine answered with status {status}"}
    if status == 404 and fields.get("message") == "page not found":
        return errors.Unsupported(
            "the engine at the other end does not know this request", hint="is it Kist's? Check DOCKER_HOST"
        )
    return from_fields(fields, status)


def from_fields(fields: "dict[str, Any]", status: int = 500) -> errors.KistError:
    """The error of an error body: ``message``, and Kist's ``hint``, ``error`` (the class) and ``exit_code``."""
    message = str(fields.get("message", ""))
    hint = str(fields.get("hint") or "")
    name = fields.get("error")
    kind = errors.by_name(name) if isinstance(name, str) else _BY_STATUS.get(status, errors.KistError)
    if issubclass(kind, errors.StepFailed):
        return kind(message, hint=hint, exit_code=int(fields.get("exit_code") or 1))
    return kind(message, hint=hint)
