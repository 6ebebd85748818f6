"""The sockets of a container's name server, in the container's network namespace.

What asks 127.0.0.11 asks its port 53, but nobody listens there: a container may have a name server of its own that
listens on all addresses, and must not find the port taken. The sockets have another one, and as packets pass the one
is written in place of the other, by rules in the container's namespace. That happens after connection tracking has seen
the question and before it sees the answer, so a firewall in the container sees port 53 both ways.
"""

import functools
import os
import socket

from kist.kernel import netns, nftables
from kist.kernel import nftables_rewriting as rewriting
from kist.kernel.netlink import NETLINK_NETFILTER, Socket
from kist.kernel.nftables import BaseChain

ADDRESS = "127.0.0.11"
TABLE = "kist-names"

# No service's, and none that the kernel gives to connections by itself.
PORT = 61053
_ASKED = 53
_BACKLOG = 64
# Connection tracking has -200 on this hook.
_BEFORE_TRACKING, _AFTER_TRACKING = -350, 350


def open_sockets(netns_fd: int) -> tuple[int, int]:
    """Two descriptors for a container's monitor: bound for UDP, and listening for TCP.

    Args:
        netns_fd: the namespace, whose loopback device is up.

    Raises:
        OSError: the kernel refuses; it lacks nf_tables, perhaps. EADDRINUSE: a monitor, or who keeps them for it, has
            such sockets in this namespace.
    """
    return netns.inside(netns_fd, _open)


@functools.cache
def chains() -> tuple[BaseChain, ...]:
    """The rules."""
    questions = tuple(
        (f"{each} questions", rewriting.to_port(each, ADDRESS, _ASKED) + rewriting.write_destination_port(each, PORT))
        for each in rewriting.PROTOCOLS
    )
    answers = tuple(
        (f"{each} answers", rewriting.from_port(each, ADDRESS, PORT) + rewriting.write_source_port(each, _ASKED))
        for each in rewriting.PROTOCOLS
    )
    return (
        BaseChain("questions", "filter", nftables.HOOK_OUTPUT, _AFTER_TRACKING, questions),
        BaseChain("answers", "filter", nftables.HOOK_OUTPUT, _BEFORE_TRACKING, answers),
    )


def _open() -> tuple[int, int]:
    descriptors: list[int] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as made:
                if kind == socket.SOCK_STREAM:
                    # Connections of sockets before these may still be about to end.
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((ADDRESS, PORT))
                if kind == socket.SOCK_STREAM:
                    made.listen(_BACKLOG)
                descriptors.append(made.detach())
        with Socket(NETLINK_NETFILTER) as connection:
            nftables.ensure(connection, TABLE, chains())
    except OSError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return descriptors[0], descriptors[1]
