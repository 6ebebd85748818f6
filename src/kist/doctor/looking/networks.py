"""Bridges, packet rules, the programs that connect a user's bridges with the world, and what is reached from here."""

import os
from functools import partial

from kist.doctor.facts import Links
from kist.doctor.looking.machine import opened, words
from kist.errors import KistError
from kist.kernel import marks, netlink, nftables, programs, trials
from kist.network import firewall, outward, rules
from kist.network.plan import BridgeNetwork
from kist.spec.network import Subnet

_TRIAL = BridgeNetwork("kist-doctor", "kist-doctor", (Subnet("10.254.254.0/24", "10.254.254.1"),))
_PROGRAMS = ("pasta", "slirp4netns")
_FIRST_PORT = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_PINGERS = "/proc/sys/net/ipv4/ping_group_range"


def links() -> Links:
    """Make a bridge and its rules in a network namespace that ends at once."""
    first_port = marks.setting(_FIRST_PORT)
    pingers = marks.setting(_PINGERS).split()
    found = {name: programs.find(name, os.environ) or "" for name in _PROGRAMS}
    bridge = words(trials.attempt(trials.bridge))
    return Links(
        bridge=bridge,
        rules=bridge or words(trials.attempt(partial(trials.bridge, _set_rules))),
        dropping=_dropping(),
        programs=found,
        old_pasta=bool(found["pasta"]) and outward.is_old(found["pasta"]),
        tun=opened("/dev/net/tun"),
        first_port=int(first_port) if first_port.isdecimal() else 0,
        pingers=(int(pingers[0]), int(pingers[1])) if len(pingers) == 2 else (0, os.getegid()),
    )


def _dropping() -> tuple[str, ...]:
    if os.geteuid():
        return ()  # a user's bridges are in a namespace of their own, which no other firewall is in
    try:
        return rules.blocking_chains()
    except KistError:
        return ()  # without packet rules nobody drops anything: ``rules`` says what is wrong


def _set_rules() -> None:
    with netlink.Socket(netlink.NETLINK_NETFILTER) as connection:
        nftables.ensure(connection, firewall.TABLE, firewall.chains(_TRIAL))
