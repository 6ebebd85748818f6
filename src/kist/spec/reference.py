"""Names of images (the ``distribution/reference`` grammar, with Docker's familiar short forms)."""

import re
from typing import Self

import msgspec

from kist.errors import InvalidInput
from kist.spec.digest import Digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_MAX_NAME = 255


class Reference(msgspec.Struct, frozen=True):
    """A full image name: every part that the short form leaves out is filled in."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[domain/]path[:tag][@digest]``; a name with neither tag nor digest gets ``:latest``.

        Raises:
            InvalidInput: names the part that breaks the grammar.
        """
        rest, at, digest = text.partition("@")
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            head, tag = rest, ""
        if colon and not tag and rest.endswith(":"):
            raise _invalid(text, "the tag after ':' is empty")
        domain, path = _split_domain(head)
        _check(text, domain, path, tag)
        if at and not digest:
            raise _invalid(text, "the digest after '@' is empty")
        checked = Digest(digest) if digest else None
        return cls(domain, path, tag or ("" if checked else DEFAULT_TAG), checked)

    @property
    def name(self) -> str:
        """``domain/path``, without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: ``debian``, ``user/tool``, ``example.org/tool``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        prefix = DEFAULT_NAMESPACE + "/"
        short = self.path.removeprefix(prefix)
        return short if "/" not in short else self.path

    @property
    def familiar(self) -> str:
        """The whole name as people write it: ``debian:12``."""
        return self.familiar_name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def comparable(name: str) -> str:
    """A name as names of build contexts are compared: ``alpine`` is ``docker.io/library/alpine:latest``."""
    try:
        return Reference.parse(name).familiar.removesuffix(":latest").lower()
    except InvalidInput:
        return name.lower()


def _split_domain(head: str) -> tuple[str, str]:
    """The first component is a domain when it could not be a path component of Docker's own registry."""
    first, slash, rest = head.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return first, rest
    return DEFAULT_DOMAIN, head if slash else f"{DEFAULT_NAMESPACE}/{head}"


def _check(text: str, domain: str, path: str, tag: str) -> None:
    if not _DOMAIN.match(domain):
        raise _invalid(text, f"{domain!r} is not a host name with an optional port")
    if len(domain) + 1 + len(path) > _MAX_NAME:
        raise _invalid(text, f"the name is longer than {_MAX_NAME} characters")
    for component in path.split("/"):
        if _COMPONENT.match(component):
            continue
        if component != component.lower():
            raise _invalid(text, "repository name must be lowercase")
        raise _invalid(text, f"{component!r} must be letters, digits and single separators ('.', '_', '__', '-')")
    if tag and not _TAG.match(tag):
        raise _invalid(text, f"tag {tag!r} must be up to 128 letters, digits, '_', '.' or '-'")


def _invalid(text: str, why: str) -> InvalidInput:
    hint = "a name looks like debian:12 or host/path:tag"
    return InvalidInput(f"invalid reference format: {text!r}: {why}", hint=hint)
