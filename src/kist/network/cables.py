"""A container's ends on its networks: devices in its network namespace, with addresses and routes.

On a bridge the device is one end of a cable (veth) whose other end is a port of the bridge; on a network of the drivers
macvlan and ipvlan it shares a device of the host's. Every function works in the network namespace of the calling
thread, the one that bridges and parents are in, and may be called from many threads and processes at once, for one
container by one at a time.

Raises, everywhere:
    Forbidden, Unavailable: as ``failures.explained`` has it.
"""

import contextlib
import errno
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence

from kist.errors import Conflict, InvalidInput
from kist.kernel import faults, netns, rtnetlink, sysctl
from kist.kernel.netlink import NETLINK_ROUTE, Request, Socket
from kist.kernel.rtnetlink import Link
from kist.network import bridges, devices, parents
from kist.network.addresses import bare
from kist.network.devices import End
from kist.network.failures import explained
from kist.network.parents import ParentNetwork
from kist.network.plan import DEVICE_PREFIX, BridgeNetwork, cable_name, way_out
from kist.spec.networking import NetworkAttachment

_LOOPBACK_INDEX = 1  # in every network namespace


def attach(
    netns_fd: int, ends: Sequence[End], container_id: str, *, beside: Sequence[NetworkAttachment] | None = None
) -> None:
    """Connect a network namespace: a device for each end, with addresses and routes; loopback is up then.

    Where the container runs already, what is left there of these ends goes first, and a kill at any moment leaves ends
    that are whole, or that are known not to be: a cable is plugged into its bridge last.

    Args:
        netns_fd: the container's network namespace.
        ends: in the order in which the devices are numbered.
        container_id: names the cables' ends on the host.
        beside: the ends that the container has already; None for a namespace that is new.

    Raises:
        Conflict: as in ``bridges.ensure``, or a device of the name that is asked for is there.
        InvalidInput: the kernel does not take a setting.
    """
    kept = beside or ()
    with (
        explained(f"connect the container {container_id[:12]} to {', '.join(end.attachment.network for end in ends)}"),
        Socket(NETLINK_ROUTE) as outside,
        netns.socket_inside(netns_fd) as inside,
    ):
        taken = {"lo"} if beside is None else _names_beside(outside, inside, ends, container_id, kept)
        done: list[str] = []
        made: list[str] = []
        try:
            for end in ends:
                device = _device_name(end.attachment.device, taken)
                taken.add(device)
                done.append(end.attachment.network)
                cable = cable_name(container_id, end.attachment.network)
                _plug(outside, netns_fd, end, device, cable, loose=beside is not None)
                made.append(device)
                if beside is not None:
                    _begin(inside, end, device)
                _configure(inside, end, device)
                _set(netns_fd, end.attachment.settings, device)
            _set_ways_out(inside, [*kept, *(end.attachment for end in ends)], replace=beside is not None)
            if beside is not None:
                faults.point("network connect: has addresses and routes")
                for end, device in zip(ends, made, strict=True):
                    _finish(outside, inside, end, device, cable_name(container_id, end.attachment.network))
        except BaseException:
            for network in done:
                bridges.delete(outside, cable_name(container_id, network))
            for device in made:  # those without an end on the host go by their own names
                bridges.delete(inside, device)
            if kept:
                with contextlib.suppress(OSError):  # the first error is the one to tell
                    _set_ways_out(inside, kept, replace=True)
            raise


def _names_beside(
    outside: Socket, inside: Socket, ends: Sequence[End], container_id: str, kept: Sequence[NetworkAttachment]
) -> set[str]:
    """The names of the devices of a namespace in which nothing is left of these ends."""
    for end in ends:
        if end.kind == devices.CABLE:
            bridges.delete(outside, cable_name(container_id, end.attachment.network))
    devices.remove_stale(outside, inside, ends, kept)
    faults.point("network connect: removed what was stale")
    return {link.name for link in rtnetlink.links(inside)}


def _begin(inside: Socket, end: End, name: str) -> None:
    """Have a device known for one that is not whole yet; a cable is, as long as it is in no bridge."""
    faults.point("network connect: made a device")
    if end.kind != devices.CABLE:
        inside.transact([rtnetlink.set_alias(_device(inside, name).ifindex, devices.UNFINISHED)])


def _finish(outside: Socket, inside: Socket, end: End, name: str, cable: str) -> None:
    if isinstance(end.network, ParentNetwork):
        inside.transact([rtnetlink.set_alias(_device(inside, name).ifindex, "")])
        return
    port, bridge = _device(outside, cable).ifindex, _device(outside, end.network.bridge).ifindex
    isolating = [] if end.network.icc else [rtnetlink.isolate_port(port, cable)]
    outside.transact([rtnetlink.join_bridge(port, bridge, cable), *isolating])


def is_attached(netns_fd: int, end: End) -> bool:
    """Whether a container has its end on a network, where that can be seen in its namespace alone.

    Args:
        netns_fd: the container's network namespace.
        end: on a network of a device of the host's.
    """
    with (
        explained("look at a container's devices"),
        Socket(NETLINK_ROUTE) as outside,
        netns.socket_inside(netns_fd) as inside,
    ):
        return devices.is_there(outside, inside, end)


def detach(
    container_id: str,
    network: str,
    netns_fd: int = -1,
    *,
    addresses: Collection[str] = (),
    beside: Sequence[NetworkAttachment] = (),
) -> None:
    """Take a container's end on a network away, if there is one.

    Not needed when the container's namespace ends: the kernel removes the device then, without anybody's waiting. This
    call waits for the kernel, some 16 ms.

    Args:
        container_id: its id.
        network: its name.
        netns_fd: the container's namespace, where it goes on.
        addresses: of the device there, without prefix length; it is found by them where it has no end on our bridge.
        beside: the ends that it keeps.
    """
    with explained(f"disconnect the container {container_id[:12]}"), Socket(NETLINK_ROUTE) as outside:
        bridges.delete(outside, cable_name(container_id, network))
        if netns_fd < 0:
            return
        with netns.socket_inside(netns_fd) as inside:
            devices.remove(inside, addresses)
            _set_ways_out(inside, beside, replace=True)


def _device_name(wanted: str, taken: set[str]) -> str:
    """The name of the next device; ``wanted`` is a name, or one with the lowest number that is free for its ``%d``."""
    name, numbered, _ = (wanted or f"{DEVICE_PREFIX}%d").partition("%d")
    if not numbered:
        if name in taken:
            raise Conflict(f"the container's network namespace has a device {name} already")
        return name
    number = 0
    while f"{name}{number}" in taken:
        number += 1
    return f"{name}{number}"


def _plug(outside: Socket, netns_fd: int, end: End, device: str, cable: str, *, loose: bool) -> None:
    """Make the device; with ``loose`` a cable's other end is left for ``_finish`` to plug in."""
    network = end.network
    if isinstance(network, ParentNetwork):
        parents.make_device(outside, network, device, end.attachment.mac, netns_fd)
        return
    link = bridges.ensured(outside, network)
    master = 0 if loose else link.ifindex
    made = rtnetlink.new_veth(
        cable, master=master, mtu=network.mtu, peer=device, peer_mac=end.attachment.mac, peer_netns=netns_fd
    )
    try:
        outside.transact([made])
    except FileExistsError:
        # The container's last run: its namespace has ended, and the kernel has not come to remove the cable.
        bridges.delete(outside, cable)
        _plug_again(outside, made, device)
    _check_way_back(outside, link, network, end.attachment)
    if not network.icc and not loose:
        port = rtnetlink.find_link(outside, cable)
        if port is not None:
            outside.transact([rtnetlink.isolate_port(port.ifindex, cable)])


def _check_way_back(outside: Socket, bridge: Link, network: BridgeNetwork, attachment: NetworkAttachment) -> None:
    """Refuse addresses that the host sends elsewhere: a route may have come since the bridge was made.

    One look for each address, not a dump of all routes, of which some hosts have a million.
    """
    for subnet in network.subnets:
        address = bare(attachment.address if subnet.version == 4 else attachment.address6)
        if not address or not subnet.gateway:
            continue
        route = rtnetlink.route_to(outside, address)
        if route is not None and route.ifindex != bridge.ifindex:
            raise bridges.overlap(subnet, network, route.destination)


def _plug_again(outside: Socket, made: Request, device: str) -> None:
    try:
        outside.transact([made])
    except FileExistsError:
        raise Conflict(f"the container's network namespace has a device {device} already") from None


def _configure(inside: Socket, end: End, name: str) -> None:
    device = _device(inside, name)
    attachment = end.attachment
    if not attachment.address6:
        _keep_quiet(inside, device)
    addresses = (attachment.address, attachment.address6, *(_with_prefix(each) for each in attachment.link_local))
    split = (each.partition("/") for each in addresses if each)
    inside.transact(
        [
            rtnetlink.set_up(_LOOPBACK_INDEX, "lo"),
            rtnetlink.set_up(device.ifindex, name),
            *(rtnetlink.add_address(device.ifindex, address, int(prefix)) for address, _, prefix in split),
        ]
    )
    if isinstance(end.network, ParentNetwork) and end.network.routed:
        _route_by(inside, device, attachment)


def _device(connection: Socket, name: str) -> Link:
    found = rtnetlink.find_link(connection, name)
    if found is None:
        raise OSError(errno.ENODEV, "removed as soon as it was made", name)
    return found


def _set(netns_fd: int, settings: Mapping[str, str], device: str) -> None:
    """Kernel settings of the device; its name may have dots."""

    def put() -> None:
        for name, value in settings.items():
            try:
                sysctl.put(name.replace(".", "/").replace("/IFNAME/", f"/{device}/"), value)
            except OSError as error:
                told = name.replace("IFNAME", device)
                raise InvalidInput(f"the kernel does not take {told}={value}: {error.strerror}") from error

    if settings:
        netns.inside(netns_fd, put)


def _with_prefix(address: str) -> str:
    """A link-local address, whose subnet is the link's."""
    return f"{bare(address)}/{64 if ':' in address else 16}"


def _route_by(inside: Socket, device: Link, attachment: NetworkAttachment) -> None:
    """The parent routes what the device sends (ipvlan's modes l3 and l3s): there is no next hop to name."""
    kinds = [
        family for family, has in ((socket.AF_INET, attachment.address), (socket.AF_INET6, attachment.address6)) if has
    ]
    for family in kinds:
        try:
            inside.transact([rtnetlink.add_default_route_on(device.ifindex, family)])
        except FileExistsError:
            continue  # another network is the way out


def _set_ways_out(inside: Socket, attachments: Iterable[NetworkAttachment], *, replace: bool) -> None:
    held = tuple(attachments)
    for version in bridges.FAMILIES:
        found = way_out(held, version)
        if found is not None:
            gateway = found.gateway if version == 4 else found.gateway6
            inside.transact([rtnetlink.add_default_route(gateway, replace=replace)])


def _keep_quiet(inside: Socket, device: Link) -> None:
    """Without this each new container multicasts to all others, and the 600th attach takes twice as long."""
    try:
        inside.transact([rtnetlink.without_link_local(device.ifindex, device.name)])
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:  # a kernel without IPv6 is quiet
            raise
