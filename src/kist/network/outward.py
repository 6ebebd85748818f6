"""The way out of an ordinary user's network namespace: a program that carries its packets as connections of its own.

A bridge in such a namespace ends there, for the user has no say over the machine's devices. pasta (of passt) or
slirp4netns, where one is installed, puts a device ``tap0`` into the namespace and opens ordinary sockets on the host
for whatever leaves by it. Neither reaches the host's loopback addresses: what listens there is not meant for
containers.
"""

import functools
import os
import re
import socket
import subprocess
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from kist.errors import Unavailable
from kist.kernel import process, programs
from kist.network.addresses import overlapping, parse_subnet

DEVICE = "tap0"
TUN = "/dev/net/tun"
# The largest packet that both take: the fewer packets, the more bytes in a second.
MTU = 65520

_SUBNETS = ("10.0.2.0/24", "10.0.3.0/24", "172.31.252.0/24", "192.168.252.0/24")
# As slirp4netns numbers them within its subnet.
_GATEWAY, _RESOLVER, _OWN = 2, 3, 100
_SECONDS = 10
# Of RFC 5737: nobody's.
_ELSEWHERE = ("192.0.2.1", 9)

Program = Literal["pasta", "slirp4netns"]
# The faster one of two is taken. That is pasta, unless it is older than this: up to 2023 it sent acknowledgements
# without the ACK flag (RFC 9293, section 3.1), which nobody heeds, and so a tenth of what slirp4netns does.
_GOOD_PASTA = 20240101
_DATE = re.compile(r"(20\d\d)_?([01]\d)_?([0-3]\d)")


class Helper(msgspec.Struct, frozen=True):
    """A program that can be the way out."""

    name: Program
    path: str


class Subnet(msgspec.Struct, frozen=True):
    """The addresses on the tap device: the namespace's own, the program's, and its name server's."""

    text: str

    def _at(self, number: int) -> str:
        return str(parse_subnet(self.text)[number])

    @property
    def gateway(self) -> str:
        """The next hop of all that leaves."""
        return self._at(_GATEWAY)

    @property
    def resolver(self) -> str:
        """A name server that asks the host's."""
        return self._at(_RESOLVER)

    @property
    def own(self) -> str:
        """The namespace's."""
        return self._at(_OWN)


class Running(msgspec.Struct, frozen=True):
    """A program that runs.

    Attributes:
        name: which one.
        pid, started: the process (``process.start_time``).
        resolver: the address of a name server that asks the host's; empty where that is not needed.
    """

    name: Program
    pid: int
    started: int
    resolver: str = ""

    @property
    def lives(self) -> bool:
        """Whether it still does."""
        return process.lives(self.pid, self.started)


def host_address() -> str:
    """The address of the host's by which its way out goes, empty where it has none.

    A program's connections to it are the host's own to itself, so it reaches what listens there; nothing is sent here.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_ELSEWHERE)
        except OSError:
            return ""
        return str(asking.getsockname()[0])


def find(environment: Mapping[str, str]) -> Helper | None:
    """The program to take, if there is one that can work: both need the device that makes tap devices."""
    if not os.access(TUN, os.R_OK | os.W_OK):
        return None
    pasta, slirp = programs.find("pasta", environment), programs.find("slirp4netns", environment)
    if pasta and (not slirp or not is_old(pasta)):
        return Helper("pasta", pasta)
    return Helper("slirp4netns", slirp) if slirp else None


def is_old(pasta: str) -> bool:
    """Whether the pasta at this path is one that slirp4netns is better than."""
    return not is_good_pasta(_version(pasta, os.stat(pasta).st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _version(program: str, _changed: int) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program}: {error}"
    return done.stdout


def is_good_pasta(version: str) -> bool:
    """Whether pasta is the faster one, by what its ``--version`` says: in some way the day of its release."""
    found = _DATE.search(version)
    return found is not None and int("".join(found.groups())) >= _GOOD_PASTA


def choose_subnet(routed: Iterable[str]) -> Subnet:
    """Addresses that hide none of the host's destinations from containers.

    Raises:
        Unavailable: all of them would.
    """
    destinations = frozenset(routed)
    for candidate in _SUBNETS:
        if not overlapping(candidate, destinations):
            return Subnet(candidate)
    raise Unavailable(
        f"no free subnet for {DEVICE}: this machine has routes to all of {', '.join(_SUBNETS)}",
        hint="run with --network host",
    )


def pasta_command(
    helper: Helper, subnet: Subnet, namespace: str, log: str, pid_file: str, *, resolves: bool
) -> list[str]:
    """passt(1): it goes to the background when the device is configured.

    Where it resolves, old ones let answers of the host's own name server come from their address whoever was asked.
    """
    return [
        helper.path, "--quiet", "--log-file", log, "--pid", pid_file,
        "--ipv4-only", "--config-net", "--ns-ifname", DEVICE, "--mtu", str(MTU),
        "--address", subnet.own, "--netmask", str(parse_subnet(subnet.text).prefixlen), "--gateway", subnet.gateway,
        *(["--dns-forward", subnet.resolver] if resolves else []), "--no-map-gw", "--no-netns-quit",
        "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
        "--netns", namespace,
    ]  # fmt: skip


def slirp_command(helper: Helper, subnet: Subnet, namespace: str, ready: int) -> list[str]:
    """slirp4netns(1): it writes to ``ready`` when the device is configured, and stays."""
    return [
        helper.path, "--configure", f"--mtu={MTU}", f"--cidr={subnet.text}", "--disable-host-loopback",
        "--enable-sandbox", "--enable-seccomp",
        f"--ready-fd={ready}", "--netns-type=path", namespace, DEVICE,
    ]  # fmt: skip
