"""The packet rules of published ports: two maps in a table of each family, and two chains that look there.

They are the same for all containers: a port that is published is an element of a map (``kist.kernel.port_elements``),
so thousands cost a packet one look. Only the first packet of a connection comes here; connection tracking has the rest.
"""

from kist.kernel import netlink, nftables
from kist.kernel.netlink import Request, Socket
from kist.kernel.nftables import BaseChain
from kist.kernel.nftables_maps import (
    ADDRESS,
    ADDRESS6,
    DEVICE,
    PORT,
    PROTOCOL,
    Set,
    destination_from,
    device_in,
    leave_chain,
    new_set,
    to_loopback,
    to_this_machine,
)
from kist.kernel.port_elements import ANYWHERE, BRIDGES, CHAINS, FAMILIES, ON_ADDRESS, TABLE

_ADDRESSES = {"ip": ADDRESS, "ip6": ADDRESS6}


def sets(family: str) -> tuple[Set, ...]:
    """The maps of a family, and the set of the bridges that have published ports."""
    target = (_ADDRESSES[family], PORT)
    return (
        Set(ON_ADDRESS, (PROTOCOL, *target), target),
        Set(ANYWHERE, (PROTOCOL, PORT), target),
        Set(BRIDGES, (DEVICE,)),
    )


def chains(family: str) -> tuple[BaseChain, ...]:
    """The chains of a family: for what comes to this machine, and for what its own programs send.

    A container's packet to a port of its own bridge is left alone: its answer would come back past the host. So is what
    goes to loopback addresses, from where nothing may be sent elsewhere. The monitor's socket serves both.
    """
    lookups = (
        ("never of loopback", to_loopback(family) + leave_chain()),
        ("on one address", destination_from(ON_ADDRESS, family, with_address=True)),
        ("on all addresses", to_this_machine() + destination_from(ANYWHERE, family, with_address=False)),
    )
    own = ("a container's own bridge", device_in(BRIDGES) + leave_chain())
    incoming, outgoing = CHAINS
    return tuple(
        BaseChain(name, "nat", hook, nftables.PRIORITY_DESTINATION_NAT, rules, family)
        for name, hook, rules in (
            (incoming, nftables.HOOK_PREROUTING, (own, *lookups)),
            (outgoing, nftables.HOOK_OUTPUT, lookups),
        )
    )


def structure() -> bytes:
    """Messages that have all of it there: the beginning of a transaction."""
    made = [each for family in FAMILIES for each in _requests(family)]
    return b"".join(netlink.frame(_unasked(each), 0) for each in made)


def _requests(family: str) -> list[Request]:
    made = [nftables.new_table(TABLE, family)]
    made += [new_set(TABLE, family, each, number) for number, each in enumerate(sets(family), 1)]
    for chain in chains(family):
        made += [nftables.new_chain(TABLE, chain), nftables.flush_chain(TABLE, chain.name, family)]
        made += nftables.new_rules(TABLE, chain)
    return made


def _unasked(request: Request) -> Request:
    """The request without a wish to hear that it was done: who sends it hears of the last one."""
    return request._replace(flags=request.flags & ~netlink.NLM_F_ACK)


def holds(connection: Socket) -> bool:
    """Whether tables and rules are there, as they shall be."""
    return all(nftables.holds(connection, TABLE, chains(family)) for family in FAMILIES)


def lacking(connection: Socket) -> str:
    """What the kernel says of these rules where it cannot have them; empty where it can. Nothing is changed.

    Raises:
        OSError: it refuses for lack of rights.
    """
    made = [each for family in FAMILIES for each in _requests(family)]
    try:
        # The last one cannot be done, and with it none is.
        nftables.commit(connection, [*made, nftables.delete_chain(TABLE, "kist-absent")])
    except FileNotFoundError as error:
        return "" if "kist-absent" in str(error.filename) else f"{error.filename}: {error.strerror}"
    except PermissionError:
        raise
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""
