"""Networks that share a device of the host's, the parent: drivers macvlan and ipvlan, in the kernel.

Their containers are on the parent's own network, as machines beside the host; the host itself does not reach them by
the parent. Functions work in the network namespace of the calling thread.
"""

import errno

import msgspec

from kist.errors import InvalidInput, Unsupported
from kist.kernel import netns, rtnetlink
from kist.kernel.netlink import NETLINK_ROUTE, Socket
from kist.kernel.rtnetlink import Link
from kist.network import bridges
from kist.network.failures import explained
from kist.network.plan import DEVICE_PREFIX, bridge_of, network_alias, read_options
from kist.spec.network import Network

DRIVERS = ("macvlan", "ipvlan")
_VLAN_IDS = range(1, 4095)


class ParentNetwork(msgspec.Struct, frozen=True):
    """A network on a device of the host's.

    Attributes:
        name: what users call it.
        driver: ``macvlan`` or ``ipvlan``.
        parent: the device.
        made: whether it is one of ours that leads nowhere.
        mode, flag: the driver's.
        mtu: 0 for the parent's.
        internal: nothing leads out of it.
        device: what names of the containers' devices begin with.
        alias: what a device that is made for it tells people who look at it.
    """

    name: str
    driver: str
    parent: str
    made: bool = False
    mode: str = ""
    flag: str = ""
    mtu: int = 0
    internal: bool = False
    device: str = DEVICE_PREFIX
    alias: str = ""

    @property
    def routed(self) -> bool:
        """Whether the host routes what its devices send, without a next hop."""
        return self.driver == "ipvlan" and self.mode != "l2" and not self.internal


def parent_network(network: Network, data_root: str) -> ParentNetwork:
    """How a network of these drivers is in the kernel."""
    options = read_options(network.driver, network.options)
    return ParentNetwork(
        name=network.name,
        driver=network.driver,
        parent=options.parent or bridge_of(network, data_root),
        made=not options.parent,
        mode=options.mode,
        flag=options.flag,
        mtu=options.mtu,
        internal=network.internal,
        device=options.device,
        alias=network_alias(network.name, data_root),
    )


def ensure(network: ParentNetwork) -> None:
    """Have the parent there: one that leads nowhere is made, and the VLAN ``NUMBER`` of ``DEVICE`` as DEVICE.NUMBER.

    Raises:
        InvalidInput: the host has no such device.
        Forbidden, Unavailable: as ``failures.explained`` has it.
    """
    with explained(f"set up the network {network.name}"), Socket(NETLINK_ROUTE) as connection:
        _parent(connection, network)


def remove(network: ParentNetwork) -> None:
    """Remove the parent if we have made it."""
    with explained(f"remove the network {network.name}"), netns.locked(), Socket(NETLINK_ROUTE) as connection:
        link = rtnetlink.find_link(connection, network.parent)
        if link is not None and link.alias == network.alias:
            bridges.delete(connection, network.parent)


def make_device(connection: Socket, network: ParentNetwork, device: str, mac: str, netns_fd: int) -> None:
    """Make a container's device in its namespace."""
    parent = _parent(connection, network)
    mtu = network.mtu or parent.mtu
    if network.driver == "macvlan":
        made = rtnetlink.new_macvlan(device, parent=parent.ifindex, mode=network.mode, mtu=mtu, mac=mac, netns=netns_fd)
    else:
        made = rtnetlink.new_ipvlan(
            device, parent=parent.ifindex, mode=network.mode, flag=network.flag, mtu=mtu, netns=netns_fd
        )
    try:
        connection.transact([made])
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EPROTONOSUPPORT}:
            raise Unsupported(
                f"this kernel has no {network.driver} devices", hint=f"load the module: modprobe {network.driver}"
            ) from None
        raise


def _parent(connection: Socket, network: ParentNetwork) -> Link:
    found = rtnetlink.find_link(connection, network.parent)
    if found is None:
        with netns.locked():
            found = rtnetlink.find_link(connection, network.parent) or _made(connection, network)
    if found.kind == "loopback" or found.name == "lo":
        raise Unsupported(f"the loopback device cannot be the parent of a {network.driver} network")
    return found


def _made(connection: Socket, network: ParentNetwork) -> Link:
    if network.made:
        # A bridge without ports leads nowhere, and every kernel that has our other networks has it.
        connection.transact([rtnetlink.new_bridge(network.parent, mac="", mtu=0)])
    else:
        base, _, number = network.parent.rpartition(".")
        below = rtnetlink.find_link(connection, base) if base else None
        if below is None or not number.isdecimal() or int(number) not in _VLAN_IDS:
            raise InvalidInput(
                f"the parent {network.parent} of the network {network.name} is no device of the host",
                hint="`ip link` lists the devices; DEVICE.NUMBER is made for the VLAN of that number",
            )
        connection.transact([rtnetlink.new_vlan(network.parent, parent=below.ifindex, number=int(number))])
    link = rtnetlink.find_link(connection, network.parent)
    assert link is not None
    connection.transact([rtnetlink.set_alias(link.ifindex, network.alias)])
    return link
