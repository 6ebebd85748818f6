"""Paths, parameters and behaviours by version."""

import pytest

from kist.api.routes import ROUTES
from kist.errors import InvalidInput
from kist.spec.docker.history.requests import BEHAVIOURS, PARAMETERS, PATHS, Behaviour, check_path, follows, unread
from kist.spec.docker.history.rows import Version
from kist.spec.docker.versions import LATEST, LOWEST


def _before(version: Version) -> Version:
    return version[0], version[1] - 1


@pytest.mark.parametrize(("path", "since"), PATHS.items())
def test_a_path_that_a_version_had_not_is_told_in_dockers_words(path: tuple[str, str], since: Version):
    method, pattern = path
    check_path(method, pattern, since)
    with pytest.raises(InvalidInput) as caught:
        check_path(method, pattern, _before(since))
    shown = pattern.replace("{name:*}", "{name:.*}")
    assert caught.value.message == f"{method} {shown} requires minimum API version 1.{since[1]}"


@pytest.mark.parametrize(
    ("path", "name", "since", "until"),
    [(path, name, *versions) for path, told in PARAMETERS.items() for name, versions in told.items()],
)
def test_a_parameter_is_read_at_the_versions_that_have_it(
    path: tuple[str, str], name: str, since: Version, until: Version
):
    read = {minor for minor in range(LOWEST[1], LATEST[1] + 1) if name not in unread(*path, (1, minor))}
    assert read == {minor for minor in range(LOWEST[1], LATEST[1] + 1) if since <= (1, minor) < until}
    assert read


@pytest.mark.parametrize(("what", "since"), BEHAVIOURS.items())
def test_a_behaviour_begins_with_its_version(what: Behaviour, since: Version):
    assert (follows(what, _before(since)), follows(what, since), follows(what, LATEST)) == (False, True, True)


def test_the_tables_are_of_paths_that_there_are():
    known = {(route.method, route.pattern) for route in ROUTES}
    assert (PATHS.keys() | PARAMETERS.keys()) - known == set()


def test_other_paths_and_parameters_are_the_same_at_all_versions():
    check_path("GET", "/containers/json", LOWEST)
    assert unread("GET", "/containers/json", LOWEST) == frozenset()
    assert unread("GET", "/images/json", LOWEST) == {"identity", "manifests", "shared-size"}
    assert unread("GET", "/images/json", LATEST) == {"filter"}
