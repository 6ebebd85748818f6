"""What each route is to whoever comes by a socket with a role (``kist.spec.scope``); a test holds it to the routes.

What is not in the table is for the engine's own user alone. Whose things a route may be about is not said here: the
view of the engine (``kist.engine.scoped``) has nothing else in it.
"""

import enum
from collections.abc import Iterator, Mapping

from kist.api.routes.absent import SWARM
from kist.spec.scope import Scope


class Need(enum.Enum):
    """What a role has to give for a route."""

    SEE = "see"
    """Any role: it shows what is there, without what may be secret, and changes nothing."""
    LIFE = "life"
    """An operator: it starts, stops and signals what is there, and makes it nothing else."""
    MAKE = "make"
    """An operator with labels: it makes, changes or removes what is its own."""
    INSIDE = "inside"
    """The same, and the container must be one that the socket could have made: its files, and commands in it."""
    ALL = "all"
    """The engine's own user, and an admin."""

    def given(self, scope: Scope) -> bool:
        """Whether a scope gives it."""
        if self is Need.SEE or scope.role == "admin":
            return True
        if self is Need.LIFE:
            return scope.role == "operator"
        return self is not Need.ALL and scope.makes


_TABLE = """
see     GET     /_ping
see     GET     /version
see     GET     /info
see     GET     /events
see     GET     /system/df
make    POST    /auth
make    POST    /session
make    POST    /grpc

see     GET     /containers/json
see     GET     /containers/{id}/json
see     GET     /containers/{id}/logs
see     GET     /containers/{id}/stats
see     GET     /containers/{id}/top
see     POST    /containers/{id}/wait
life    POST    /containers/{id}/start
life    POST    /containers/{id}/stop
life    POST    /containers/{id}/restart
life    POST    /containers/{id}/kill
life    POST    /containers/{id}/pause
life    POST    /containers/{id}/unpause
life    POST    /containers/{id}/resize
make    POST    /containers/create
make    POST    /containers/prune
make    POST    /containers/{id}/rename
make    POST    /containers/{id}/update
make    DELETE  /containers/{id}
inside  POST    /containers/{id}/attach
inside  GET     /containers/{id}/attach/ws
inside  HEAD    /containers/{id}/archive
inside  GET     /containers/{id}/archive
inside  PUT     /containers/{id}/archive
inside  GET     /containers/{id}/export
inside  GET     /containers/{id}/changes
make    POST    /commit

inside  POST    /containers/{id}/exec
see     GET     /exec/{id}/json
inside  POST    /exec/{id}/start
inside  POST    /exec/{id}/resize
inside  POST    /kist/exec/{id}/leave
inside  POST    /kist/containers/{id}/exec

see     GET     /networks
see     GET     /networks/{id}
make    POST    /networks/create
make    POST    /networks/prune
make    DELETE  /networks/{id}
make    POST    /networks/{id}/connect
make    POST    /networks/{id}/disconnect

see     GET     /volumes
see     GET     /volumes/{name}
make    POST    /volumes/create
make    POST    /volumes/prune
make    DELETE  /volumes/{name}
make    GET     /kist/volumes/{name}/export
make    POST    /kist/volumes/{name}/import

see     GET     /images/json
see     GET     /images/{name:*}/json
make    GET     /images/{name:*}/history
make    GET     /images/{name:*}/attestations
make    GET     /images/{name:*}/get
make    GET     /images/get
make    GET     /images/search
make    GET     /distribution/{name:*}/json
make    POST    /images/load
make    POST    /images/create
make    POST    /images/prune
make    POST    /images/{name:*}/tag
make    POST    /images/{name:*}/push
make    DELETE  /images/{name:*}
make    POST    /build
make    POST    /build/cancel
all     POST    /build/prune

see     GET     /kist/info
see     GET     /kist/version
see     GET     /kist/stats
all     POST    /kist/plan
all     POST    /kist/spec
all     POST    /kist/build
all     POST    /kist/build/cache
all     POST    /kist/build/cache/lacking
all     POST    /kist/build/cache/save
all     POST    /kist/build/texts
make    POST    /kist/build/session
all     GET     /kist/build/cache/export
all     POST    /kist/build/cache/import
all     POST    /kist/bootstrap
all     POST    /kist/check
all     POST    /kist/networks/reload
all     GET     /kist/audit
all     GET     /kist/unused
make    GET     /kist/images/{name:*}/packages
make    GET     /kist/images/{name:*}/sbom
make    POST    /kist/images/{name:*}/sbom
make    GET     /kist/images/{name:*}/referrers
make    GET     /kist/images/{name:*}/referrers/{digest}
make    DELETE  /kist/images/{name:*}/referrers/{digest}
make    GET     /kist/images/{name:*}/difference
make    GET     /kist/images/{name:*}/slim
make    GET     /kist/why
make    GET     /kist/tree

all     GET     /plugins
all     GET     /plugins/privileges
all     POST    /plugins/pull
all     POST    /plugins/create
all     GET     /plugins/{name:*}/json
all     DELETE  /plugins/{name:*}
all     POST    /plugins/{name:*}/enable
all     POST    /plugins/{name:*}/disable
all     POST    /plugins/{name:*}/upgrade
all     POST    /plugins/{name:*}/push
all     POST    /plugins/{name:*}/set
"""


def _read(table: str) -> Iterator[tuple[tuple[str, str], Need]]:
    for line in table.split("\n"):
        if line:
            need, method, pattern = line.split()
            yield (method, pattern), Need(need)


# Of a swarm there is nothing, and every path of it says so: that tells nobody anything.
NEEDS: Mapping[tuple[str, str], Need] = dict(_read(_TABLE)) | dict.fromkeys(SWARM, Need.SEE)
"""By method and pattern of a route."""
