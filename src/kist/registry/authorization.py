"""How a registry is told who asks: by name and password (RFC 7617), or by a token that another server gives for those.

Tokens are had as the distribution project's token authentication has it, and its OAuth 2 form for identity tokens.
"""

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from kist.errors import Forbidden, InvalidInput, Unavailable
from kist.registry.challenge import Challenge, merged_scopes, token_query
from kist.spec.credentials import Login
from kist.spec.json import decode

_USUAL_SECONDS = 60  # that a token is good for, where its server does not say
_MOST_SECONDS = 24 * 60 * 60
_MARGIN = 5
_CLIENT = "kist"

Scopes = tuple[str, ...]
Fetch = Callable[[str, str, dict[str, str], bytes], bytes]
"""Method, URL, headers and body of a request to a token server; the answer's body."""


class Authorization:
    """What one registry is told of who asks. Safe from many threads.

    Args:
        login: empty for nobody.
        fetch: makes a request to a token server.
    """

    def __init__(self, login: Login, fetch: Fetch) -> None:
        self._login = login
        self._fetch = fetch
        self._lock = threading.Lock()
        self._basic = False
        self._tokens: dict[Scopes, tuple[str, float]] = {}

    def headers(self, scopes: Scopes) -> dict[str, str]:
        """What goes with a request for which these are needed, as far as the registry has told what it wants."""
        if self._login.registry_token:
            return {"Authorization": f"Bearer {self._login.registry_token}"}
        with self._lock:
            if self._basic:
                return self._pair()
            token, until = self._tokens.get(scopes, ("", 0.0))
        return {"Authorization": f"Bearer {token}"} if token and time.monotonic() < until else {}

    def learn(self, challenges: Sequence[Challenge], scopes: Scopes, sent: Mapping[str, str]) -> Mapping[str, str]:
        """What a registry wants that has refused a request; what ``headers`` gave for that where there is nothing else.

        Raises:
            Forbidden: the token server refuses who asks.
            Unavailable: it cannot be asked, or gives no token.
        """
        if (known := self.headers(scopes)) != sent:
            return known  # another thread has learnt it meanwhile
        for challenge in challenges:
            if self._login.registry_token:
                break
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                token, seconds = self._token(challenge, scopes)
                with self._lock:
                    self._tokens[scopes] = (token, time.monotonic() + max(seconds - _MARGIN, 1))
                break
            if challenge.scheme == "basic" and self._login.username:
                with self._lock:
                    self._basic = True
                break
        return self.headers(scopes)

    def _pair(self) -> dict[str, str]:
        pair = f"{self._login.username}:{self._login.password}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def _token(self, challenge: Challenge, scopes: Scopes) -> tuple[str, int]:
        realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
        needed = merged_scopes(scopes, challenge.parameters.get("scope", ""))
        if self._login.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT,
                "scope": " ".join(needed),
                "refresh_token": self._login.identity_token,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return _read(self._fetch("POST", realm, headers, urlencode(form).encode()))
        query = token_query(service, needed, self._login.username)
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        return _read(self._fetch("GET", url, self._pair() if self._login.username else {}, b""))


def _read(body: bytes) -> tuple[str, int]:
    """The token of a token server's answer, and for how many seconds it is good."""
    try:
        found = decode(body, dict[str, Any], what="answer of the token server")
    except InvalidInput as error:
        raise Unavailable(error.message) from None
    token, seconds = found.get("token") or found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
        raise Forbidden("the token server gives no token", hint="log in again; see docker login")
    return token, min(seconds, _MOST_SECONDS) if isinstance(seconds, int) and seconds > 0 else _USUAL_SECONDS
