"""What has gone wrong at a registry, in our words: its answers (distribution-spec, "Error Codes"), and where none came.

Pure.
"""

import errno
import http.client
import json
import socket
import ssl
import unicodedata
from typing import Any

from kist.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    KistError,
    NotFound,
    Unavailable,
    Unsupported,
    see_doctor,
)
from kist.registry.hosts import Origin

_LONGEST = 300  # characters of what a server says
_MOST = 3  # errors of one answer that are told
LOGIN_HINT = "docker login {host} keeps a name and a password in ~/.docker/config.json, where Kist looks"
_INSECURE_HINT = "registry.insecure=true allows a registry without encryption, in a network that you trust"
# Alerts of servers that miss a client's certificate, or know nobody who has signed it (RFC 8446, 6.2).
_ABOUT_OURS = ("ALERT_CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_CERTIFICATE_UNKNOWN")
_KINDS: dict[str, type[KistError]] = {
    "UNAUTHORIZED": Forbidden,
    "DENIED": Forbidden,
    "NAME_UNKNOWN": NotFound,
    "MANIFEST_UNKNOWN": NotFound,
    "BLOB_UNKNOWN": NotFound,
    "BLOB_UPLOAD_UNKNOWN": Unavailable,
    "BLOB_UPLOAD_INVALID": Unavailable,
    "MANIFEST_BLOB_UNKNOWN": NotFound,
    "MANIFEST_INVALID": InvalidInput,
    "NAME_INVALID": InvalidInput,
    "TAG_INVALID": InvalidInput,
    "DIGEST_INVALID": InvalidInput,
    "SIZE_INVALID": InvalidInput,
    "UNSUPPORTED": Unsupported,
    "TOOMANYREQUESTS": Unavailable,
}
_STATUSES: dict[int, type[KistError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: Unsupported,
    408: Unavailable,
    409: Conflict,
    413: Unavailable,
    429: Unavailable,
}


class ProxyFailed(OSError):
    """A proxy has not connected us: what it says, or what came in place of its answer."""

    def __init__(self, proxy: Origin, why: str | BaseException) -> None:
        said = f"says {why}" if isinstance(why, str) else f"cannot be used: {_cause(proxy.authority, why)[0]}"
        super().__init__(f"the proxy {proxy} {said}")


def refusal(host: str, doing: str, status: int, body: bytes, *, known: bool) -> KistError:
    """The error that an answer is.

    Args:
        host: the registry's.
        doing: what was asked for, as the start of a sentence (``push tool:1``).
        status: of HTTP.
        body: the beginning of the answer; ``{"errors": […]}`` as the specification has it, or whatever some proxy says.
        known: whether credentials went with the request.
    """
    errors = _errors(body)
    code = errors[0][0] if errors else ""
    kind = _KINDS.get(code) or _STATUSES.get(status) or (InvalidInput if 400 <= status < 500 else Unavailable)
    said = "; ".join(f"{message} ({name})" if message else name for name, message in errors[:_MOST])
    said = said or f"{status} {http.client.responses.get(status, '')}".strip()
    return kind(f"{host}: {doing}: {said}", hint=_hint(host, kind, status, code, known=known))


def unreachable(host: str, doing: str, error: BaseException) -> Unavailable:
    """The error where no answer came: a connection that was refused, broke or cannot be trusted."""
    cause, hint = _cause(host, error)
    return Unavailable(f"{host}: {doing}: {cause}", hint=hint)


def speaks_plainly(error: BaseException) -> bool:
    """Whether a handshake of TLS failed as it does where a server knows none."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, ssl.SSLError):
        return "ALERT" not in (error.reason or "")  # who sends one knows TLS
    return isinstance(error, ConnectionResetError)


def shown(text: str) -> str:
    """A server's words, as they may be shown on a terminal: one line, no control characters, not too long."""
    text = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _errors(body: bytes) -> list[tuple[str, str]]:
    """Code and message of each error of an answer's body; none where it is something else."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    listed = found.get("errors") if isinstance(found, dict) else None
    return [
        (shown(str(each.get("code") or "UNKNOWN")), shown(str(each.get("message") or "")))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    ]


def _hint(host: str, kind: type[KistError], status: int, code: str, *, known: bool) -> str:
    if kind is Forbidden:
        if status == 401 or not known:
            return ("the name or the password is another one there; " if known else "") + LOGIN_HINT.format(host=host)
        return "who is logged in may not do that there; its owner has to allow it"
    if kind is NotFound:
        return "look at the name and the tag; a registry says the same of what must not be seen"
    if status == 429 or code == "TOOMANYREQUESTS":
        return "wait some minutes; many registries allow more to who is logged in"
    if status == 413:
        return "a proxy before the registry takes no requests of that size"
    if kind is Unavailable:
        return "try again; the fault is at the registry"
    return ""


def _cause(host: str, error: BaseException) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not to be trusted: {error.verify_message.lower()}",
            f"put the authority that signed it into /etc/docker/certs.d/{host}/ca.crt",
        )
    if isinstance(error, ProxyFailed):
        return shown(str(error)).lower(), "https_proxy and no_proxy in the engine's environment name the proxy"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | http.client.IncompleteRead):
        return "the connection broke", "try again"
    if isinstance(error, ssl.SSLError):
        if any(each in (error.reason or "") for each in _ABOUT_OURS):
            alert = (error.reason or "").partition("ALERT_")[2].replace("_", " ").lower()
            place = f"/etc/docker/certs.d/{host}"
            hint = f"put one into {place}/client.cert, and its key into client.key beside it"
            return f"it wants a client's certificate that it knows: {alert}", hint
        if error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
            return "it answers in plain HTTP where HTTPS was expected", _INSECURE_HINT
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}", "look at the registry's TLS set-up"
    if isinstance(error, socket.gaierror):
        return f"no such host: {(error.strerror or '').lower()}", see_doctor("dns", "check the name")
    if isinstance(error, TimeoutError):
        return "no answer in time", see_doctor("dns", "check the address and the network")
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "connection refused", "is the registry running, and is this its port?"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "the connection broke", "try again"
    if isinstance(error, http.client.HTTPException):
        return f"it does not answer in HTTP: {type(error).__name__}", "is there a registry at this port?"
    return shown(str(getattr(error, "strerror", None) or error)).lower(), "check the address and the network"
