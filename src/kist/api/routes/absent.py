"""What the Engine API has for swarms: every path answers as an engine does that is in none."""

from collections.abc import Iterator

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.errors import Unavailable

_TABLE = """
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


SWARM = tuple(_routes(_TABLE))
"""Method and pattern of each."""
ROUTES = tuple(Route(method, pattern, _no_swarm, Access.ANYBODY) for method, pattern in SWARM)
