"""Keeps what can be made again below its ceilings: build cache, and images that are fetched or made again as they were.

It works in small bites, each with the store's lock held alone: nobody is in the middle of a build, or between finding
an image and using it. It never waits for that lock, and stops after a bite when somebody asks the engine for something.
What a bite forgets is chosen anew in it; being killed leaves at worst something that nothing refers to, which the next
collection takes.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from kist.engine import eviction
from kist.engine.ceilings import Ceilings
from kist.engine.events import Events
from kist.engine.eviction import Entry
from kist.engine.images import Images
from kist.engine.usage import Needs, Usage
from kist.spec.digest import Digest, chain_ids
from kist.spec.docker.usage import is_kept_context
from kist.spec.event import Kind
from kist.spec.reference import Reference
from kist.spec.summary import Image
from kist.spec.usage import Limits
from kist.store import Store
from kist.store.origins import Origin

_log = logging.getLogger(__name__)
_MOST_AT_ONCE = 64
# Entries of steps that changed nothing take no space but their row: of these there is an end, too.
_MOST_ENTRIES = 50_000
# Contexts that came to the engine may have in them what no image is to have: they stay for so long, and are so much.
_KEEP_CONTEXTS_FOR = 2 * 86400  # seconds since the last use
_MOST_OF_CONTEXTS = 1 << 30  # bytes
# Who has just found an image has a moment to use it, whatever the settings say.
_LEAST_SECONDS = 120


class _Bite(NamedTuple):
    """What is given up together: images, each with what makes it again, or entries of the build cache."""

    images: list[tuple[Image, Origin]]
    cache: list[str]


class Housekeeping:
    """The housekeeping of one data root."""

    def __init__(self, store: Store, images: Images, usage: Usage, events: Events, ceilings: Ceilings) -> None:
        self._store = store
        self._images = images
        self._usage = usage
        self._events = events
        self._ceilings = ceilings
        # Held by the one thread that does it.
        self._busy = threading.Lock()

    def limits(self) -> Limits:
        """The ceilings, in bytes, on the file system that the data root has now."""
        status = os.statvfs(self._store.root)
        whole = status.f_blocks * status.f_frsize
        given = self._ceilings
        return Limits(given.images.of(whole), given.build_cache.of(whole), given.downloads.of(whole))

    def tidy(self, wanted: Callable[[], bool]) -> None:
        """Give up what is above a ceiling, until ``wanted`` tells, after a bite, that there are other things to do."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            while self._bite() and not wanted():
                pass
        finally:
            self._busy.release()

    def _bite(self) -> bool:
        """Whether something was given up."""
        bite = _Bite([], [])

        def forget() -> bool:
            nonlocal bite
            chosen = self._choose(self._usage.needs())
            # Names are given without the store's lock.
            bite = chosen._replace(images=[each for each in chosen.images if self._images.forget(each[0])])
            self._store.records.cache_remove(bite.cache)
            return bool(bite.images or bite.cache)

        if not self._is_above(self._usage.needs()):  # a look that holds no lock
            return False
        collected = self._store.shrink(forget)
        if collected is None:
            return False
        self._tell(bite, collected.size)
        return True

    def _is_above(self, needs: Needs) -> bool:
        limits = self.limits()
        above = (
            limits.images is not None and needs.images_size > limits.images,
            limits.cache is not None and needs.cache_size > limits.cache,
            len(needs.cache) > _MOST_ENTRIES,
            bool(_contexts_above(needs)),
        )
        return any(above)

    def _choose(self, needs: Needs) -> _Bite:
        """Images first: what the build cache keeps of them counts as the cache's then."""
        if contexts := _contexts_above(needs):
            return _Bite([], contexts)
        limits = self.limits()
        images = [] if limits.images is None else self._images_above(needs, limits.images)
        if images:
            return _Bite(images[:_MOST_AT_ONCE], [])
        cache = [] if limits.cache is None else self._cache_above(needs, limits.cache)
        rows = [key for key, _, _ in needs.cache[: max(0, len(needs.cache) - _MOST_ENTRIES)]]
        return _Bite([], (cache or rows)[:_MOST_AT_ONCE])

    def _cache_above(self, needs: Needs, ceiling: int) -> list[str]:
        since = int(time.time()) - self._ceilings.keep_for
        entries = [Entry(key, needs.here.with_below(parts), used_at <= since) for key, parts, used_at in needs.cache]
        return eviction.choose(entries, needs.of_images(), needs.here.sizes, needs.cache_size - ceiling)

    def _images_above(self, needs: Needs, ceiling: int) -> list[tuple[Image, Origin]]:
        """Those that can be had again, have no name that somebody chose, no container, and were not used lately."""
        since = int(time.time()) - max(self._ceilings.keep_images_for, _LEAST_SECONDS)
        images = {image.id: (image, parts) for image, parts in needs.images}
        free = {
            origin.image: origin
            for origin in self._store.origins.remakeable()
            if origin.used_at <= since
            and origin.image in images
            and not self._store.records.containers_of_image(origin.image)
        }
        kept = set().union(*(parts for identity, (_, parts) in images.items() if identity not in free))
        entries = []
        for identity in free:
            image, parts = images[identity]
            layers = chain_ids(image.config.rootfs.diff_ids)
            entries.append(Entry(identity, parts, may_go=not kept.issuperset(layers)))
        chosen = eviction.choose(entries, kept, needs.here.sizes, needs.images_size - ceiling)
        return [(images[identity][0], free[identity]) for identity in map(Digest, chosen)]

    def _tell(self, bite: _Bite, size: int) -> None:
        """Events, and lines in the engine's log."""
        for image, origin in bite.images:
            name = Reference.parse(image.references[0]).familiar if image.references else image.id.short
            _log.info("gave up the image %s, which was not used and is above the ceiling: %s", name, origin.again)
        kind: Kind = "image" if bite.images else "builder"
        count = len(bite.images) or len(bite.cache)
        _log.info("gave up %d %s: %d bytes", count, "images" if bite.images else "entries of the build cache", size)
        self._events.note(kind, "prune", "", {"reclaimed": size, "count": count, "reason": "ceiling"})


def _contexts_above(needs: Needs) -> list[str]:
    """The keys of contexts that came to the engine and have been here for too long, or are too much."""
    contexts = [(key, needs.here.size(parts), used_at) for key, parts, used_at in needs.cache if is_kept_context(key)]
    return eviction.contexts(contexts, _MOST_OF_CONTEXTS, since=int(time.time()) - _KEEP_CONTEXTS_FOR)
