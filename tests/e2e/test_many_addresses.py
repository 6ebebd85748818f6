"""A hundred containers started and removed at once: no address is leaked, and none is given twice."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import needs
from harness import an_engine, import_busybox, until
from kist.spec.container import ContainerOptions
from kist.spec.network import NetworkOptions

MANY = 100
AT_ONCE = 16


@needs.IN_PROCESS
@pytest.mark.parametrize("network", ["bridge", "lab"])
def test_a_hundred_at_once_have_an_address_each_and_give_it_back(tmp_path: Path, network: str) -> None:
    with an_engine(tmp_path) as engine:
        image = import_busybox(engine)
        if network != "bridge":
            engine.create_network(NetworkOptions(network))

        def start(_: int) -> tuple[str, str]:
            made = engine.create(ContainerOptions(image=image, command=("sleep", "600"), network=network))
            engine.start(made)
            (held,) = engine.container(made).networks
            return made.id, held.address

        with ThreadPoolExecutor(AT_ONCE) as pool:
            started = list(pool.map(start, range(MANY)))
            addresses = [address for _, address in started]
            assert all(addresses)
            assert len(set(addresses)) == MANY, "doubled"
            assert len(engine._networks.holders()) == MANY
            list(pool.map(lambda one: engine.remove(one[0], force=True), started))
        assert list(engine._networks.holders()) == [], "leaked"
        until(lambda: engine._networks.cables() == [])  # the kernel takes them with the namespaces, a moment later
        if network != "bridge":
            engine.remove_network(network)
