import pytest

from kist.api.call import Call
from kist.api.routes import ROUTES
from kist.api.routing import Route, Router


async def one(call: Call) -> None: ...  # type: ignore[misc]


async def two(call: Call) -> None: ...  # type: ignore[misc]


def test_every_route_says_what_it_is_to_guests():
    assert [f"{route.method} {route.pattern}" for route in ROUTES if route.access is None] == []


TABLE = Router(
    [
        Route("GET", "/containers/{id}/json", one),
        Route("DELETE", "/containers/{id}", one),
        Route("GET", "/images/json", one),
        Route("GET", "/images/{name:*}/json", two),
        Route("HEAD", "/files/{id}", two),
        Route("GET", "/files/{id}", one),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "handler", "fields"),
    [
        ("GET", "/containers/abc/json", one, {"id": "abc"}),
        ("GET", "/containers/a%2Fb%20c/json", one, {"id": "a/b c"}),
        ("HEAD", "/containers/abc/json", one, {"id": "abc"}),
        ("DELETE", "/containers/abc", one, {"id": "abc"}),
        ("GET", "/images/json", one, {}),
        ("GET", "/images/json/json", two, {"name": "json"}),
        ("GET", "/images/example.org:5000/a/b:1/json", two, {"name": "example.org:5000/a/b:1"}),
        ("HEAD", "/files/x", two, {"id": "x"}),
        ("GET", "/files/x", one, {"id": "x"}),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, handler: object, fields: dict[str, str]):
    found = TABLE.find(method, path)
    assert found is not None
    assert (found[0].handler, found[1]) == (handler, fields)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/abc/json"),
        ("GET", "/containers//json"),
        ("GET", "/containers/a/b/json"),
        ("GET", "/containers/abc/json/"),
        ("GET", ""),
        ("GET", "*"),
        ("HEAD", "/nowhere"),
        ("OPTIONS", "/images/json"),
    ],
)
def test_another_request_finds_none(method: str, path: str):
    assert TABLE.find(method, path) is None


def test_no_route_of_the_api_hides_another():
    router = Router(ROUTES)
    for route in ROUTES:
        path = route.pattern.replace("{id}", "x").replace("{name}", "x").replace("{name:*}", "x/y")
        found = router.find(route.method, path)
        assert found is not None
        assert found[0] is route


def test_errors_name_a_route_as_the_definition_does():
    assert Route("POST", "/images/{name:*}/tag", one).words == "POST /images/{name}/tag"
