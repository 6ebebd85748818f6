"""Networks that users have made, and who has which address on which network, as rows of the database.

A network's row is durable when a method returns. Addresses are atomic, and reach the disk with the next checkpoint: a
power cut ends who had them. What a choice depends on is read in the transaction that writes it, so no two processes
choose the same.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping

from kist.errors import Conflict, NotFound
from kist.spec import json
from kist.spec.network import PREDEFINED, Network
from kist.store.database import Database


class Networks:
    """The networks of one data root, but for those that every engine has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, choose: Callable[[tuple[Network, ...]], Network]) -> Network:
        """Keep the network that ``choose`` makes beside those that there are.

        Raises:
            Conflict: its name is taken.
        """
        try:
            with self._database.transaction(durable=True) as db:
                made = choose(_read(db.execute("SELECT value FROM networks").fetchall()))
                db.execute("INSERT INTO networks VALUES (?, ?, ?)", (made.id, made.name, json.encode(made)))
        except sqlite3.IntegrityError:
            raise Conflict(
                f"network with name {made.name} already exists", hint="`kist network ls` lists the networks"
            ) from None
        return made

    def list(self) -> tuple[Network, ...]:
        """All of them, by name."""
        return _read(self._database.rows("SELECT value FROM networks ORDER BY name"))

    def subnets(self) -> tuple[str, ...]:
        """The subnets of all of them."""
        return tuple(subnet.subnet for network in self.list() for subnet in network.subnets)

    def find(self, name: str) -> tuple[Network, ...]:
        """The network of this name or id, else those whose ids begin so; none when there is none."""
        rows = self._database.rows("SELECT value FROM networks WHERE name = ? OR id = ?", name, name)
        if not rows and name:
            rows = self._database.rows("SELECT value FROM networks WHERE id >= ? AND id < ?", name, name + "g")
        return _read(rows)

    def remove(self, network: Network) -> None:
        """Forget a network on which nobody has an address.

        Raises:
            Conflict: somebody has one.
            NotFound: it is gone.
        """
        with self._database.transaction(durable=True) as db:
            if db.execute("SELECT 1 FROM addresses WHERE network = ?", (network.name,)).fetchone():
                raise Conflict(f"error while removing network: network {network.name} has active endpoints")
            if not db.execute("DELETE FROM networks WHERE id = ?", (network.id,)).rowcount:
                raise NotFound(f"network {network.name} not found")

    # addresses

    def lease(
        self, network: Network, container: str, choose: Callable[[frozenset[str]], Iterable[str]]
    ) -> tuple[str, ...]:
        """Give a container addresses on a network: those it has, else what ``choose`` takes beside those in use.

        They stay the container's until they are released.

        Raises:
            NotFound: the network is gone.
        """
        with self._database.transaction() as db:
            rows = db.execute("SELECT address, container FROM addresses WHERE network = ?", (network.name,)).fetchall()
            held = tuple(address for address, holder in rows if holder == container)
            if held:
                return held
            known = db.execute("SELECT 1 FROM networks WHERE id = ?", (network.id,)).fetchone()
            if not known and network.name not in PREDEFINED:
                raise NotFound(f"network {network.name} not found")
            chosen = tuple(choose(frozenset(address for address, _ in rows)))
            db.executemany(
                "INSERT INTO addresses VALUES (?, ?, ?)", [(network.name, each, container) for each in chosen]
            )
        return chosen

    def release(self, container: str, network: str = "") -> None:
        """Give back the addresses of a container, all of them or those on one network."""
        if not self.leases_of(container):
            return  # it was on none: nothing is to be written
        with self._database.transaction() as db:
            if network:
                db.execute("DELETE FROM addresses WHERE container = ? AND network = ?", (container, network))
            else:
                db.execute("DELETE FROM addresses WHERE container = ?", (container,))

    def holders(self) -> tuple[str, ...]:
        """The ids of all that have an address on any network."""
        return tuple(holder for (holder,) in self._database.rows("SELECT DISTINCT container FROM addresses"))

    def addresses(self, network: str) -> Mapping[str, str]:
        """The addresses in use on a network, and the container that has each."""
        return dict(self._database.rows("SELECT address, container FROM addresses WHERE network = ?", network))

    def leases(self) -> tuple[tuple[str, str, str], ...]:
        """All addresses that are in use: network, address and container."""
        return tuple(self._database.rows("SELECT network, address, container FROM addresses"))

    def leases_of(self, container: str) -> tuple[tuple[str, str, str], ...]:
        """The same of one container."""
        query = "SELECT network, address, container FROM addresses WHERE container = ?"
        return tuple(self._database.rows(query, container))


def _read(rows: Iterable[tuple[bytes]]) -> tuple[Network, ...]:
    return tuple(json.decode(value, Network, what="network record") for (value,) in rows)
