"""Machines that the tests make, as network namespaces: cables between them, and servers on them."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kist.kernel import namespaces, netlink, netns, rtnetlink
from kist.kernel.netlink import NETLINK_ROUTE, Socket

T = TypeVar("T")
SECONDS = 10.0


class Namespace:
    """A network namespace and a way to run something in it."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = in_thread(self._make) if descriptor is None else descriptor

    @staticmethod
    def _make() -> int:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        return netns.current()

    def run(self, function: Callable[[], T]) -> T:
        def entered() -> T:
            namespaces.setns(self.descriptor, namespaces.CLONE_NEWNET)
            return function()

        return in_thread(entered)

    def close(self) -> None:
        os.close(self.descriptor)


def in_thread(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def transact(*requests: netlink.Request) -> None:
    with Socket(NETLINK_ROUTE) as connection:
        connection.transact(requests)


def join(one: Namespace, address: str, other: Namespace, others: str) -> None:
    """A cable between two machines, with an address in one subnet of 256 for each end."""

    def cable() -> None:
        transact(
            rtnetlink.new_veth(
                "kisttestup", master=0, mtu=1400, peer="up0", peer_mac="02:00:00:00:00:02", peer_netns=other.descriptor
            )
        )
        give("kisttestup", address)

    def give(name: str, own: str) -> None:
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, name)
            assert link is not None
            connection.transact([rtnetlink.set_up(link.ifindex), rtnetlink.add_address(link.ifindex, own, 24)])

    one.run(cable)
    other.run(lambda: give("up0", others))


@contextlib.contextmanager
def server(space: Namespace, address: str, number: int = 0) -> Iterator[tuple[int, list[str]]]:
    """A TCP server in the namespace that answers ``hello``; gives its port and the addresses that it saw."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = space.run(lambda: socket.create_server((address, number), family=family))
    seen: list[str] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, (peer, *_) = listener.accept()
                seen.append(peer)
                with connection:
                    connection.sendall(b"hello")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def fetch(space: Namespace, address: str, port: int, timeout: float = SECONDS) -> bytes:
    def read() -> bytes:
        with socket.create_connection((address, port), timeout=timeout) as connection:
            return connection.recv(100)

    return space.run(read)
