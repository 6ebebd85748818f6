"""Where registries are."""

import pytest

from kist.errors import Unavailable
from kist.registry.hosts import Origin, authority_of, is_loopback, led_to
from kist.spec.reference import Reference


@pytest.mark.parametrize(
    ("reference", "authority", "loopback"),
    [
        ("debian", "registry-1.docker.io", False),
        ("ada/tool:1", "registry-1.docker.io", False),
        ("registry.example.org/tool", "registry.example.org", False),
        ("registry.example.org:5000/tool", "registry.example.org:5000", False),
        ("localhost/tool", "localhost", True),
        ("localhost:5000/tool", "localhost:5000", True),
        ("127.0.0.1:5000/tool", "127.0.0.1:5000", True),
        ("127.8.0.9/tool", "127.8.0.9", True),
        ("128.0.0.1:5000/tool", "128.0.0.1:5000", False),
        ("[::1]:5000/tool", "[::1]:5000", True),
        ("[2001:db8::1]:5000/tool", "[2001:db8::1]:5000", False),
        ("localhost.example.org/tool", "localhost.example.org", False),
        ("127.0.0.1.example.org/tool", "127.0.0.1.example.org", False),
    ],
)
def test_the_registry_of_a_reference(reference: str, authority: str, loopback: bool) -> None:
    domain = Reference.parse(reference).domain
    assert authority_of(domain) == authority
    assert is_loopback(domain) == loopback


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("https://a.example:443/v2/", "https://a.example"),
        ("http://A.example:80", "http://a.example"),
        ("http://[::1]:5000/v2/", "http://[::1]:5000"),
        ("https://name:password@a.example/", "https://a.example"),
    ],
)
def test_origins(url: str, origin: str) -> None:
    assert str(Origin.of(url)) == origin


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example/", "https://", "http://a:b", "nothing", "", "http://a/\xe9"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Unavailable, match="no address of HTTP"):
        Origin.of(url)


def test_where_a_location_leads() -> None:
    assert led_to("https://a.example/v2/x/", "/v2/y?z=1") == "https://a.example/v2/y?z=1"
    assert led_to("http://localhost/v2/x/", "y") == "http://localhost/v2/x/y"
    assert led_to("https://a.example/v2/", "https://b.example/c") == "https://b.example/c"
    with pytest.raises(Unavailable, match="not encrypted"):
        led_to("https://a.example/v2/", "http://a.example/c")
