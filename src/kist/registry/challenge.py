"""``WWW-Authenticate``: what a server wants of who asks (RFC 9110, 11.6.1), and a token's scopes. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*')
_SCHEME = re.compile(rf"\s*({_WORD})(?=\s|,|$)[ \t]*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?=,|$)")
_LONGEST = 16 << 10  # characters that are looked at


class Challenge(NamedTuple):
    """A scheme, in lower case, and its parameters, whose names are in lower case too."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all headers of this name; what breaks the grammar ends its header."""
    found: list[Challenge] = []
    for header in headers:
        found += _read(header[:_LONGEST])
    return found


def _read(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] in ", \t":
            at += 1
        elif found and (match := _PARAMETER.match(text, at)):
            value = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
            parameters.setdefault(match[1].lower(), value)
            at = match.end()
        elif match := _SCHEME.match(text, at):
            parameters = {}
            found.append(Challenge(match[1].lower(), parameters))
            at = match.end()
            if not _PARAMETER.match(text, at) and (token := _TOKEN68.match(text, at)):
                at = token.end()  # of Negotiate, say
        else:
            break
    return found


def token_query(service: str, scopes: Iterable[str], account: str = "") -> str:
    """The query of a request for a token (``GET realm?…``); each scope is a parameter of its own."""
    pairs = [("service", service)] if service else []
    pairs += [("scope", scope) for scope in scopes]
    pairs += [("account", account)] if account else []
    return urlencode(pairs)


def merged_scopes(wanted: Iterable[str], told: str) -> tuple[str, ...]:
    """The scopes that a token is asked for: those that the work needs, and what the challenge names beside them."""
    actions: dict[str, dict[str, None]] = {}
    for scope in (*wanted, *told.split()):
        resource, _, names = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(names.split(",")))
    return tuple(f"{resource}:{','.join(names)}" for resource, names in actions.items())
