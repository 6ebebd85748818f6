"""Where a registry is found, and what of it may go unencrypted. Pure."""

import ipaddress
from typing import NamedTuple, Self
from urllib.parse import urljoin, urlsplit

from kist.errors import Unavailable
from kist.spec.reference import DEFAULT_DOMAIN

_HUB = "registry-1.docker.io"
_PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """A scheme, a host and a port (RFC 6454): what credentials are for, and nothing else."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """The origin of a URL.

        Raises:
            Unavailable: it is none of HTTP's: a server has named it.
        """
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError:
            scheme, host, port = "", "", None
        if scheme not in _PORTS or not host or not url.isascii():
            raise Unavailable(f"a registry leads to {url[:200]!a}, which is no address of HTTP")
        return cls(scheme, host, port or _PORTS[scheme])

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, as in a URL and in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def authority_of(domain: str) -> str:
    """Where the registry of a reference's domain serves its API."""
    return _HUB if domain == DEFAULT_DOMAIN else domain


def is_loopback(domain: str) -> bool:
    """Whether it is this machine: ``localhost``, 127.0.0.0/8, ``::1``. What goes there needs no encryption."""
    host = urlsplit(f"//{domain}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def led_to(base: str, location: str) -> str:
    """The URL that a server's ``Location`` leads to.

    Raises:
        Unavailable: it leads from an encrypted connection to one that is not, or to no address of HTTP.
    """
    try:
        url = urljoin(base, location)
    except ValueError:
        url = location  # which is no URL
    if Origin.of(base).scheme == "https" and Origin.of(url).scheme != "https":
        raise Unavailable(
            f"{Origin.of(base)} leads to {Origin.of(url)}, which is not encrypted",
            hint="its administrator has to set its external address (https)",
        )
    return url
