import sqlite3
import threading
from json import loads

import pytest

from kist.errors import Conflict, NotFound
from kist.spec.network import Network, Subnet
from kist.store import Store
from kist.store.database import Database
from kist.store.networks import Networks
from kist.store.schema import MIGRATIONS

BRIDGE = Network("0" * 64, "bridge")
LAB = Network("ab" * 32, "lab", subnets=(Subnet("10.89.0.0/22", "10.89.0.1"),))


@pytest.fixture
def networks(store: Store) -> Networks:
    return store.networks


def lowest(used: frozenset[str]) -> list[str]:
    return [next(str(n) for n in range(1000) if str(n) not in used)]


def test_a_network_is_found_by_name_id_and_the_beginning_of_its_id(networks: Networks) -> None:
    assert networks.add(lambda others: LAB if not others else pytest.fail("others")) == LAB
    for name in ("lab", LAB.id, "abab"):
        assert networks.find(name) == (LAB,)
    for name in ("", "la", "ba", "none"):
        assert networks.find(name) == ()
    assert networks.list() == (LAB,)
    assert networks.subnets() == ("10.89.0.0/22",)


def test_a_name_is_taken_once(networks: Networks) -> None:
    networks.add(lambda _: LAB)
    with pytest.raises(Conflict, match="network with name lab already exists"):
        networks.add(lambda _: Network("cd" * 32, "lab"))
    assert networks.list() == (LAB,)


def test_a_network_that_somebody_is_on_stays(networks: Networks) -> None:
    networks.add(lambda _: LAB)
    networks.lease(LAB, "c1", lowest)
    with pytest.raises(Conflict, match="has active endpoints"):
        networks.remove(LAB)
    networks.release("c1")
    networks.remove(LAB)
    with pytest.raises(NotFound):
        networks.remove(LAB)
    with pytest.raises(NotFound, match="network lab not found"):
        networks.lease(LAB, "c1", lowest)
    assert networks.addresses("lab") == {}


def test_addresses_are_leased_once_and_given_back(networks: Networks) -> None:
    networks.add(lambda _: LAB)
    assert networks.lease(BRIDGE, "c1", lowest) == ("0",)
    assert networks.lease(BRIDGE, "c1", lowest) == ("0",)
    assert networks.lease(BRIDGE, "c2", lowest) == ("1",)
    assert networks.lease(LAB, "c2", lowest) == ("0",)
    assert networks.addresses("bridge") == {"0": "c1", "1": "c2"}
    assert set(networks.leases_of("c2")) == {("bridge", "1", "c2"), ("lab", "0", "c2")}
    networks.release("c2", "lab")
    assert networks.leases_of("c2") == (("bridge", "1", "c2"),)
    networks.release("c1")
    assert networks.lease(BRIDGE, "c3", lowest) == ("0",)
    assert set(networks.holders()) == {"c2", "c3"}


def test_a_container_may_have_an_address_of_each_kind(networks: Networks) -> None:
    assert networks.lease(BRIDGE, "c1", lambda _: ("10.88.0.2", "fd00::2")) == ("10.88.0.2", "fd00::2")
    assert networks.addresses("bridge") == {"10.88.0.2": "c1", "fd00::2": "c1"}


def test_a_choice_that_fails_leases_nothing(networks: Networks) -> None:
    def full(_used: frozenset[str]) -> list[str]:
        raise Conflict("no address is left")

    with pytest.raises(Conflict, match="no address"):
        networks.lease(BRIDGE, "c", full)
    assert networks.addresses("bridge") == {}
    assert networks.lease(BRIDGE, "c", lowest) == ("0",)


def test_leases_of_many_threads_and_stores_differ(store, tmp_path):
    found: list[str] = []

    def lease(records: Networks, first: int) -> None:
        found.extend(records.lease(BRIDGE, f"c{n}", lowest)[0] for n in range(first, first + 10))

    with Store(str(tmp_path / "data")) as other:
        threads = [
            threading.Thread(target=lease, args=((store, other)[number % 2].networks, number * 10))
            for number in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(int, found)) == list(range(60))


OLD = """
INSERT INTO containers (id, name, image, created_at, value) VALUES
    ('a', 'plain', 'x', 1, CAST('{"id": "a", "options": {"image": "x"}}' AS BLOB)),
    ('b', 'fixed', 'x', 1, CAST('{"id": "b", "options": {"image": "x", "network": "bridge", "networking":
        {"ip": "10.88.0.9", "mac": "02:00:00:00:00:09", "dns": ["192.0.2.1"]}}}' AS BLOB)),
    ('c', 'host', 'x', 1, CAST('{"id": "c", "options": {"image": "x", "network": "host"}}' AS BLOB));
"""


def test_containers_of_earlier_versions_keep_their_place_on_the_default_network(tmp_path):
    before = sqlite3.connect(tmp_path / "kist.db")
    number = next(n for n, script in enumerate(MIGRATIONS) if "CREATE TABLE networks" in script)
    before.executescript(";".join(MIGRATIONS[:number]) + f";PRAGMA user_version = {number};" + OLD)
    before.close()
    database = Database(str(tmp_path / "kist.db"))
    found = {key: loads(value) for key, value in database.rows("SELECT id, value FROM containers")}
    database.close()
    options = {key: value["options"] for key, value in found.items()}
    assert options["a"] == {"image": "x", "networking": {"endpoints": [{"network": "bridge"}]}}
    assert options["b"]["networking"] == {
        "dns": ["192.0.2.1"],
        "endpoints": [{"network": "bridge", "ip": "10.88.0.9", "mac": "02:00:00:00:00:09"}],
    }
    assert options["c"] == {"image": "x", "network": "host"}
