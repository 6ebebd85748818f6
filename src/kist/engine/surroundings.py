"""The files that tell a container about its surroundings: resolv.conf, hostname and hosts in its /etc."""

import os
from collections.abc import Mapping, Sequence

from kist.engine import bundle, links, networks
from kist.engine.links import Link
from kist.engine.starter import Places
from kist.network import files
from kist.spec.container import Container
from kist.spec.mount import Mount
from kist.spec.networking import NetworkAttachment


def write_surroundings(
    places: Places,
    container: Container,
    network: NetworkAttachment | None,
    root: Sequence[Mount],
    linked: Sequence[Link] = (),
    volumes: Mapping[str, str] | None = None,
) -> bundle.Surroundings:
    """Write the files that appear in the container's /etc.

    The container may write to them, so they are where its other files are: what it fills is not the machine's /run.
    """
    options = container.options
    resolver = network.resolver if network is not None else ""
    texts = {
        "resolv.conf": networks.resolv_conf(options.network, options.networking, resolver),
        "hostname": files.hostname_file(hostname_of(container)),
        "hosts": hosts_text(container, network, linked),
    }
    paths = {name: _write(os.path.join(places.data, name), text) for name, text in texts.items()}
    env = links.environment(container.name, linked)
    return bundle.Surroundings(
        tuple(root), paths["resolv.conf"], paths["hostname"], paths["hosts"], env, volumes or {}, hostname_of(container)
    )


def borrowed_surroundings(
    places: Places, giver: Container, root: Sequence[Mount], volumes: Mapping[str, str]
) -> bundle.Surroundings:
    """Those of the container whose network another one has: they are of the network, so it has them too."""
    resolv_conf, hostname, hosts = (os.path.join(places.data, name) for name in ("resolv.conf", "hostname", "hosts"))
    return bundle.Surroundings(tuple(root), resolv_conf, hostname, hosts, volumes=volumes, hostname=hostname_of(giver))


def hostname_of(container: Container) -> str:
    """The container's own name for itself; who shares the host's network or names is called as the host is."""
    options = container.options
    if options.hostname:
        return options.hostname
    shares = options.network == "host" or options.namespaces.uts == "host"
    return os.uname().nodename if shares else container.id[:12]


def hosts_text(container: Container, network: NetworkAttachment | None, linked: Sequence[Link]) -> str:
    """The container's /etc/hosts."""
    options = container.options
    gateway = network.gateway if network else "127.0.0.1"
    extra = [files.read_extra_host(text, gateway) for text in options.networking.extra_hosts]
    extra += [links.hosts_entry(link) for link in linked]
    return files.hosts_file(hostname_of(container), network.address if network else "", options.domainname, extra)


def rewrite_hosts(places: Places, container: Container, linked: Sequence[Link]) -> None:
    """Tell a running container that the address of one that it is linked to has changed."""
    network = container.networks[0] if container.networks else None
    _write(os.path.join(places.data, "hosts"), hosts_text(container, network, linked))


def _write(path: str, text: str) -> str:
    """Write into the file that is there: it is mounted in the container."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
    return path
