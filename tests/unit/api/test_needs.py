import pytest

from kist.api.needs import NEEDS, Need
from kist.api.routes import ROUTES
from kist.api.routes.absent import SWARM
from kist.spec.scope import read_scope

READ_ONLY, LIFE, MAKER = read_scope("read-only", ["a=1"]), read_scope("operator", []), read_scope("operator", ["a=1"])
ADMIN = read_scope("admin", [])


def test_every_route_says_what_it_is_to_roles() -> None:
    """Who adds a route has to say what a socket with a role gives of it (kist.api.needs), and who removes one too."""
    assert {(route.method, route.pattern) for route in ROUTES} == set(NEEDS)


@pytest.mark.parametrize("need", Need)
def test_a_role_gives_what_a_lesser_one_gives(need: Need) -> None:
    given = [need.given(scope) for scope in (READ_ONLY, LIFE, MAKER, ADMIN)]
    assert given == sorted(given)
    assert given[-1]


def test_who_only_sees_changes_nothing() -> None:
    """By its method; those that change nothing all the same, and what there is of no swarm."""
    harmless = {("POST", "/containers/{id}/wait")}
    seen = {key for key, need in NEEDS.items() if need is Need.SEE and key[0] != "GET"}
    assert seen - harmless - {*SWARM} == set()
    assert not {key for key in SWARM if "volumes" in key[1]} - {("PUT", "/volumes/{name}")}
    assert ("POST", "/containers/{id}/attach") not in seen
