"""What a network looks like in the kernel: devices and their names, and a container's end on it; all pure."""

import hashlib
import re
from collections.abc import Iterable, Sequence

import msgspec

from kist.errors import InvalidInput, Unsupported
from kist.network.addresses import mac_for, parse_subnet
from kist.spec.network import Network, Subnet
from kist.spec.networking import Endpoint, NetworkAttachment

_DEFAULT_ROOT = "/var/lib/kist"
CABLE_PREFIX = "kist"
ALIAS_PREFIX = "kist "
DEVICE_PREFIX = "eth"
DEFAULT = "bridge"
_LARGEST_MTU = 65535
_SMALLEST_MTU = 68
SMALLEST_MTU_IPV6 = 1280
"""RFC 8200, section 5: the kernel has no IPv6 on a device with less."""
BRIDGE_PREFIX = "kist"
_OWN_BRIDGE = re.compile(r"kist(0|-[0-9a-f]{8,10})\Z")
_NAME_SIZE = 15  # as many characters as the kernel has room for
_NUMBER_SIZE = 3  # room for a device's number behind a prefix
_ALIAS_SIZE = 255
_DOCKER = "com.docker.network."
SETTINGS_OPTION = _DOCKER + "endpoint.sysctls"
_OF_ALL_DEVICES = frozenset({"all", "default"})  # settings in /proc/sys/net are called so
_TRUTH = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


class BridgeNetwork(msgspec.Struct, frozen=True):
    """A bridge on this machine with one subnet or two, and a way out.

    Attributes:
        name: what users call it.
        bridge: the device, at most 15 characters.
        subnets: of IPv4 and IPv6, at most one each; the gateway is the bridge's own address.
        id: the network's.
        mtu: bytes of the largest packet.
        internal: nothing goes in or out.
        masquerade: what leaves has the host's address.
        icc: containers on it reach each other.
        device: what names of the containers' devices begin with.
        alias: what the device tells people who look at it.
    """

    name: str
    bridge: str
    subnets: tuple[Subnet, ...]
    id: str = ""
    mtu: int = 1500
    internal: bool = False
    masquerade: bool = True
    icc: bool = True
    device: str = DEVICE_PREFIX
    alias: str = ""


class Options(msgspec.Struct, frozen=True):
    """What the driver options of a network mean; other fields are as in ``BridgeNetwork``.

    Attributes:
        bridge: the device's name; empty for one that is made up.
        mtu: 0 for the way out's.
        host_address: whether the bridge has the gateway's address.
        parent: the host's device that a macvlan or ipvlan network is on; empty for one that leads nowhere.
        mode, flag: of macvlan or ipvlan.
        host_ip: where ports are published that name no address.
    """

    bridge: str = ""
    mtu: int = 0
    masquerade: bool = True
    icc: bool = True
    host_address: bool = True
    device: str = DEVICE_PREFIX
    parent: str = ""
    mode: str = ""
    flag: str = ""
    host_ip: str = ""


def read_options(driver: str, options: dict[str, str]) -> Options:
    """The options of a driver, in Docker's names; such as are of another driver, or nobody's, mean nothing.

    Raises:
        InvalidInput: a value that cannot be.
        Unsupported: what the driver does not do here.
    """
    told = {name.removeprefix(_DOCKER).removeprefix("bridge."): value for name, value in options.items()}
    for name in ("gateway_mode_ipv4", "gateway_mode_ipv6"):
        if told.get(name, "nat") not in {"", "nat"}:
            raise Unsupported(f"the option {name}={told[name]} is not supported", hint="leave it out: it is nat")
    return Options(
        bridge=_device(told.get("name", ""), "name") if driver == "bridge" else "",
        mtu=_mtu(told.get("driver.mtu") or told.get("mtu", "")),
        masquerade=_flag(told, "enable_ip_masquerade"),
        icc=_flag(told, "enable_icc"),
        host_address=not _flag(told, "inhibit_ipv4", usual=False),
        device=_device(told.get("container_iface_prefix", ""), "container_iface_prefix", _NUMBER_SIZE) or DEVICE_PREFIX,
        parent=_device(told.get("parent", ""), "parent"),
        mode=_one_of(told, f"{driver}_mode", _MODES.get(driver, ("",))),
        flag=_one_of(told, "ipvlan_flag", ("bridge", "private", "vepa")) if driver == "ipvlan" else "",
        host_ip=told.get("host_binding_ipv4", ""),
    )


_MODES = {"macvlan": ("bridge", "vepa", "private", "passthru"), "ipvlan": ("l2", "l3", "l3s")}


def bridge_network(network: Network, mtu: int, *, data_root: str) -> BridgeNetwork:
    """How a network of the driver ``bridge`` is in the kernel; ``mtu`` is the way out's."""
    options = read_options(network.driver, network.options)
    subnets = network.subnets
    if not options.host_address:
        subnets = tuple(msgspec.structs.replace(subnet, gateway="") for subnet in subnets)
    return BridgeNetwork(
        name=network.name,
        bridge=bridge_of(network, data_root),
        subnets=subnets,
        id=network.id,
        mtu=options.mtu or mtu,
        internal=network.internal,
        masquerade=options.masquerade,
        icc=options.icc,
        device=options.device,
        alias=network_alias(network.name, data_root),
    )


def alias_of(data_root: str) -> str:
    """What the aliases of an engine's devices begin with: none is taken for another engine's."""
    return f"{ALIAS_PREFIX}{hashlib.sha256(data_root.rstrip('/').encode()).hexdigest()[:8]}"


def network_alias(name: str, data_root: str) -> str:
    """The alias of a network's device: of the name as much as there is room for."""
    return f"{alias_of(data_root)} {name}"[:_ALIAS_SIZE]


def bridge_name(data_root: str) -> str:
    """The default bridge of an engine: ``kist0`` for the machine's own, another for each other data root.

    Two engines lease addresses without knowing of each other, so they cannot share a subnet.
    """
    root = data_root.rstrip("/")
    return "kist0" if root == _DEFAULT_ROOT else "kist-" + hashlib.sha256(root.encode()).hexdigest()[:8]


def bridge_of(network: Network, data_root: str) -> str:
    """The bridge of a network, or the device of one that has no parent."""
    if network.name == DEFAULT:
        return bridge_name(data_root)
    return read_options(network.driver, network.options).bridge or f"kist-{network.id[:10]}"


def is_own_bridge(device: str) -> bool:
    """Whether a bridge of this name is one that an engine has named, maybe another one than ours."""
    return _OWN_BRIDGE.match(device) is not None


def cable_name(container_id: str, network: str = DEFAULT) -> str:
    """The host's end of a container's cable to a network."""
    if network == DEFAULT:
        return CABLE_PREFIX + container_id[:11]
    return CABLE_PREFIX + hashlib.sha256(f"{container_id}/{network}".encode()).hexdigest()[:11]


def attachment(
    network: Network, addresses: Iterable[str], wanted: Endpoint, *, resolver: str = "", host: str = "", names: str = ""
) -> NetworkAttachment:
    """A container's end on the network.

    Args:
        network: with its subnets.
        addresses: the container's on it, without prefix length.
        wanted: what was asked for.
        resolver: see ``NetworkAttachment``.
        host: the same.
        names: the same.
    """
    options = read_options(network.driver, network.options)
    told: dict[str, str] = {}
    for address in addresses:
        subnet = next(each for each in network.subnets if each.version == (6 if ":" in address else 4))
        end = "6" if subnet.version == 6 else ""
        told[f"address{end}"] = f"{address}/{parse_subnet(subnet.subnet).prefixlen}"
        told[f"gateway{end}"] = "" if network.internal or options.mode in {"l3", "l3s"} else subnet.gateway
    main = told.get("address") or told.get("address6", "")
    return NetworkAttachment(
        network=network.name,
        network_id=network.id,
        mac=_mac(network.driver, main, wanted.mac),
        device=device_of(wanted) or _numbered(options.device),
        priority=wanted.priority,
        link_local=wanted.link_local_ips,
        settings=settings_of(wanted),
        resolver=resolver,
        host=host,
        internal=network.internal,
        names=names,
        **told,
    )


def device_of(wanted: Endpoint) -> str:
    """What a container's device is to be called; empty where nobody said.

    Raises:
        InvalidInput: no device has such a name.
    """
    return _device(wanted.driver_options.get("com.docker.network.endpoint.ifname", ""), "ifname")


_OF_ONE_DEVICE = re.compile(r"net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.IFNAME\.([a-z0-9_]+)\Z")


def settings_of(wanted: Endpoint) -> dict[str, str]:
    """Kernel settings of a container's device on one network, by names with ``IFNAME`` for it; the values are plain.

    Raises:
        InvalidInput: one is no setting of a device.
    """
    found = {}
    for entry in filter(None, wanted.driver_options.get(SETTINGS_OPTION, "").split(",")):
        name, equals, value = entry.partition("=")
        if not equals or not _OF_ONE_DEVICE.match(name) or not value.isascii():
            raise InvalidInput(
                f"invalid value {entry!r} for the option {SETTINGS_OPTION}",
                hint="write NAME=VALUE, with commas between, and a NAME like net.ipv4.conf.IFNAME.forwarding",
            )
        found[name] = value
    return found


def in_order(attachments: Sequence[NetworkAttachment]) -> tuple[NetworkAttachment, ...]:
    """The attachments in the order in which what leaves would take them: the first with a gateway is the way out."""
    return tuple(sorted(attachments, key=lambda each: (-each.priority, each.network)))


def way_out(attachments: Sequence[NetworkAttachment], version: int = 4) -> NetworkAttachment | None:
    """The one of a container's networks that what leaves goes by; None where nothing leaves."""
    ordered = in_order(attachments)
    return next((each for each in ordered if (each.gateway if version == 4 else each.gateway6)), None)


def _mac(driver: str, address: str, wanted: str) -> str:
    if driver == "ipvlan":
        return ""  # all have the parent's
    return wanted or (mac_for(address) if address else "")


def _numbered(device: str) -> str:
    return "" if device == DEVICE_PREFIX else f"{device}%d"


def _flag(told: dict[str, str], name: str, *, usual: bool = True) -> bool:
    value = told.get(name, "")
    if not value:
        return usual
    if value.lower() not in _TRUTH:
        raise InvalidInput(f"invalid value {value!r} for the option {name}", hint="it is true or false")
    return _TRUTH[value.lower()]


def _mtu(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or not (text == "0" or _SMALLEST_MTU <= int(text) <= _LARGEST_MTU):
        raise InvalidInput(f"invalid MTU {text!r}", hint=f"bytes, {_SMALLEST_MTU} to {_LARGEST_MTU}; 0 for the usual")
    return int(text)


def _device(text: str, option: str, behind: int = 0) -> str:
    # The kernel puts a number of its own in the place of %d.
    bad = set(text) & set("/:% \t\n") or text in {".", "..", *_OF_ALL_DEVICES} or len(text) > _NAME_SIZE - behind
    if bad:
        raise InvalidInput(
            f"invalid value {text!r} for the option {option}: no device has such a name",
            hint=f"at most {_NAME_SIZE - behind} characters, without spaces, '/', ':' and '%'",
        )
    return text


def _one_of(told: dict[str, str], name: str, allowed: Sequence[str]) -> str:
    value = told.get(name, "") or allowed[0]
    if value not in allowed:
        raise InvalidInput(f"invalid value {value!r} for the option {name}", hint=f"it is {', '.join(allowed)}")
    return value
