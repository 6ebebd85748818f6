"""The files that tell a container about its surroundings: resolv.conf, hostname and hosts in its /etc."""

import os
from collections.abc import Mapping, Sequence

from kist.engine import bundle, links, naming, networks
from kist.engine.links import Link
from kist.engine.starter import Places
from kist.network import files
from kist.network.plan import DEFAULT, way_out
from kist.spec.container import Container
from kist.spec.mount import Mount
from kist.spec.networking import NetworkAttachment
from kist.spec.volume import VolumeSource


def write_surroundings(
    places: Places,
    container: Container,
    attachments: Sequence[NetworkAttachment],
    root: Sequence[Mount],
    linked: Sequence[Link] = (),
    volumes: Mapping[str, VolumeSource] | None = None,
    *,
    inside: bool = False,
) -> bundle.Surroundings:
    """Write the files that appear in the container's /etc, and what its name server answers from.

    The container may write to them, so they are where its other files are: what it fills is not the machine's /run.
    ``inside``: see ``naming.tell``.
    """
    options = container.options
    if attachments:
        naming.tell(places.run, container, attachments, inside=inside)
        resolv_conf = naming.resolv_conf(options.networking)
    else:
        resolv_conf = networks.resolv_conf(options.network, options.networking)
    texts = {
        "resolv.conf": resolv_conf,
        "hostname": files.hostname_file(hostname_of(container)),
        "hosts": hosts_text(container, attachments, linked),
    }
    paths = {name: _write(os.path.join(places.data, name), text) for name, text in texts.items()}
    env = links.environment(container.name, linked) if options.network == DEFAULT else ()
    return bundle.Surroundings(
        tuple(root), paths["resolv.conf"], paths["hostname"], paths["hosts"], env, volumes or {}, hostname_of(container)
    )


def borrowed_surroundings(
    places: Places, giver: Container, root: Sequence[Mount], volumes: Mapping[str, VolumeSource]
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


def hosts_text(container: Container, attachments: Sequence[NetworkAttachment], linked: Sequence[Link]) -> str:
    """The container's /etc/hosts."""
    options = container.options
    main = way_out(attachments) or (attachments[0] if attachments else None)
    gateway = (main.host or main.gateway or main.gateway6) if main else "127.0.0.1"
    extra = [files.read_extra_host(text, gateway) for text in options.networking.extra_hosts]
    host = "127.0.0.1" if options.network == "host" else naming.host_of(attachments)
    if host and (names := naming.host_names(options.networking)):
        extra.append((host, " ".join(names)))
    extra += [links.hosts_entry(link) for link in linked]
    own = [address for each in attachments for address in (each.address, each.address6) if address]
    return files.hosts_file(hostname_of(container), own, options.domainname, extra)


def rewrite_hosts(places: Places, container: Container, linked: Sequence[Link]) -> None:
    """Tell a running container that the address of one that it is linked to has changed."""
    _write(os.path.join(places.data, "hosts"), hosts_text(container, container.networks, linked))


def _write(path: str, text: str) -> str:
    """Write into the file that is there: it is mounted in the container."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
    return path
