import msgspec
import pytest

from kist.errors import InvalidInput
from kist.spec.container import Container, ContainerOptions, ContainerState, Status
from kist.spec.digest import Digest
from kist.spec.docker.filters import (
    Resolved,
    descendants,
    match_container,
    match_image,
    matching_references,
    read_container_filters,
    read_image_filters,
)
from kist.spec.image import ContainerConfig, ImageConfig, RootFS
from kist.spec.mount import Mount
from kist.spec.networking import Networking, PortBinding
from kist.spec.summary import Image

ONE, TWO, THREE = (Digest.of(text) for text in (b"1", b"2", b"3"))


def container(
    name: str = "web", *, status: Status = "running", exit_code: int = 0, labels: dict[str, str] | None = None
) -> Container:
    return Container(
        id="ab" * 32,
        name=name,
        image_id=ONE,
        created_at=1000,
        options=ContainerOptions(image="debian:12", mounts=(Mount.bind("/src", "/data"),), network="host"),
        config=ContainerConfig(labels=labels),
        argv=("true",),
        state=ContainerState(status, exit_code=exit_code),
    )


def passes(found: Container, filters: str, resolved: Resolved | None = None) -> bool:
    return match_container(found, read_container_filters(filters), resolved or Resolved())


@pytest.mark.parametrize("spelling", ['{"name":["web"]}', '{"name":{"web":true}}', '{"name":{"no":false,"we":true}}'])
def test_filters_are_read_in_both_of_dockers_spellings(spelling: str):
    assert passes(container(), spelling)
    assert not passes(container("db"), spelling)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("", True),
        ("null", True),
        ('{"name":["^/web$"]}', True),
        ('{"name":["/web"]}', True),
        ('{"name":["^we$"]}', False),
        ('{"name":["("]}', False),
        ('{"name":["x","w"]}', True),
        ('{"id":["abab"]}', True),
        ('{"id":["^ba"]}', False),
        ('{"status":["running"]}', True),
        ('{"status":["exited","created"]}', False),
        ('{"label":["a"]}', True),
        ('{"label":["a=1"]}', True),
        ('{"label":["a=1","b"]}', False),
        ('{"label":["a="]}', False),
        ('{"network":["host"]}', True),
        ('{"network":["bridge"]}', False),
        ('{"volume":["/data"]}', True),
        ('{"volume":["/src"]}', True),
        ('{"volume":["/other"]}', False),
        ('{"health":["none"]}', True),
        ('{"is-task":["false"]}', True),
        ('{"is-task":["true"]}', False),
        ('{"exited":["0"]}', False),
        ('{"status":["running"],"name":["db"]}', False),
    ],
)
def test_a_container_passes_when_one_value_of_each_filter_matches(filters: str, expected: bool):
    assert passes(container(labels={"a": "1"}), filters) == expected


def test_exited_looks_at_the_code_of_ended_containers():
    assert passes(container(status="exited", exit_code=3), '{"exited":["3","4"]}')
    assert not passes(container(status="exited", exit_code=5), '{"exited":["3","4"]}')


def test_before_since_and_ancestor_are_looked_up_by_the_caller():
    assert passes(container(), "", Resolved(frozenset({ONE}), before=1001, since=999))
    assert not passes(container(), "", Resolved(frozenset({TWO})))
    assert not passes(container(), "", Resolved(before=1000))
    assert not passes(container(), "", Resolved(since=1000))


@pytest.mark.parametrize(
    "filters",
    [
        '{"nonsense":["x"]}',
        '{"status":["asleep"]}',
        '{"exited":["one"]}',
        '{"name":"web"}',
        '{"name":[1]}',
        '["name"]',
        "{",
        "\x00",
        "7",
    ],
)
def test_a_filter_that_cannot_be_is_refused(filters: str):
    with pytest.raises(InvalidInput):
        read_container_filters(filters)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ('{"publish":["x"]}', "publish=x"),
        ('{"publish":["0"]}', "publish=0"),
        ('{"expose":["90-80"]}', "expose=90-80"),
        ('{"expose":["80/icmp"]}', "expose=80/icmp"),
        ('{"isolation":["glass"]}', "default, hyperv, process"),
        ('{"is-task":["perhaps"]}', "is-task=true or is-task=false"),
        ('{"staus":["running"]}', "did you mean status?"),
        ('{"nonsense":["x"]}', "ancestor, before, exited, expose"),
    ],
)
def test_what_is_allowed_is_said(filters: str, words: str):
    with pytest.raises(InvalidInput) as caught:
        read_container_filters(filters)
    assert words in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ('{"expose":["80"]}', True),
        ('{"expose":["80/tcp"]}', True),
        ('{"expose":["80/udp"]}', False),
        ('{"expose":["53/udp"]}', True),
        ('{"expose":["70-90"]}', True),
        ('{"expose":["81-90/tcp"]}', False),
        ('{"publish":["80"]}', False),
        ('{"publish":["443"]}', False),
        ('{"publish":["8443"]}', True),
        ('{"publish":["8443/tcp"]}', True),
        ('{"publish":["8443/udp"]}', False),
        ('{"publish":["8000-9000"]}', True),
        ('{"isolation":["default"]}', True),
        ('{"isolation":["process"]}', False),
    ],
)
def test_ports_are_filtered(filters: str, expected: bool):
    config = ContainerConfig(exposed_ports={"80/tcp": {}, "53/udp": {}})
    published = Networking(ports=(PortBinding(443, host_port="8443"),))
    for status in ("running", "exited"):
        made = container(status=status)
        options = msgspec.structs.replace(made.options, networking=published)
        assert passes(msgspec.structs.replace(made, config=config, options=options), filters) == expected


def test_an_images_names_are_filtered_one_by_one():
    found = image(ONE, references=("docker.io/library/debian:12", "docker.io/library/mine:1"))
    assert matching_references(found, ("deb*",)) == ("docker.io/library/debian:12",)
    assert matching_references(found, ("mine", "debian:12")) == found.references


def image(identity: Digest, *layers: Digest, references: tuple[str, ...] = (), created: int = 10**9) -> Image:
    config = ImageConfig("amd64", "linux", RootFS(layers), config=ContainerConfig(labels={"a": "1"}))
    return Image(identity, identity, references, created, 1, config)


def test_descendants_are_the_images_whose_layers_begin_with_the_ancestors():
    found = [image(ONE, ONE), image(TWO, ONE, TWO), image(THREE, THREE)]
    assert descendants(found, [ONE]) == {ONE, TWO}
    assert descendants(found, [THREE]) == {THREE}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ('{"reference":["debian"]}', True),
        ('{"reference":["debian:12"]}', True),
        ('{"reference":["deb*:1?"]}', True),
        ('{"reference":["*"]}', True),
        ('{"reference":["*/*"]}', False),
        ('{"reference":["alpine"]}', False),
        ('{"dangling":["false"]}', True),
        ('{"dangling":["true"]}', False),
        ('{"label":["a=1"]}', True),
        ('{"label":["a=2"]}', False),
        ('{"until":["2"]}', True),
        ('{"until":["1"]}', False),
    ],
)
def test_images_are_filtered(filters: str, expected: bool):
    found = image(ONE, references=("docker.io/library/debian:12",))
    assert match_image(found, read_image_filters(filters), now=0) == expected


def test_an_image_without_a_name_dangles():
    assert match_image(image(ONE), read_image_filters('{"dangling":["true"]}'), now=0)
    with pytest.raises(InvalidInput, match="dangling"):
        read_image_filters('{"dangling":["perhaps"]}')
