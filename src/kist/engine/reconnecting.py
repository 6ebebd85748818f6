"""Containers that run are on their networks again: what ended with an engine is made anew, tried until it is done."""

import logging
import threading
from collections.abc import Sequence

from kist.engine.bonds import Bonds
from kist.engine.linking import Linking
from kist.engine.networks import Networks
from kist.engine.republishing import Republishing
from kist.engine.roster import Roster
from kist.errors import KistError, NotFound
from kist.network import plan
from kist.spec.container import Container
from kist.spec.networking import joins_alone

_log = logging.getLogger(__name__)
_FIRST_SECONDS = 1.0
_MOST_SECONDS = 60.0


class Reconnecting:
    """Sees to the networks of containers that an earlier engine has started.

    Args:
        roster: of the containers.
        networks: who is plugged in.
        linking: who is linked to whom.
        bonds: which containers end with which process.
        republishing: leads published ports to where a container is.
    """

    def __init__(
        self, roster: Roster, networks: Networks, linking: Linking, bonds: Bonds, republishing: Republishing
    ) -> None:
        self._roster = roster
        self._networks = networks
        self._linking = linking
        self._bonds = bonds
        self._republishing = republishing
        self._closed = threading.Event()

    def begin(self, running: Sequence[Container]) -> list[Container]:
        """See to those that run, before their monitors: a new one enters the network to carry published ports.

        What cannot be connected now is told in the log, and tried again in a thread as long as this engine lives.

        Returns:
            Those that were not on all of their networks.
        """
        theirs = self._bonds.of_others()  # these have a network of their process's
        connected = {
            container.id: container.options.networking.endpoints
            for container in running
            if not joins_alone(container.options.network) and container.id not in theirs
        }
        if not any(connected.values()):
            return []
        found = {container.id: container for container in running if container.id in connected}
        try:
            self._networks.be_ready()
            moved = self._networks.unplugged(connected, lambda each: self._roster.first_process(found[each]))
        except (KistError, OSError) as error:
            _log.warning("containers that run have no network: %s; it is tried again", _told(error))
            self._try_later(list(connected))
            return []
        left = [identifier for identifier in moved if not self._settle(found[identifier])]
        for container in found.values():
            if any(each.network != plan.DEFAULT for each in connected[container.id]):
                self._linking.tell_it(self._roster.get(container))
        if left:
            self._try_later(left)
        return [found[identifier] for identifier in moved]

    def again(self, container: Container) -> None:
        """Connect a container that runs, and have its ports, and what it knows of its neighbours, follow.

        Raises:
            NotFound: it is gone.
            KistError, OSError: it cannot be connected.
        """
        self._republishing.plug_in(container)
        now = self._roster.get(container)
        if now.state.running:
            self._republishing.again(now)
            self._linking.tell_it(now)

    def close(self) -> None:
        """Try no more."""
        self._closed.set()

    def _settle(self, container: Container) -> bool:
        try:
            if first := self._roster.first_process(container):
                self._networks.settle(container, first, container.options.networking.endpoints)
        except ProcessLookupError:
            return True  # it has ended
        except (KistError, OSError) as error:
            _log.warning(
                "%s runs, and is not on all of its networks: %s; it is tried again (`kist system check` tells)",
                container.name,
                _told(error),
            )
            return False
        return True

    def _try_later(self, left: list[str]) -> None:
        threading.Thread(target=self._keep_trying, args=(left,), name="networks again", daemon=True).start()

    def _keep_trying(self, left: list[str]) -> None:
        pause = _FIRST_SECONDS
        while left and not self._closed.wait(pause):
            left = [identifier for identifier in left if not self._is_done(identifier)]
            pause = min(2 * pause, _MOST_SECONDS)

    def _is_done(self, identifier: str) -> bool:
        """Whether nothing is to be done about a container any more."""
        try:
            container = self._roster.get(identifier)
            if not container.state.running:
                return True  # whoever starts it connects it
            self._networks.be_ready()
            self.again(container)
        except (NotFound, ProcessLookupError):
            return True
        except (KistError, OSError) as error:
            _log.info("%s is still not on all of its networks: %s", identifier[:12], _told(error))
            return False
        except Exception:
            if self._closed.is_set():
                return True  # this engine's records are closed
            raise
        _log.warning("%s is on its networks again", container.name)
        return True


def _told(error: Exception) -> str:
    hint = error.hint if isinstance(error, KistError) else ""
    return f"{error} ({hint})" if hint else str(error)
