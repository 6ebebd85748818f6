"""What takes space, and clean-ups (Engine API: SystemDataUsage, ContainerPrune, ImagePrune, VolumePrune, BuildPrune).

With ``dry-run`` (Kist's own parameter) a clean-up tells what it would do, and does nothing.
"""

import time

from msgspec import structs

from kist.api.access import Access
from kist.api.call import Call
from kist.api.http import StreamResponse
from kist.api.routing import Route
from kist.engine.prune import fits_cache
from kist.errors import InvalidInput
from kist.spec.docker import prune
from kist.spec.docker.usage import KINDS, write_usage


async def usage(call: Call) -> StreamResponse:
    """What is under the data root; ``type``, repeated, limits it, and ``filters`` (Kist's own) the build cache."""
    kinds = set(call.values("type")) or set(KINDS)
    for unknown in sorted(kinds.difference(KINDS)):
        raise InvalidInput(f"unknown object type: {unknown}", hint="the types are " + ", ".join(KINDS))
    found = await call.run_long(call.engine.disk_usage)
    if filters := call.text("filters"):
        chosen = prune.read_cache_pruning(filters, time.time_ns(), every=True)
        found = structs.replace(found, cache=tuple(each for each in found.cache if fits_cache(each, chosen)))
    if call.wants_values:
        return call.reply_value(found)
    told = write_usage(found, kinds, now=time.time_ns(), verbose=call.flag("verbose"))
    return call.reply(told | {"DataRoot": call.engine.data_root}, operation="SystemDataUsage")


async def containers(call: Call) -> StreamResponse:
    """Remove containers that do not run."""
    pruning = prune.read_container_pruning(call.text("filters"), time.time_ns())
    pruned = await call.run_long(call.engine.prune_containers, pruning, dry_run=call.flag("dry-run"))
    return call.answer(pruned, prune.write_pruned_containers)


async def images(call: Call) -> StreamResponse:
    """Remove images that no container needs."""
    pruning, every = prune.read_image_pruning(call.text("filters"), time.time_ns())
    pruned = await call.run_long(call.engine.prune_images, pruning, every=every, dry_run=call.flag("dry-run"))
    return call.answer(pruned, prune.write_pruned_images)


async def volumes(call: Call) -> StreamResponse:
    """Remove volumes that no container has."""
    pruning, every = prune.read_volume_pruning(call.text("filters"), time.time_ns())
    every = every or not call.follows("volumes with a name are spared")
    pruned = await call.run_long(call.engine.prune_volumes, pruning, every=every, dry_run=call.flag("dry-run"))
    return call.answer(pruned, prune.write_pruned_volumes)


async def build_cache(call: Call) -> StreamResponse:
    """Forget entries of the build cache."""
    pruning = prune.read_cache_pruning(
        call.text("filters"),
        time.time_ns(),
        every=call.flag("all"),
        keep=call.integer("reserved-space") or call.integer("keep-storage") or 0,  # the newer name first
        most=call.integer("max-used-space") or 0,
        least_free=call.integer("min-free-space") or 0,
    )
    pruned = await call.run_long(call.engine.prune_build_cache, pruning, dry_run=call.flag("dry-run"))
    return call.answer(pruned, prune.write_pruned_cache)


async def unused(call: Call) -> StreamResponse:
    """What removing all of it, one after the other, would remove: the answers of the clean-ups in one."""
    pruning = prune.read_container_pruning(call.text("filters"), time.time_ns())
    found = await call.run_long(call.engine.unused, pruning, every=call.flag("all"), volumes=call.flag("volumes"))
    return call.answer(found, prune.write_unused)


ROUTES = (
    Route("GET", "/system/df", usage, Access.OWNER),
    Route("POST", "/containers/prune", containers, Access.OWNER),
    Route("POST", "/images/prune", images, Access.OWNER),
    Route("POST", "/volumes/prune", volumes, Access.OWNER),
    Route("POST", "/build/prune", build_cache, Access.OWNER),
    Route("GET", "/kist/unused", unused, Access.OWNER),
)
