"""From a step's work to its layer: taken from the cache or from another image where it is there, else made."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kist.build import cache, fleeting
from kist.build.cache import Made, StepCache
from kist.build.donors import Donors
from kist.build.epoch import moment
from kist.build.plan import Action
from kist.build.result import Result
from kist.build.work import Work
from kist.engine.stop import Stop
from kist.errors import KistError, Unavailable
from kist.image.filling import filling_of
from kist.kernel import faults
from kist.spec.digest import Digest, chain_id
from kist.spec.image import Layer
from kist.spec.mount import Mount
from kist.store import directories
from kist.store.snapshots import Later

if TYPE_CHECKING:
    from kist.engine.engine import Engine


_ALONE = Result(identity="alone")
"""What work stands on that needs nothing of what is below it."""


class Taken(NamedTuple):
    """What a step has made; whether it was there; and the keys by which the cache has it."""

    made: Made
    cached: bool
    keys: tuple[str, ...]


class Maker:
    """Makes layers. Safe from many threads.

    Args:
        engine: keeps them.
        donors: images whose steps are taken where they are the same.
        stop: ends work, and the waiting for another build's.
        epoch: of a reproducible build, else None.
        keep: whether later builds find what is made.
        later: takes what the build need not wait for.
    """

    def __init__(
        self,
        engine: "Engine",
        donors: Donors,
        stop: Stop,
        epoch: int | None = None,
        *,
        keep: bool = True,
        later: Later | None = None,
    ) -> None:
        self._epoch = epoch
        # Files of a reproducible build have other times than those of others: what it makes is not theirs.
        self._mark = () if epoch is None else (f"epoch {epoch}",)
        self._engine = engine
        self._cache = StepCache(engine, keep=keep)
        self._donors = donors
        self._stop = stop
        self._later = later

    def at_hand(self, below: Result, action: Action, work: Work) -> "Taken | None":
        """What is there, where looking for it takes no time worth a word; None where it may be there all the same."""
        if work.alone:
            return None  # its layer may have to be unpacked on what is below it
        if work.origins:
            quick = self._quick(below, action, work)
            made = self._cache.at_hand(quick, below.layers)
            return None if made is None else _taken_quickly(made, quick)
        contents = work.at_hand()
        if contents is None:
            return None
        key = cache.key(below.identity, action, (*contents, *self._mark))
        made = self._cache.at_hand(key, below.layers)
        return None if made is None else Taken(made, True, (key,))

    def note_uses(self) -> None:
        """Write down what was used of the cache."""
        self._cache.note_uses()

    def make(self, below: Result, action: Action, work: Work, *, anew: bool, waits: Callable[[], None]) -> "Taken":
        """What the work makes on top of ``below``, and whether it was there.

        Files of another stage are not even looked at where that stage is the same as last time.

        Args:
            below: what the step stands on.
            action: what it does.
            work: how.
            anew: do it, whether it is there or not; the next build finds what it makes.
            waits: called where another build is at the same step, whose end is waited for.

        Raises:
            KistError: the work failed. The snapshot that it was filling is gone then.
        """
        if work.alone:
            return self.put(below, self.apart(action, work, anew=anew, waits=waits))
        quick = self._quick(below, action, work) if work.origins else ""
        if quick and not anew and (made := self._found(below, quick, work)) is not None:
            return _taken_quickly(made, quick)
        key = cache.key(below.identity, action, (*work.contents(), *self._mark))
        taken = self._made(below, key, work) if anew else self._shared(below, key, work, waits)
        if quick and taken.keys:
            self._cache.put(quick, msgspec.structs.replace(taken.made, key=key))
            return taken._replace(keys=(key, quick))
        return taken

    def apart(self, action: Action, work: Work, *, anew: bool, waits: Callable[[], None]) -> "Taken":
        """The same of work that needs nothing of what is below it, not yet on top of that."""
        return self.make(_ALONE, action, work._replace(alone=False), anew=anew, waits=waits)

    def apart_at_hand(self, action: Action, work: Work) -> "Taken | None":
        """The same as ``at_hand`` of such work."""
        return self.at_hand(_ALONE, action, work._replace(alone=False))

    def put(self, below: Result, apart: "Taken") -> "Taken":
        """What was made apart, on top of what it stands on.

        Raises:
            Unavailable: it has been removed meanwhile.
        """
        return apart._replace(made=self._stacked(below, apart.made))

    def is_put(self, below: Result, apart: "Taken") -> bool:
        """Whether it is there already, so that nothing has to be unpacked."""
        layer = apart.made.layer
        return layer is None or self._engine.store.snapshots.exists(chain_id(below.chain, layer.diff_id))

    def _quick(self, below: Result, action: Action, work: Work) -> str:
        """The key of files of trees that are the same as before."""
        return cache.key(below.identity, action, ("tree", *work.origins, *self._mark))

    def _shared(self, below: Result, key: str, work: Work, waits: Callable[[], None]) -> Taken:
        """What is there, or comes to be there in another build meanwhile, or is made now."""
        if (made := self._found(below, key, work)) is not None:
            return Taken(made, True, (key,))
        with self._engine.sharing.turn(self._engine.catalogue.scope + key, self._stop, waits):
            if (made := self._cache.get(key, below.layers)) is not None:
                return Taken(made, True, (key,))
            return self._made(below, key, work)

    def _found(self, below: Result, key: str, work: Work) -> Made | None:
        made = self._cache.get(key, below.layers)
        if made is None and (made := self._donors.find(below, key, work.words, self._stop)) is not None:
            if self._epoch is not None and made.created != moment(self._epoch):
                return None
            made = msgspec.structs.replace(made, about=work.about)
            self._cache.put(key, made)
            if made.key:
                self._cache.put(made.key, msgspec.structs.replace(made, key=""))
        return made

    def _made(self, below: Result, key: str, work: Work) -> Taken:
        """What it makes now; kept under the key where that is still true of what it was made of."""
        layer = self._layer(below.chain, work)
        faults.point("build: made a layer")
        made = Made(created=moment(self._epoch), layer=layer, about=work.about)
        if not work.held():
            return Taken(made, False, ())
        self._cache.put(key, made)
        faults.point("build: kept a step")
        return Taken(made, False, (key,))

    def _stacked(self, below: Result, made: Made) -> Made:
        """The layer that was made on nothing, on top of what is below: the same blob, unpacked there if need be."""
        if made.layer is None:
            return made
        layer = below.under(made.layer)
        if not self._engine.catalogue.has_layers((*below.layers, layer)):
            raise Unavailable("a layer of this build was removed while it went on", hint="build again")
        return msgspec.structs.replace(made, layer=layer)

    def _layer(self, parent: Digest | None, work: Work) -> Layer | None:
        """The layer of what the work changes; None where it changes nothing."""
        snapshot = f"build-{uuid.uuid4().hex}"
        mounts = self._engine.store.snapshots.prepare(snapshot, parent, many=work.many)
        faults.point("build: prepared a snapshot")
        try:
            work.fill(snapshot, mounts)
            faults.point("build: filled a snapshot")
            if self._epoch is None:
                return self._engine.catalogue.commit_snapshot(snapshot, parent, stop=self._stop, later=self._later)
            if work.logs:
                fleeting.empty(mounts)
            return self._engine.catalogue.commit_snapshot(
                snapshot, parent, mtime=self._epoch, exact=work.timeless, stop=self._stop, later=self._later
            )
        except BaseException:
            self._discard(snapshot, mounts)
            raise

    def _discard(self, snapshot: str, mounts: Sequence[Mount]) -> None:
        """Take away what a failed step left; what went wrong before is what counts, so nothing is raised."""
        with suppress(KistError, OSError):
            # The files first: a full disk has no room even for the note that the snapshot is gone.
            directories.remove_tree(filling_of(mounts).directory)
            self._engine.catalogue.discard_snapshot(snapshot)


def _taken_quickly(made: Made, quick: str) -> Taken:
    """What the quick key has found, by that and the one that says all, which older records do not tell."""
    return Taken(made, True, (made.key, quick) if made.key else (quick,))
