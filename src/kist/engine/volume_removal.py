"""A volume's end: chosen and taken away while no container is made, and its files removed after that."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from kist.engine.events import Events
from kist.spec.volume import Volume
from kist.store import Store


@contextmanager
def removing(store: Store, events: Events) -> Iterator[Callable[[Volume], None]]:
    """For who chooses volumes that nobody has: a function that takes one of them away.

    No container is made meanwhile, so whoever chooses takes no long time. The files go at the end, while others go on.
    """
    with ExitStack() as files:

        def take(volume: Volume) -> None:
            files.callback(store.volumes.discard, store.volumes.take(volume.name))
            events.volume("destroy", volume)

        with store.volumes.settled():
            yield take
