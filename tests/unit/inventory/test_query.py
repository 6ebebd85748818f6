"""What is asked for by ``kist why``."""

import pytest

from kist.errors import InvalidInput, ParseError
from kist.inventory.query import parse_query
from kist.spec.package import Package

LIBSSL = Package("deb", "libssl3", "3.0.11-1", "var/lib/dpkg/status", source="openssl")
GCC = Package("deb", "libgcc-s1", "1:12.2.0-14", "p", source="gcc-12", source_version="12.2.0-14")
YAML = Package("pypi", "PyYAML", "6.0.1", "p")
LOG4J = Package("maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "p")


@pytest.mark.parametrize(
    ("asked", "package", "means"),
    [
        ("libssl3", LIBSSL, True),
        ("openssl", LIBSSL, True),
        ("OpenSSL", LIBSSL, True),
        ("ssl", LIBSSL, False),
        ("libssl*", LIBSSL, True),
        ("openssl<3.0.15", LIBSSL, True),
        ("openssl < 3.0.11", LIBSSL, False),
        ("openssl=3.0.11-1", LIBSSL, True),
        ("openssl>=3,<3.1", LIBSSL, True),
        ("openssl>=3,<3.0.1", LIBSSL, False),
        ("openssl!=3.0.11-1", LIBSSL, False),
        ("gcc-12<13", GCC, True),
        ("libgcc-s1<13", GCC, False),  # its own version has an epoch
        ("pypi:pyyaml", YAML, True),
        ("py.yaml", YAML, False),
        ("deb:pyyaml", YAML, False),
        ("log4j-core<2.17", LOG4J, True),
        ("org.apache.logging.log4j:log4j-core>2", LOG4J, True),
    ],
)
def test_a_query_means_packages_by_name_source_and_version(asked: str, package: Package, means: bool) -> None:
    assert parse_query(asked).means(package) is means


@pytest.mark.parametrize(("asked", "column"), [("openssl<", 7), ("openssl>=3,", 11), ("openssl=>3", 7), ("<3", 0)])
def test_what_is_no_query_is_pointed_at(asked: str, column: int) -> None:
    with pytest.raises(ParseError) as caught:
        parse_query(asked)
    *_, line, caret = caught.value.message.split("\n")
    assert line == f"   | {asked}"
    assert caret == "   | " + " " * column + "^"


@pytest.mark.parametrize("asked", ["x" * 1001, "a*b*c*d*e"])
def test_what_would_cost_too_much_is_refused(asked: str) -> None:
    with pytest.raises(InvalidInput):
        parse_query(asked)
