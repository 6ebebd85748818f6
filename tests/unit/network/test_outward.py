"""Which program is the way out of an ordinary user's network, and how it is started."""

import stat
from pathlib import Path

import pytest

from kist.errors import Unavailable
from kist.kernel import programs
from kist.network import outward
from kist.network.outward import Helper, Subnet

OLD, NEW = "pasta unknown version\n", "pasta 0.0~git20240624.1ee2eca-1\n"


@pytest.mark.parametrize(
    ("version", "good"),
    [
        (OLD, False),
        (NEW, True),
        ("pasta 2024_05_10.7288448\n", True),
        ("pasta 0^20250217.ga1e48a0-1.fc41.x86_64\n", True),
        ("pasta 0.0~git20230309.7c7625d-1\n", False),
        ("pasta 2023_12_30.f091893\n", False),
        ("", False),
    ],
)
def test_a_pasta_without_a_known_day_or_of_an_early_one_is_old(version: str, good: bool) -> None:
    assert outward.is_good_pasta(version) is good


@pytest.mark.parametrize(
    ("there", "version", "chosen"),
    [
        (("pasta", "slirp4netns"), NEW, "pasta"),
        (("pasta", "slirp4netns"), OLD, "slirp4netns"),
        (("pasta",), OLD, "pasta"),
        (("slirp4netns",), NEW, "slirp4netns"),
        ((), NEW, None),
    ],
)
def test_the_faster_one_of_those_that_are_there_is_taken(
    there: tuple[str, ...], version: str, chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in there:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{version.strip()}'\n")
        program.chmod(0o755)
    monkeypatch.setattr(programs, "PLACES", "/nowhere")
    monkeypatch.setattr(outward, "TUN", str(tmp_path))
    found = outward.find({"PATH": str(tmp_path)})
    assert (found and found.name) == chosen


def test_without_the_device_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "TUN", str(tmp_path / "none"))
    assert outward.find({"PATH": "/usr/bin:/bin"}) is None


def test_a_pasta_that_cannot_be_executed_is_old(tmp_path: Path) -> None:
    program = tmp_path / "pasta"
    program.write_bytes(b"\x7fELF")
    program.chmod(stat.S_IRWXU)
    assert outward.is_old(str(program))


def test_a_subnet_hides_nothing_that_the_host_reaches() -> None:
    assert outward.choose_subnet(["0.0.0.0/0"]).text == "10.0.2.0/24"
    assert outward.choose_subnet(["10.0.2.0/24", "192.0.2.0/24"]).text == "10.0.3.0/24"
    assert outward.choose_subnet(["10.0.0.0/8"]).text == "172.31.252.0/24"
    with pytest.raises(Unavailable, match="no free subnet"):
        outward.choose_subnet(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])


def test_addresses_of_a_subnet() -> None:
    subnet = Subnet("10.0.3.0/24")
    assert (subnet.gateway, subnet.resolver, subnet.own) == ("10.0.3.2", "10.0.3.3", "10.0.3.100")


@pytest.mark.parametrize("resolves", [True, False])
def test_neither_program_shows_the_hosts_loopback(resolves: bool) -> None:
    subnet = Subnet("10.0.2.0/24")
    pasta = outward.pasta_command(Helper("pasta", "/p"), subnet, "/ns", "/log", "/pid", resolves=resolves)
    assert "--no-map-gw" in pasta
    assert [pasta[pasta.index(f"--{kind}") + 1] for kind in ("tcp-ports", "udp-ports", "tcp-ns", "udp-ns")] == (
        ["none"] * 4
    )
    assert ("--dns-forward" in pasta) is resolves
    assert "--disable-host-loopback" in outward.slirp_command(Helper("slirp4netns", "/s"), subnet, "/ns", 3)
