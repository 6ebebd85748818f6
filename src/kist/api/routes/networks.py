"""Networks (Engine API: NetworkList, NetworkCreate, NetworkInspect, NetworkDelete, NetworkConnect and its kin)."""

import time

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.spec.docker import networks, prune


async def list_all(call: Call) -> StreamResponse:
    """The networks that pass the filters."""
    filters = networks.read_network_filters(call.text("filters"))
    found = await call.run(call.engine.networks, filters)
    if not call.follows("lists of networks are short"):
        with_members = await call.run(lambda: [call.engine.network(each.id) for each in found])
        return call.reply([networks.write_network(each) for each in with_members], operation="NetworkList")
    return call.answer(found, networks.write_list, operation="NetworkList")


async def create(call: Call) -> StreamResponse:
    """Make a network."""
    options = networks.read_create(await call.json(operation="NetworkCreate"))
    return call.answer(await call.run_long(call.engine.create_network, options), networks.write_created, status=201)


async def inspect(call: Call) -> StreamResponse:
    """One network, with the containers that run on it."""
    return call.answer(
        await call.run(call.engine.network, call.fields["id"]), networks.write_network, operation="NetworkInspect"
    )


async def remove(call: Call) -> StreamResponse:
    """Remove a network on which no container runs."""
    await call.run_long(call.engine.remove_network, call.fields["id"])
    return call.done()


async def connect(call: Call) -> StreamResponse:
    """Put a container on a network."""
    container, endpoint = networks.read_connect(await call.json(operation="NetworkConnect"), call.fields["id"])
    await call.run_long(call.engine.connect_network, call.fields["id"], container, endpoint)
    return call.done(200)


async def disconnect(call: Call) -> StreamResponse:
    """Take a container off a network."""
    container, force = networks.read_disconnect(await call.json())
    await call.run_long(call.engine.disconnect_network, call.fields["id"], container, force=force)
    return call.done(200)


async def prune_unused(call: Call) -> StreamResponse:
    """Remove the networks that no container is to be on."""
    pruning = prune.read_container_pruning(call.text("filters"), time.time_ns())
    pruned = await call.run_long(call.engine.prune_networks, pruning, dry_run=call.flag("dry-run"))
    return call.answer(pruned, prune.write_pruned_networks)


ROUTES = (
    Route("GET", "/networks", list_all, Access.CHECKED),
    Route("POST", "/networks/create", create, Access.CHECKED),
    Route("POST", "/networks/prune", prune_unused, Access.OWNER),
    Route("GET", "/networks/{id}", inspect, Access.CHECKED),
    Route("DELETE", "/networks/{id}", remove, Access.CHECKED),
    Route("POST", "/networks/{id}/connect", connect, Access.CHECKED),
    Route("POST", "/networks/{id}/disconnect", disconnect, Access.CHECKED),
)
