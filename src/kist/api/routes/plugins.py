"""Plugins and BuildKit (Engine API, tags Plugin and Session): there are none, as in a Docker Engine that has none.

Clients that would rather use BuildKit learn from ``/_ping`` that the builder is the classic one; those that try all the
same are refused before anything is upgraded, so that they can say so.
"""

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.docker.filters import read_filters, read_truth

_FILTERS = frozenset({"capability", "enabled"})


async def list_plugins(call: Call) -> StreamResponse:
    """None."""
    for value in read_filters(call.text("filters"), _FILTERS).get("enabled", ()):
        read_truth("enabled", value)
    return call.reply([])


async def one_plugin(call: Call) -> StreamResponse:
    """Whatever is asked of a plugin: it is not there."""
    raise NotFound(f'plugin "{call.fields["name"]}" not found')


async def install(call: Call) -> StreamResponse:
    """Refused: a plugin would come from a registry."""
    remote = call.text("remote")
    if not remote:
        raise InvalidInput("the parameter remote is empty", hint="remote names the plugin in a registry")
    raise Unsupported(f"cannot install {remote}: plugins are not supported")


async def make(_call: Call) -> StreamResponse:
    """Refused."""
    raise Unsupported("plugins are not supported")


async def no_buildkit(_call: Call) -> StreamResponse:
    """Refused: a session is a part of BuildKit's protocol."""
    raise InvalidInput(
        "there is no BuildKit here: the builder is the classic one (version 1)",
        hint="set DOCKER_BUILDKIT=0, or build with kist build",
    )


ROUTES = (
    Route("GET", "/plugins", list_plugins, Access.ANYBODY),
    Route("GET", "/plugins/privileges", install, Access.ANYBODY),
    Route("POST", "/plugins/pull", install, Access.ANYBODY),
    Route("POST", "/plugins/create", make, Access.ANYBODY),
    Route("GET", "/plugins/{name:*}/json", one_plugin, Access.ANYBODY),
    Route("DELETE", "/plugins/{name:*}", one_plugin, Access.ANYBODY),
    *(
        Route("POST", f"/plugins/{{name:*}}/{verb}", one_plugin, Access.ANYBODY)
        for verb in ("enable", "disable", "upgrade", "push", "set")
    ),
    Route("POST", "/session", no_buildkit, Access.ANYBODY),
    Route("POST", "/grpc", no_buildkit, Access.ANYBODY),
)
