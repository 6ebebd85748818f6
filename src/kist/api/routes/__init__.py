"""What each path of the API does, one module per area; ``ROUTES`` is the whole table."""

from kist.api.routes import (
    absent,
    attach,
    builds,
    commit,
    containers,
    controls,
    events,
    execs,
    files,
    images,
    kist,
    logs,
    networks,
    space,
    stats,
    system,
    volumes,
)
from kist.api.routing import Route

ROUTES: tuple[Route, ...] = (
    *system.ROUTES,
    *containers.ROUTES,
    *controls.ROUTES,
    *stats.ROUTES,
    *files.ROUTES,
    *commit.ROUTES,
    *space.ROUTES,
    *volumes.ROUTES,
    *networks.ROUTES,
    *attach.ROUTES,
    *logs.ROUTES,
    *execs.ROUTES,
    *events.ROUTES,
    *images.ROUTES,
    *builds.ROUTES,
    *kist.ROUTES,
    *absent.ROUTES,
)
