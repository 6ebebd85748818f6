"""Who somebody is to a registry: logins by registry, as Docker's clients keep and send them. Never told, never kept."""

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple

from kist.errors import InvalidInput
from kist.spec.reference import DEFAULT_DOMAIN

_HUB = frozenset({"index.docker.io", "registry-1.docker.io", DEFAULT_DOMAIN})
HUB_KEY = "https://index.docker.io/v1/"
"""The key of Docker's own registry in its clients' files and helpers."""


class Login(NamedTuple):
    """A name and a password; or an identity token, or a registry token, in their place. Its text shows none of them."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Login({self.username!r}, …)" if self.username else "Login(…)"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it, as where a helper has to be asked."""
        return not any(self)


NOBODY = Login()
Logins = Mapping[str, Login]
NO_LOGINS: Logins = {}
"""Logins by keys as Docker's clients have them; ``key_for`` finds one."""


def read_pair(text: str) -> Login:
    """The login of ``auth``: name and password with a colon between, in base 64.

    Raises:
        InvalidInput: it is none; its text does not say what was there.
    """
    try:
        name, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidInput("invalid auth of a login: it is not NAME:PASSWORD in base64") from None
    if not colon:
        raise InvalidInput("invalid auth of a login: it is not NAME:PASSWORD in base64")
    return Login(name, password.rstrip("\0"))


def host_of(key: str) -> str:
    """The domain that a key of logins is about: ``https://index.docker.io/v1/`` is ``docker.io``."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return DEFAULT_DOMAIN if host in _HUB else host


def key_for(logins: Mapping[str, object], domain: str, path: str = "") -> str | None:
    """The key that fits best: of the repository, of what is above it (``containers-auth.json(5)``), of the registry.

    Args:
        logins: by key, as some client has written it.
        domain: of a reference.
        path: of the same; empty for the registry alone.
    """
    whole = f"{domain}/{path}" if path else domain
    while "/" in whole:
        if whole in logins:
            return whole
        whole = whole.rpartition("/")[0]
    exact = HUB_KEY if domain == DEFAULT_DOMAIN else domain
    if exact in logins:
        return exact
    return next((key for key in logins if _is_of_registry(key) and host_of(key) == domain), None)


def _is_of_registry(key: str) -> bool:
    """Not of a part of it: a path is an API's version there, or nothing."""
    path = (key.partition("://")[2] or key).partition("/")[2].strip("/")
    return path in {"", "v1", "v2"}
