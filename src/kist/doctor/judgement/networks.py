"""Networks of containers, and what Kist itself reaches."""

from kist.doctor.distribution import Distribution, keep_module, keep_setting
from kist.doctor.facts import Links, Mirrors, Names, Person
from kist.doctor.finding import LACKING, Finding, commands, ok
from kist.doctor.judgement.machine import device
from kist.network.plan import BRIDGE_PREFIX

_NO_BRIDGE = "containers have no network of their own: --network none and --network host work"
_NO_WAY_OUT = "containers on a bridge may reach nothing outside, and with br_netfilter not each other"
_RULES = ("nf_tables", "nft_chain_nat", "nft_masq", "nft_ct")
_OUT = "a container has the host's network unless it publishes ports; on a bridge it reaches nothing outside"
_OLD = "what containers send is slow, and the end of a connection that they closed halfway is lost"
_PRIVILEGED_PORTS = 1024
_WEB = 80


def bridge(found: Links) -> Finding:
    """Whether bridges can be made."""
    if not found.bridge:
        return ok("bridge", "bridges and cables to them can be made")
    return Finding("bridge", LACKING, f"no bridge can be made: {found.bridge}", _NO_BRIDGE,
                   (keep_module("bridge", "veth"),))  # fmt: skip


def nftables(found: Links) -> Finding:
    """Whether packet rules can be set."""
    if not found.rules:
        return ok("nftables", "the kernel has packet rules with address translation")
    return Finding("nftables", LACKING, f"packet rules cannot be set: {found.rules}", _NO_BRIDGE,
                   (keep_module(*_RULES),),
                   advice="the modules may be in a package of their own: linux-modules-extra on Ubuntu, "
                   "kernel-modules-extra on Fedora")  # fmt: skip


def forwarding(person: Person, found: Links) -> Finding:
    """Whether other firewalls let through what bridges forward."""
    if not person.root:
        return ok("forwarding", "a user's bridges are where no firewall of the host is")
    if not found.dropping:
        return ok("forwarding", "no chain of nf_tables drops what is forwarded")
    chains = " and ".join(found.dropping)
    return Finding("forwarding", LACKING, f"the policy of the chain {chains} is to drop", _NO_WAY_OUT,
                   tuple(command for chain in found.dropping for command in _letting_through(*chain.split())),
                   advice="until the firewall is loaded again: put them where its own rules are kept; firewalld and "
                   "ufw have commands of their own (guide: networking, other firewalls)")  # fmt: skip


def _letting_through(family: str, table: str, chain: str) -> tuple[str, str]:
    """The commands that have a firewall forward what bridges send, and the answers to it."""
    if (family, table) == ("ip", "filter"):  # what iptables made it also reads, and it reads no rules of nft's
        answers = f"{BRIDGE_PREFIX}+ -m conntrack --ctstate RELATED,ESTABLISHED"
        return f"iptables -I {chain} -i {BRIDGE_PREFIX}+ -j ACCEPT", f"iptables -I {chain} -o {answers} -j ACCEPT"
    insert = f"nft insert rule {family} {table} {chain}"
    return (
        f"{insert} iifname '{BRIDGE_PREFIX}*' accept",
        f"{insert} oifname '{BRIDGE_PREFIX}*' ct state established,related accept",
    )


def outward(name: str, person: Person, distribution: Distribution, found: Links) -> Finding:
    """Whether ``pasta`` or ``slirp4netns`` is there: one of them connects a user's bridges with the world."""
    path = found.programs.get(name, "")
    if person.root:
        return ok(name, "not needed: you are root")
    other = next((other for other, there in found.programs.items() if there and other != name), "")
    if name == "pasta" and path and found.old_pasta:
        told = f"{path} is older than 2024"
        if other:
            return ok(name, f"{told}, so {other} is taken")
        return Finding(name, LACKING, told, _OLD, commands(distribution.install("slirp4netns")),
                       advice="a newer one is better still")  # fmt: skip
    if path:
        return ok(name, path)
    if other == "pasta" and not found.old_pasta:
        return ok(name, "not installed, and not needed beside pasta")
    cost = {"": _OUT, "pasta": _OLD}.get(other, "slirp4netns does its work, more slowly")
    fix = commands(distribution.install(name))
    return Finding(name, LACKING, "not installed", cost, fix,
                   advice="" if fix else f"install {'passt' if name == 'pasta' else name}")  # fmt: skip


def tun(person: Person, found: Links) -> Finding:
    """Whether network devices of programs can be made."""
    if person.root and found.tun:
        return device("tun", "/dev/net/tun", found.tun, "containers cannot have it (--device /dev/net/tun)", "tun")
    return device("tun", "/dev/net/tun", found.tun, f"pasta and slirp4netns cannot work: {_OUT}", "tun")


def low_ports(person: Person, found: Links) -> Finding:
    """Whether ports below 1024 can be published."""
    if person.root:
        return ok("low-ports", "all ports can be published")
    if found.first_port <= _WEB:
        return ok("low-ports", f"ports from {found.first_port} on can be published")
    return Finding(
        "low-ports",
        LACKING,
        f"ports below {found.first_port} are root's (net.ipv4.ip_unprivileged_port_start)",
        f"-p 80:80 is refused; -p 8080:80 and all from {found.first_port} on work",
        (keep_setting("net.ipv4.ip_unprivileged_port_start", str(_WEB), "ports"),),
    )


def ping(person: Person, found: Links) -> Finding:
    """Whether ping works: in the host's network, and by the way out of a network of one's own."""
    first, last = found.pingers
    if person.root:
        return ok("ping", "root may ping")
    if first <= person.gid <= last:
        return ok("ping", "you may ping")
    return Finding(
        "ping",
        LACKING,
        f"net.ipv4.ping_group_range ({first} to {last}) does not have your group {person.gid}",
        "nothing outside answers a ping from a container; on a bridge, other containers do",
        (keep_setting("net.ipv4.ping_group_range", "0 2147483647", "ping"),),
    )


def dns(found: Names) -> Finding:
    """Whether names are found."""
    answers = found.answers
    cost = "names of mirrors and registries are not found, and containers find none outside"
    if not answers:
        return Finding("dns", LACKING, "/etc/resolv.conf names no server", cost,
                       advice="write `nameserver ADDRESS` into it, as the network's administrator tells")  # fmt: skip
    dead = {server: answer for server, answer in answers.items() if answer}
    if not dead:
        return ok("dns", f"{', '.join(answers)} answer{'s' if len(answers) == 1 else ''} about {found.asked}")
    told = "; ".join(f"{server}: {answer}" for server, answer in dead.items())
    if len(dead) < len(answers):
        cost = "each name that is looked up there first takes seconds"
    return Finding("dns", LACKING, f"asked about {found.asked}: {told}", cost,
                   advice="/etc/resolv.conf names the servers; is this machine's network up?")  # fmt: skip


def mirrors(found: Mirrors) -> Finding:
    """Whether packages can be had."""
    dead = {mirror: answer for mirror, answer in found.answers.items() if answer}
    if not dead:
        return ok("mirrors", f"{', '.join(found.answers)} can be reached ({found.configured})")
    told = "; ".join(f"{mirror}: {answer}" for mirror, answer in dead.items())
    return Finding("mirrors", LACKING, f"{told} ({found.configured})", "kist bootstrap cannot make base images",
                   advice="`kist bootstrap --mirror URL` names another mirror; a proxy is read from apt's "
                   "configuration; images can also come from files (kist load, kist import)")  # fmt: skip
