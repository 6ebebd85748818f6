"""Which distribution it is, and what things are called there."""

import shlex
import subprocess
from pathlib import Path

import pytest

from kist.doctor.distribution import Distribution, keep_device, keep_module, keep_setting, read, script

FAMILIES = ("debian", "fedora", "suse", "arch", "alpine")


@pytest.mark.parametrize(
    ("os_release", "name", "family"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', "Debian GNU/Linux 12 (bookworm)", "debian"),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "Ubuntu", "debian"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\nNAME=Mint', "Mint", "debian"),
        ("ID=fedora\nNAME='Fedora Linux'\n", "Fedora Linux", "fedora"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nNAME="Rocky Linux"', "Rocky Linux", "fedora"),
        ('ID="opensuse-leap"\nNAME="openSUSE Leap"', "openSUSE Leap", "suse"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', "Linux", "suse"),
        ("ID=sles\nID_LIKE=suse\n", "Linux", "suse"),
        ("ID=manjaro\nID_LIKE=arch\n", "Linux", "arch"),
        ("ID=alpine\nPRETTY_NAME=Alpine\n# ID=debian\n", "Alpine", "alpine"),
        ('ID=plan9\nNAME="Pl\'an"\n', "Pl'an", ""),
        ('NAME="never closed\nID=debian', '"never closed', "debian"),
        ("", "Linux", ""),
    ],
)
def test_a_distribution_is_known_by_its_own_words(os_release: str, name: str, family: str) -> None:
    assert read(os_release) == Distribution(name, family)


@pytest.mark.parametrize(
    ("family", "command"),
    [
        ("debian", "apt-get install uidmap"),
        ("fedora", "dnf install shadow-utils"),
        ("suse", "zypper install shadow"),
        ("arch", "pacman -S shadow"),
        ("alpine", "apk add shadow-subids"),
        ("", ""),
    ],
)
def test_the_command_that_installs_newuidmap(family: str, command: str) -> None:
    assert Distribution("x", family).install("newuidmap") == command


@pytest.mark.parametrize("thing", ["newuidmap", "pasta", "slirp4netns", "clock"])
def test_every_known_family_has_a_package_for_each_thing(thing: str) -> None:
    assert all(Distribution("x", family).install(thing) for family in FAMILIES)


@pytest.mark.parametrize(
    "command",
    [
        *(Distribution("x", family).unified_cgroups() for family in ("debian", "fedora", "alpine")),
        *(Distribution("x", family).start_clock() for family in FAMILIES),
        keep_setting("net.ipv4.ping_group_range", "0 2147483647", "ping"),
        keep_module("nf_tables", "nft_ct"),
        keep_device("/dev/net/tun"),
        script("true", "false"),
    ],
)
def test_sudo_can_stand_before_a_command(command: str) -> None:
    # One program and its words: what belongs to a shell is within the quotes of `sh -c`.
    words = shlex.split(command)
    assert words[0] == "sh" or not set(command) & set("|&><;")
    assert len(words) == 3 or words[0] != "sh"


def test_a_setting_is_kept_and_takes_effect_at_once() -> None:
    *_, inner = shlex.split(keep_setting("a.b", "1", "topic"))
    assert inner == 'echo "a.b = 1" > /etc/sysctl.d/60-kist-topic.conf && sysctl -p /etc/sysctl.d/60-kist-topic.conf'


def test_a_device_is_open_to_all_after_the_next_start_too(tmp_path: Path) -> None:
    (tmp_path / "tun").touch(mode=0o600)
    *_, inner = shlex.split(keep_device(f"{tmp_path}/tun"))
    subprocess.run(["sh", "-c", inner.replace("/etc/", f"{tmp_path}/")], check=True)
    assert (tmp_path / "tun").stat().st_mode & 0o777 == 0o666
    rule = (tmp_path / "udev/rules.d/60-kist-tun.rules").read_text(encoding="utf-8")
    assert rule == 'KERNEL=="tun", MODE="0666"\n'


def test_grub_gets_its_own_variable_and_not_the_shells() -> None:
    *_, inner = shlex.split(Distribution("x", "debian").unified_cgroups())
    assert r"\$GRUB_CMDLINE_LINUX systemd.unified_cgroup_hierarchy=1" in inner
