"""The page that says what of the Engine API there is, and how that is found out."""

from functools import partial

import pytest

from definition import coverage
from definition.bodies import READ, REFUSED, SILENT, fields_of
from definition.document import Definition, load
from definition.reading import Unreadable, read_by
from definition.reduce import reduce_schema
from definition.schema import compare
from kist.api.call import Call
from kist.api.routes import ROUTES
from kist.api.routing import Router

_NAMES = ("one", "two")


def test_the_page_is_what_the_definition_and_the_routes_make_of_it():
    page, unused = coverage.make()
    assert not unused, "tests/definition/reasons.txt has lines that nothing needs any more"
    assert page == coverage.PAGE.read_text(encoding="utf-8"), "run script/api-coverage"


def test_every_operation_of_the_definition_has_a_route():
    router = Router(ROUTES)
    assert len(load().operations) == 108
    for operation in load():
        assert router.find(operation.method, operation.path.replace("{", "").replace("}", "")), str(operation)


def test_what_is_always_refused_is_lacking_though_its_parameters_are_checked():
    found = {str(row.operation): row.status for row in coverage.rows(load())}
    for refused in ("POST /auth", "GET /images/search", "POST /images/{name}/push", "GET /distribution/{name}/json"):
        assert found[refused] == coverage.LACKS
    assert found["POST /images/create"] == found["GET /plugins"] == coverage.HAS


# which parameters a handler reads


def _helper(get, other):
    return [get("of-helper"), other]


def _also(call: Call):
    return call.integer("of-also")


async def _handler(call: Call):
    call.text("plain")
    found = {name: call.flag(name) for name in _NAMES}
    for word in ("three",):
        call.values(word)
    await call.run(_also, call)
    return partial(_helper, call.text), found, lambda: call.flag("of-lambda"), "X-Header"


async def _unreadable(call: Call):
    return call.text(str(call))


def test_what_a_handler_reads_is_found_in_its_source():
    read = read_by(_handler)
    assert read.query == {"plain", "one", "two", "three", "of-also", "of-helper", "of-lambda"}
    assert "x-header" in read.words


def test_a_parameter_that_cannot_be_told_is_an_error():
    with pytest.raises(Unreadable, match=r"str\(call\)"):
        read_by(_unreadable)


# what becomes of the fields of a body


def test_a_field_is_read_when_a_wrong_value_is_refused():
    found = {str(operation): fields_of(load(), operation) for operation in load()}
    created = found["POST /containers/create"]
    assert created["HostConfig.Mounts[].BindOptions.Propagation"] == READ
    assert created["NetworkingConfig.EndpointsConfig.*.IPAMConfig.IPv4Address"] == READ
    assert created["HostConfig.CpuPercent"] == SILENT
    assert found["POST /networks/create"]["ConfigOnly"] == REFUSED
    assert not found["GET /info"]


# the definition without its prose, and values beside it


def test_what_is_said_to_people_is_left_out_but_no_field_of_such_a_name():
    found = {
        "type": "object",
        "description": "of it",
        "properties": {"description": {"type": "string", "example": "x"}},
    }
    assert reduce_schema(found) == {"type": "object", "properties": {"description": {"type": "string"}}}


_PERSON = {
    "type": "object",
    "required": ["Name"],
    "properties": {
        "Name": {"type": "string", "minLength": 2},
        "Age": {"type": "integer", "x-nullable": True},
        "Kind": {"type": "string", "enum": ["a", "b"]},
        "Friends": {"type": "array", "items": {"$ref": "#/definitions/Person"}},
        "Labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_SCHEMAS = {
    "Person": _PERSON,
    "Child": {"allOf": [_PERSON, {"properties": {"Toy": {"type": "string"}}, "required": ["Toy"]}]},
}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ("Person", {"Name": "me", "Age": None, "Kind": "a", "Labels": {"x": "y"}}, []),
        ("Person", {}, [("Name", "missing")]),
        ("Person", {"Name": 1}, [("Name", "type")]),
        ("Person", {"Name": "me", "Age": True}, [("Age", "type")]),
        ("Person", {"Name": None}, [("Name", "null")]),
        ("Person", {"Name": "m"}, [("Name", "size")]),
        ("Person", {"Name": "me", "Kind": "c", "New": 1}, [("Kind", "enum"), ("New", "unknown")]),
        ("Person", {"Name": "me", "Friends": [{"Name": "you"}, {}]}, [("Friends[].Name", "missing")]),
        ("Person", {"Name": "me", "Labels": {"x": 1}}, [("Labels.*", "type")]),
        ("Person", [], [("", "type")]),
        ("Child", {"Name": "me", "Toy": "ball"}, []),
        ("Child", {"Name": "me"}, [("Toy", "missing")]),
    ],
)
def test_a_value_is_compared_with_its_schema(schema: str, value: object, expected: list[tuple[str, str]]):
    info = {"version": "1", "title": ""}
    definition = Definition({"info": info, "definitions": _SCHEMAS, "produces": [], "paths": {}})
    found = compare(definition, {"$ref": f"#/definitions/{schema}"}, value)
    assert [(each.place, each.what) for each in found] == expected


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/v1.44/containers/json?all=1", "/containers/json"),
        ("GET", "/containers/json/json", "/containers/{id}/json"),
        ("GET", "/images/a/b:c/json?platform=x", "/images/{name}/json"),
        ("GET", "/images/json", "/images/json"),
        ("DELETE", "/images/localhost:5000/a/b", "/images/{name}"),
        ("PATCH", "/images/json", None),
        ("GET", "/kist/info", None),
    ],
)
def test_a_request_is_of_an_operation(method: str, target: str, expected: str | None):
    found = load().find(method, target)
    assert (found.path if found else None) == expected
