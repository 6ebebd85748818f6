"""``POST /commit``: a container's changes as an image (Engine API, ImageCommit)."""

from typing import TYPE_CHECKING, Any

import msgspec

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput
from kist.spec.container import Container
from kist.spec.image import ContainerConfig, merge_config
from kist.spec.json import convert
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine import Engine


_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(ContainerConfig))


async def commit(call: Call) -> StreamResponse:
    """Make an image of a container; the body may have a Config whose fields go before the container's."""
    body = await call.json(required=False)
    name = call.text("container")
    if not name:
        raise InvalidInput("the parameter container is empty", hint="container is the name or id of one")
    repository, tag = call.text("repo"), call.text("tag")
    image = await call.run_long(
        _commit,
        call.engine,
        name,
        f"{repository}:{tag}" if tag else repository,
        body,
        call.values("changes"),
        author=call.text("author"),
        message=call.text("comment"),
        pause=call.flag("pause", default=True),
    )
    return call.answer(image, lambda made: {"Id": str(made.id)}, 201)


def _commit(engine: "Engine", name: str, reference: str, body: dict[str, Any], changes: list[str], **how: Any) -> Image:
    container = engine.container(name)
    return engine.commit_config(container, reference, config=_config(container, body, changes), **how)


def _config(container: Container, body: dict[str, Any], changes: list[str]) -> ContainerConfig:
    given = {key: value for key, value in body.items() if key in _FIELDS and value not in (None, "", [], {})}
    config = merge_config(convert(given, ContainerConfig, what="Config"), container.config)
    if not changes:
        return config
    from kist.build.changes import read_changes  # noqa: PLC0415 - the Dockerfile's language is loaded when it is used

    return read_changes(changes, config)


ROUTES = (Route("POST", "/commit", commit, Access.CHECKED),)
