"""The step cache: what a step would do, as a key; what it made, as a record (in the store's records).

A key says all that a step's result depends on: what it stands on, what it does, the contents of the files that it
copies. No times are in it, so a context that was checked out again finds its steps. A record is believed only while the
layer that it names is still there.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from kist.build.plan import Action, CopyFiles, Run
from kist.build.run_mount import BindMount, CacheMount, Mounted
from kist.spec.digest import chain_id
from kist.spec.image import Layer
from kist.spec.json import decode, encode

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_FORMAT = "kist build 1"


class Made(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step made: a layer, or none when it changed nothing; when (RFC 3339); and what step it was, for people.

    ``key`` is, in the record of a further key, the one that says all (``Maker.make``): who takes the step elsewhere
    takes both.
    """

    created: str
    layer: Layer | None = None
    about: str = ""
    key: str = ""


def key(below: str, action: Action, contents: Sequence[str] = ()) -> str:
    """The key of a step.

    Args:
        below: the identity of what the step stands on.
        action: what it does.
        contents: digests of the files that it copies, or of the trees that it copies from.
    """
    fields = encode((_FORMAT, below, type(action).__name__, _essence(action), tuple(contents)))
    return "build:" + hashlib.sha256(fields).hexdigest()


def after(identity: str, step_key: str) -> str:
    """The identity of a result whose step changed nothing: not what is below it, so that the step counts once."""
    return hashlib.sha256(f"{identity} {step_key}".encode()).hexdigest()


def _essence(action: Action) -> Action:
    """The action without what must not count: proxies, and where files came from (their contents count)."""
    if isinstance(action, Run):
        mounts = tuple(map(_essence_of_mount, action.mounts))
        return msgspec.structs.replace(action, proxies=(), mounts=mounts)
    if isinstance(action, CopyFiles):
        return msgspec.structs.replace(action, origin="", origin_name="", remotes=(), context="")
    return action


def _essence_of_mount(mount: Mounted) -> Mounted:
    """The same of a mount."""
    if isinstance(mount, BindMount | CacheMount):
        return msgspec.structs.replace(mount, origin="", origin_name="")
    return mount


class StepCache:
    """Looks records up and keeps them, but for ``keep``; ``engine`` has the records and the layers that they name."""

    def __init__(self, engine: "Engine", *, keep: bool = True) -> None:
        self._keep = keep
        self._store = engine.store
        self._images = engine.catalogue
        self._used: set[str] = set()
        self._scope = engine.catalogue.scope

    def get(self, step_key: str, below: tuple[Layer, ...]) -> Made | None:
        """What was made under this key on top of ``below``, if its layer is still there."""
        made = self.recorded(step_key)
        return made if made is not None and (made.layer is None or self._is_here(made.layer, below)) else None

    def at_hand(self, step_key: str, below: tuple[Layer, ...]) -> Made | None:
        """The same where its layer is unpacked already."""
        made = self.recorded(step_key)
        return made if made is not None and (made.layer is None or self._is_unpacked(made.layer, below)) else None

    def recorded(self, step_key: str) -> Made | None:
        """What the record of this key says; whether the layer is still there is not looked at."""
        value = self._store.records.cache_find(self._scope + step_key)
        if value is None:
            return None
        self._used.add(self._scope + step_key)
        return decode(value, Made, what="build cache record")

    def note_uses(self) -> None:
        """Write down which records were used, all at once: each alone would take longer than to look it up."""
        if self._used:
            self._store.records.cache_used(self._used)

    def _is_unpacked(self, layer: Layer, below: tuple[Layer, ...]) -> bool:
        here = self._store.snapshots.exists(layer.chain_id) and layer.descriptor.digest in self._store.blobs
        return here and stands_on(layer, below)

    def _is_here(self, layer: Layer, below: tuple[Layer, ...]) -> bool:
        # A snapshot can be made again from its blob.
        return self._is_unpacked(layer, below) or (stands_on(layer, below) and self._images.has_layers((*below, layer)))

    def put(self, step_key: str, made: Made) -> None:
        """Keep what was made."""
        if self._keep:
            self._store.records.cache_put(self._scope + step_key, encode(made))


def stands_on(layer: Layer, below: tuple[Layer, ...]) -> bool:
    """False for a record that somebody else has written, and that cannot be."""
    return layer.chain_id == chain_id(below[-1].chain_id if below else None, layer.diff_id)
