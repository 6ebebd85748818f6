"""What is left of containers that nobody looks after any more, and how it is taken away."""

from collections.abc import Sequence

from kist.engine import state
from kist.engine.creation import Creation
from kist.engine.listing import names_in
from kist.engine.networks import Networks
from kist.engine.roster import Roster
from kist.engine.starter import Places
from kist.errors import Conflict
from kist.runtime import launch
from kist.spec.container import Container
from kist.store import Store, directories


class Remnants:
    """Finds and takes away what has no record."""

    def __init__(self, store: Store, roster: Roster, creation: Creation, connected: Networks) -> None:
        self._records = store.records
        self._roster = roster
        self._creation = creation
        self._networks = connected

    def strays(self) -> Sequence[str]:
        """Ids that have a directory and no record; one whose monitor lives is a build step's."""
        found = {name for root in (self._roster.data_root, self._roster.run_root) for name in names_in(root)}
        return sorted(found - set(self._records.container_ids()))

    def discard(self, identifier: str) -> None:
        """Take away all that is left of something without a record, its processes too."""
        _clear_group(self._roster.places_of(identifier))
        self._networks.release(identifier)
        self._creation.discard(identifier)

    def discard_if_dead(self, identifier: str) -> bool:
        """Take away what removed containers and cut-off build steps left; a living monitor keeps its own."""
        try:
            launch.connect(self._roster.places_of(identifier).run).close()
        except Conflict:
            self.discard(identifier)
            return True
        return False


def end_orphans(container: Container, places: Places) -> None:
    """Take away what is left of a container whose end nobody wrote: nobody else will."""
    if container.state.status == "exited" and not container.state.finished_at:
        _clear_group(places)


def clear_run(places: Places) -> None:
    """Keep how a run has ended with the container's own files, and remove what only a run has."""
    if state.keep_end(places.data, places.run):
        directories.remove_tree(places.run)


def _clear_group(places: Places) -> None:
    """End what runs in a container's cgroup, and remove it."""
    group = state.group(places.run)
    group.kill()
    group.remove()
