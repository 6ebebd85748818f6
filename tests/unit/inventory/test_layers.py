"""Layers on one another, and package URLs."""

import pytest

from kist.inventory.layers import LayerPackages, changed, distribution, merge
from kist.inventory.purl import purl
from kist.spec.package import Package, Skipped

STATUS = "var/lib/dpkg/status"


def deb(name: str, version: str = "1", path: str = STATUS) -> Package:
    return Package("deb", name, version, path)


def placed(*layers: LayerPackages) -> dict[str, int]:
    return {f"{each.package.name} {each.package.version}": each.layer for each in merge(layers).packages}


def test_a_package_came_with_the_layer_that_had_it_first() -> None:
    base = LayerPackages(files={STATUS: (deb("a"), deb("b"))})
    above = LayerPackages(files={STATUS: (deb("a"), deb("b", "2"), deb("c"))})
    assert placed(base, LayerPackages(), above) == {"a 1": 1, "b 2": 3, "c 1": 3}


def test_a_package_that_was_away_came_with_the_layer_that_brought_it_back() -> None:
    with_it, without = LayerPackages(files={STATUS: (deb("a"),)}), LayerPackages(files={STATUS: ()})
    assert placed(with_it, without, with_it) == {"a 1": 3}


@pytest.mark.parametrize(
    "above",
    [
        LayerPackages(removed=("app/x.dist-info/METADATA",)),
        LayerPackages(removed=("app",)),
        LayerPackages(emptied=("app/x.dist-info",)),
        LayerPackages(emptied=("",)),
    ],
)
def test_what_a_layer_deletes_is_gone(above: LayerPackages) -> None:
    path = "app/x.dist-info/METADATA"
    assert placed(LayerPackages(files={path: (Package("pypi", "x", "1", path),)}), above) == {}


def test_a_directory_that_begins_alike_stays() -> None:
    path = "application/x.dist-info/METADATA"
    base = LayerPackages(files={path: (Package("pypi", "x", "1", path),)})
    assert placed(base, LayerPackages(removed=("app",))) == {"x 1": 1}


def test_what_could_not_be_read_is_told_until_it_can_be() -> None:
    bad = LayerPackages(files={"a.jar": ()}, skipped=(Skipped("a.jar", "it is damaged"),))
    assert merge([bad]).skipped == bad.skipped
    assert merge([bad, LayerPackages(files={"a.jar": (Package("maven", "a", "1", "a.jar"),)})]).skipped == ()
    assert merge([bad, LayerPackages(removed=("a.jar",))]).skipped == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [('ID=debian\nVERSION_ID="12"\n', "debian 12"), ("NAME=x\nID='arch'\n", "arch"), ("", ""), ("VERSION_ID=1", "")],
)
def test_the_distribution_is_that_of_os_release(text: str, told: str) -> None:
    assert distribution(text) == told


def test_versions_that_changed_are_told_from_packages_that_came_and_went() -> None:
    before = [deb("a"), deb("b"), deb("c"), deb("k", "1"), deb("k", "2")]
    after = [deb("a"), deb("b", "2"), deb("d"), deb("k", "2"), deb("k", "3")]
    added, removed, pairs = changed(before, after)
    assert [each.name for each in added] == ["d"]
    assert [each.name for each in removed] == ["c"]
    assert [(was.name, was.version, now.version) for was, now in pairs] == [("b", "1", "2"), ("k", "1", "3")]


@pytest.mark.parametrize(
    ("package", "distro", "told"),
    [
        (Package("deb", "libstdc++6", "12.2.0-14", "", "amd64"), "debian 12",
         "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12"),
        (Package("deb", "x", "1:2~a", "", "all"), "", "pkg:deb/debian/x@1:2~a?arch=all"),
        (Package("rpm", "openssl", "1:3.0.7-27.el9", "", "x86_64"), "rhel 9.4",
         "pkg:rpm/rhel/openssl@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1"),
        (Package("apk", "musl", "1.2.4-r2", "", "x86_64"), "alpine 3.18.4",
         "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.18.4"),
        (Package("pypi", "Foo.Bar_x", "1.0", ""), "debian 12", "pkg:pypi/foo-bar-x@1.0"),
        (Package("npm", "@babel/core", "7.1.0", ""), "", "pkg:npm/%40babel/core@7.1.0"),
        (Package("maven", "org.apache:log4j", "2.1", ""), "", "pkg:maven/org.apache/log4j@2.1"),
        (Package("conda", "numpy", "1.26", "", "linux-64"), "", "pkg:conda/numpy@1.26?subdir=linux-64"),
    ],
)  # fmt: skip
def test_package_urls_are_those_of_their_types(package: Package, distro: str, told: str) -> None:
    assert purl(package, distro) == told
