"""The files that tell a container about its surroundings: resolv.conf, hostname and hosts in its /etc."""

import os
from collections.abc import Sequence
from typing import Any

from kist.engine import bundle, networks
from kist.engine.starter import Places
from kist.network import plan
from kist.spec.container import Container
from kist.spec.networking import NetworkAttachment


def write_surroundings(
    places: Places, container: Container, network: NetworkAttachment | None, root: Sequence[Any]
) -> bundle.Surroundings:
    """Write the files that appear in the container's /etc.

    The container may write to them, so they are where its other files are: what it fills is not the machine's /run.
    """
    hostname = container.options.hostname or container.id[:12]
    resolv_conf = networks.resolv_conf(container.options.network)
    hosts = plan.hosts_file(hostname, network.address if network else "")
    texts = {"resolv.conf": resolv_conf, "hostname": plan.hostname_file(hostname), "hosts": hosts}
    written = []
    for name, text in texts.items():
        path = os.path.join(places.data, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        written.append(path)
    return bundle.Surroundings(tuple(root), *written)
