"""What requests say that are about a registry (Engine API: ImageCreate, ImagePush, ImageSearch, SystemAuth)."""

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from kist.errors import Forbidden, InvalidInput
from kist.spec.credentials import NOBODY, Login, Logins, read_pair
from kist.spec.docker import fields
from kist.spec.docker.filters import read_filters, read_truth
from kist.spec.json import decode
from kist.spec.reference import DEFAULT_DOMAIN, Reference

_RESERVED = "scratch"
_SEARCH_FILTERS = frozenset({"is-automated", "is-official", "stars"})
_MOST_FOUND = 100
_URL_SAFE = str.maketrans("-_", "+/")
_LOGIN = ("username", "password", "email", "auth", "serveraddress", "identitytoken", "registrytoken")


class Named(NamedTuple):
    """A name of a request: of one image, or, with ``every``, of all images of its repository."""

    reference: Reference
    every: bool = False

    def covers(self, name: str) -> bool:
        """Whether this full name is meant."""
        if self.every:
            return Reference.parse(name).name == self.reference.name
        return name == str(self.reference)


def read_named(image: str, tag: str) -> Named:
    """The image that ``fromImage`` and ``tag``, or a path and ``tag``, name; the tag may be a digest, and goes first.

    Raises:
        InvalidInput: it is no name.
        Forbidden: nobody may have it.
    """
    text = image.removesuffix(":")  # ``docker pull -a`` writes one
    if tag:
        bare = _bare(text)
        text = f"{bare}@{tag}" if ":" in tag else f"{bare}:{tag}"
    reference = Reference.parse(text)
    if reference.familiar_name == _RESERVED:
        raise Forbidden(f"'{_RESERVED}' is a reserved name")
    return Named(reference, every=text == _bare(text))


def _bare(text: str) -> str:
    """A name without its tag and digest."""
    rest = text.partition("@")[0]
    head, colon, tag = rest.rpartition(":")
    return rest if not colon or "/" in tag else head


def check_search(term: str, limit: int | None, filters: str) -> None:
    """Refuse a search that cannot be right.

    Raises:
        InvalidInput: names the parameter.
    """
    if not term.strip():
        raise InvalidInput("the parameter term is empty", hint="term is what to search for")
    if limit is not None and limit != 0 and not 1 <= limit <= _MOST_FOUND:
        raise InvalidInput(f"limit {limit} is outside the range of [1, {_MOST_FOUND}]")
    found = read_filters(filters, _SEARCH_FILTERS)
    for name in ("is-automated", "is-official"):
        for value in found.get(name, ()):
            read_truth(name, value)
    for value in found.get("stars", ()):
        if not (value.isascii() and value.isdecimal()):
            raise InvalidInput(f"invalid filter 'stars={value}'", hint="it is the least number of stars")


def read_login(body: Mapping[str, Any]) -> str:
    """The registry that somebody is to be logged in to.

    Raises:
        InvalidInput: a field is no string.
    """
    given = {name: fields.text(body, name) for name in _LOGIN}
    return given["serveraddress"] or DEFAULT_DOMAIN


def read_registry_config(header: str) -> Logins:
    """An ``X-Registry-Config``: credentials by registry, as JSON in base64 (of either alphabet).

    Raises:
        InvalidInput: it is none; says what it is instead, and nothing of what is in it.
    """
    if not header:
        return {}
    text = header.translate(_URL_SAFE).rstrip("=")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise InvalidInput("invalid X-Registry-Config: it is no base64") from None
    told = decode(data, dict[str, Any], what="X-Registry-Config")
    return {host: _login(fields.object_of(each, f"X-Registry-Config of {host}")) for host, each in told.items()}


def _login(body: Mapping[str, Any]) -> Login:
    """One of these; ``auth`` stands for a name and a password."""
    given = {name: fields.text(body, name) for name in _LOGIN}
    if not (given["registrytoken"].isascii() and given["registrytoken"].isprintable()):
        raise InvalidInput("invalid X-Registry-Config: a token has characters that no token has")
    pair = read_pair(given["auth"]) if given["auth"] and not given["username"] else NOBODY
    return Login(
        given["username"] or pair.username,
        given["password"] or pair.password,
        given["identitytoken"],
        given["registrytoken"],
    )
