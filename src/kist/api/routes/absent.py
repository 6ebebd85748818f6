"""The rest of the Engine API's definition: every path answers, and says what it would take."""

from collections.abc import Iterator

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Handler, Route
from kist.errors import Unavailable, Unsupported

_LATER = """
GET    /images/search
GET    /images/{name:*}/attestations
POST   /images/{name:*}/push
POST   /auth
POST   /session
GET    /distribution/{name:*}/json
GET    /plugins
GET    /plugins/privileges
POST   /plugins/pull
POST   /plugins/create
GET    /plugins/{name:*}/json
DELETE /plugins/{name:*}
POST   /plugins/{name:*}/enable
POST   /plugins/{name:*}/disable
POST   /plugins/{name:*}/upgrade
POST   /plugins/{name:*}/push
POST   /plugins/{name:*}/set
"""

_SWARM = """
PUT    /volumes/{name}
GET    /swarm
POST   /swarm/init
POST   /swarm/join
POST   /swarm/leave
POST   /swarm/update
GET    /swarm/unlockkey
POST   /swarm/unlock
GET    /nodes
GET    /nodes/{id}
DELETE /nodes/{id}
POST   /nodes/{id}/update
GET    /services
POST   /services/create
GET    /services/{id}
DELETE /services/{id}
POST   /services/{id}/update
GET    /services/{id}/logs
GET    /tasks
GET    /tasks/{id}
GET    /tasks/{id}/logs
GET    /secrets
POST   /secrets/create
GET    /secrets/{id}
DELETE /secrets/{id}
POST   /secrets/{id}/update
GET    /configs
POST   /configs/create
GET    /configs/{id}
DELETE /configs/{id}
POST   /configs/{id}/update
"""


def _absent(what: str) -> Handler:
    async def handler(_call: Call) -> StreamResponse:
        raise Unsupported(f"{what} is not supported yet", hint="docs/reference/api.md lists what works")

    return handler


async def _no_swarm(_call: Call) -> StreamResponse:
    raise Unavailable(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node '
        "to swarm and try again.",
        hint="kist runs containers on one machine; it has no swarm mode",
    )


def _routes(table: str) -> Iterator[tuple[str, str]]:
    for line in table.split("\n"):
        if line:
            method, pattern = line.split()
            yield method, pattern


ROUTES = (
    *(
        Route(method, pattern, _absent(f"{method} {pattern.replace(':*', '')}"), Access.ANYBODY)
        for method, pattern in _routes(_LATER)
    ),
    *(Route(method, pattern, _no_swarm, Access.ANYBODY) for method, pattern in _routes(_SWARM)),
)
