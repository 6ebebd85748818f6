"""nf_tables over netlink: base chains and their rules in tables of the families ip and ip6, changed in atomic batches.

Functions that give a ``Request`` are pure; those that take a ``Socket`` ask the kernel (include/uapi/linux/netfilter/
nf_tables.h and nfnetlink.h). A kernel without nf_tables answers EOPNOTSUPP or EPROTONOSUPPORT.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from kist.kernel import netlink
from kist.kernel.netlink import Request, Socket
from kist.kernel.nftables_expressions import be32

HOOK_PREROUTING = 0
HOOK_INPUT = 1
HOOK_FORWARD = 2
HOOK_OUTPUT = 3
HOOK_POSTROUTING = 4
PRIORITY_DESTINATION_NAT = -100
PRIORITY_FILTER = 0
PRIORITY_SOURCE_NAT = 100
POLICY_DROP = 0
POLICY_ACCEPT = 1
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_NUMBERS = {name: number for number, name in FAMILIES.items()}

_BATCH_BEGIN = 16
_BATCH_END = 17
_SUBSYSTEM = 10
_NEWTABLE = _SUBSYSTEM << 8 | 0
_DELTABLE = _SUBSYSTEM << 8 | 2
_NEWCHAIN = _SUBSYSTEM << 8 | 3
_GETCHAIN = _SUBSYSTEM << 8 | 4
_DELCHAIN = _SUBSYSTEM << 8 | 5
_NEWRULE = _SUBSYSTEM << 8 | 6
_GETRULE = _SUBSYSTEM << 8 | 7
_DELRULE = _SUBSYSTEM << 8 | 8
_GETGEN = _SUBSYSTEM << 8 | 16

_CHAIN_TABLE = 1
_CHAIN_NAME = 3
_CHAIN_HOOK = 4
_CHAIN_POLICY = 5
_CHAIN_USE = 6
_CHAIN_TYPE = 7
_HOOK_NUMBER = 1
_HOOK_PRIORITY = 2
_RULE_TABLE = 1
_RULE_CHAIN = 2
_RULE_EXPRESSIONS = 4
_RULE_USERDATA = 7
_USERDATA_COMMENT = 0  # how nft(8) keeps a rule's comment, so that it can show it

_NO_HOOK = -1
_HEADER = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource


class Chain(NamedTuple):
    """A chain of some table; ``hook`` is -1 unless it is a base chain, ``rules`` is how many it has."""

    family: str
    table: str
    name: str
    type: str
    hook: int
    policy: int
    priority: int = 0
    rules: int = 0


class BaseChain(NamedTuple):
    """A base chain as it shall be: ``type`` is ``nat`` or ``filter``; ``rules`` are ``(comment, expressions)``.

    It is in the table of its family (``ip`` or ``ip6``).

    The comment names the rule; a digest of its expressions is put behind it, so that a look at the comments tells
    whether the rules in the kernel are these.
    """

    name: str
    type: str
    hook: int
    priority: int
    rules: tuple[tuple[str, bytes], ...]
    family: str = "ip"

    def comments(self) -> list[str]:
        """What the comments of the rules in the kernel must be."""
        return [f"{comment} #{hashlib.sha256(code).hexdigest()[:8]}" for comment, code in self.rules]


def ensure(connection: Socket, table: str, chains: Sequence[BaseChain]) -> None:
    """Make the tables and the chains and replace what rules the chains have, in one transaction.

    Raises:
        OSError: EEXIST or EOPNOTSUPP when a chain of this name has another type or hook.
    """
    made = [new_table(table, family) for family in dict.fromkeys(chain.family for chain in chains)]
    for chain in chains:
        made += [new_chain(table, chain), flush_chain(table, chain.name, chain.family), *new_rules(table, chain)]
    commit(connection, made)


def holds(connection: Socket, table: str, chains: Sequence[BaseChain]) -> bool:
    """Whether the chains are there with these rules."""
    return all(rule_comments(connection, table, chain.name, chain.family) == chain.comments() for chain in chains)


def remove(connection: Socket, table: str, names: Sequence[str]) -> None:
    """Remove those of the chains that exist, and a table when no other chain is left in it.

    The caller keeps others from adding chains to the table meanwhile.
    """
    there = [chain for chain in list_chains(connection) if chain.table == table]
    for family in dict.fromkeys(chain.family for chain in there):
        own = [chain.name for chain in there if chain.family == family]
        doomed = [name for name in own if name in names]
        if doomed and len(doomed) == len(own):
            commit(connection, [request(_DELTABLE, 0, netlink.text(1, table), f"nf_tables table {table}", family)])
        elif doomed:
            ends = [(flush_chain(table, name, family), delete_chain(table, name, family)) for name in doomed]
            commit(connection, [each for pair in ends for each in pair])


def commit(connection: Socket, requests: Sequence[Request]) -> None:
    """Do all of it or nothing.

    Raises:
        OSError: of the first request that failed.
    """
    subsystem = _HEADER.pack(socket.AF_UNSPEC, 0, _SUBSYSTEM)
    connection.transact(
        [Request(_BATCH_BEGIN, 0, subsystem, "nf_tables"), *requests, Request(_BATCH_END, 0, subsystem, "nf_tables")]
    )


def new_table(table: str, family: str = "ip") -> Request:
    """Make a table, unless it is there."""
    return request(_NEWTABLE, netlink.NLM_F_CREATE, netlink.text(1, table), f"nf_tables table {table}", family)


def new_chain(table: str, chain: BaseChain) -> Request:
    """Make a base chain with policy accept, unless it is there."""
    hook = netlink.nested(_CHAIN_HOOK, be32(_HOOK_NUMBER, chain.hook), be32(_HOOK_PRIORITY, chain.priority))
    members = (
        _chain(table, chain.name),
        hook,
        be32(_CHAIN_POLICY, POLICY_ACCEPT),
        netlink.text(_CHAIN_TYPE, chain.type),
    )
    what = f"nf_tables chain {chain.name}"
    return request(_NEWCHAIN, netlink.NLM_F_CREATE, b"".join(members), what, chain.family)


def flush_chain(table: str, name: str, family: str = "ip") -> Request:
    """Remove all rules of a chain."""
    members = netlink.text(_RULE_TABLE, table) + netlink.text(_RULE_CHAIN, name)
    return request(_DELRULE, 0, members, f"nf_tables chain {name}", family)


def delete_chain(table: str, name: str, family: str = "ip") -> Request:
    """Remove an empty chain."""
    return request(_DELCHAIN, 0, _chain(table, name), f"nf_tables chain {name}", family)


def new_rules(table: str, chain: BaseChain) -> list[Request]:
    """Append the chain's rules."""
    place = netlink.text(_RULE_TABLE, table) + netlink.text(_RULE_CHAIN, chain.name)
    flags = netlink.NLM_F_CREATE | netlink.NLM_F_APPEND
    return [
        request(
            _NEWRULE,
            flags,
            place
            + netlink.nested(_RULE_EXPRESSIONS, code)
            + netlink.attribute(_RULE_USERDATA, encode_comment(comment)),
            f"nf_tables rule {comment!r}",
            chain.family,
        )
        for comment, (_, code) in zip(chain.comments(), chain.rules, strict=True)
    ]


def rule_comments(connection: Socket, table: str, chain: str, family: str = "ip") -> list[str]:
    """The comments of the rules of a chain, in order; none when there is no such chain."""
    members = netlink.text(_RULE_TABLE, table) + netlink.text(_RULE_CHAIN, chain)
    asked = Request(_GETRULE, 0, _HEADER.pack(_NUMBERS[family], 0, 0) + members, f"nf_tables table {table}")
    found = []
    for message in connection.dump(asked):
        told = netlink.attributes(message.body[_HEADER.size :])
        # Kernels before 4.6 do not filter.
        names = netlink.string(told.get(_RULE_TABLE, b"")), netlink.string(told.get(_RULE_CHAIN, b""))
        if names == (table, chain):
            found.append(decode_comment(told.get(_RULE_USERDATA, b"")))
    return found


def mentions(connection: Socket, table: str, word: str, family: str = "ip") -> bool:
    """Whether any rule of a table compares something with this word, or with what begins so: a device's name."""
    asked = Request(
        _GETRULE, 0, _HEADER.pack(_NUMBERS[family], 0, 0) + netlink.text(_RULE_TABLE, table), f"nf_tables table {table}"
    )
    found = (netlink.attributes(message.body[_HEADER.size :]) for message in connection.dump(asked))
    return any(
        word.encode() in told.get(_RULE_EXPRESSIONS, b"")
        for told in found
        if netlink.string(told.get(_RULE_TABLE, b"")) == table  # kernels before 4.6 do not filter
    )


def generation(connection: Socket) -> int:
    """A number that is another one after each change of any rule in this network namespace."""
    asked = Request(_GETGEN, netlink.NLM_F_ACK, _HEADER.pack(socket.AF_UNSPEC, 0, 0), "nf_tables generation")
    (answer,) = connection.transact([asked])
    return int.from_bytes(netlink.attributes(answer.body[_HEADER.size :])[1], "big")


def list_chains(connection: Socket) -> list[Chain]:
    """All chains of all families."""
    asked = Request(_GETCHAIN, 0, _HEADER.pack(socket.AF_UNSPEC, 0, 0), "nf_tables chains")
    return [decode_chain(message.body) for message in connection.dump(asked)]


def legacy_tables() -> list[str]:
    """The tables that iptables-legacy has in this network namespace, which nf_tables does not show."""
    found: list[str] = []
    for file in ("ip_tables_names", "ip6_tables_names"):
        try:
            with open(f"/proc/thread-self/net/{file}", encoding="ascii") as lines:
                found += lines.read().split()
        except (FileNotFoundError, PermissionError):
            continue  # it was never used; or it is not ours to know, nor are the rules then
    return found


def decode_chain(body: bytes) -> Chain:
    """A chain message. Raises OSError EBADMSG when it is malformed."""
    if len(body) < _HEADER.size:
        raise OSError(errno.EBADMSG, "malformed nf_tables message")
    members = netlink.attributes(body[_HEADER.size :])
    hooked = netlink.attributes(members.get(_CHAIN_HOOK, b""))
    hook = hooked.get(_HOOK_NUMBER)
    return Chain(
        family=FAMILIES.get(body[0], str(body[0])),
        table=netlink.string(members.get(_CHAIN_TABLE, b"")),
        name=netlink.string(members.get(_CHAIN_NAME, b"")),
        type=netlink.string(members.get(_CHAIN_TYPE, b"")),
        hook=_NO_HOOK if hook is None else int.from_bytes(hook, "big"),
        policy=int.from_bytes(members.get(_CHAIN_POLICY, b"\0\0\0\1"), "big"),
        priority=int.from_bytes(hooked.get(_HOOK_PRIORITY, b""), "big", signed=True),
        rules=int.from_bytes(members.get(_CHAIN_USE, b""), "big"),
    )


def encode_comment(comment: str) -> bytes:
    """A rule's user data with a comment (at most 127 bytes) in nft(8)'s own form."""
    payload = os.fsencode(comment)[:127] + b"\0"
    return bytes((_USERDATA_COMMENT, len(payload))) + payload


def decode_comment(data: bytes) -> str:
    """The comment in a rule's user data, empty when there is none."""
    while len(data) >= 2:
        kind, length = data[0], data[1]
        if kind == _USERDATA_COMMENT:
            return netlink.string(data[2 : 2 + length])
        data = data[2 + length :]
    return ""


def _chain(table: str, name: str) -> bytes:
    return netlink.text(_CHAIN_TABLE, table) + netlink.text(_CHAIN_NAME, name)


def request(kind: int, flags: int, members: bytes, what: str, family: str = "ip") -> Request:
    """A message about an object of this family; ``what`` names the object in errors."""
    return Request(kind, flags | netlink.NLM_F_ACK, _HEADER.pack(_NUMBERS[family], 0, 0) + members, what)
