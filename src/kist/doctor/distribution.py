"""What distributions call things: packages and commands, by what /etc/os-release says. Pure."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

# ID or ID_LIKE of os-release(5): the family.
_FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "fedora": "fedora",
    "rhel": "fedora",
    "centos": "fedora",
    "suse": "suse",
    "opensuse": "suse",
    "arch": "arch",
    "alpine": "alpine",
}
_INSTALL = {
    "debian": "apt-get install",
    "fedora": "dnf install",
    "suse": "zypper install",
    "arch": "pacman -S",
    "alpine": "apk add",
}
# By what a thing is called here: the package of each family.
_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "newuidmap": {
        "debian": "uidmap",
        "fedora": "shadow-utils",
        "suse": "shadow",
        "arch": "shadow",
        "alpine": "shadow-subids",
    },
    "usermod": {
        "debian": "passwd",
        "fedora": "shadow-utils",
        "suse": "shadow",
        "arch": "shadow",
        "alpine": "shadow",
    },
    "pasta": dict.fromkeys(_INSTALL, "passt"),
    "mkfs.ext4": dict.fromkeys(_INSTALL, "e2fsprogs"),
    "slirp4netns": dict.fromkeys(_INSTALL, "slirp4netns"),
    "clock": {
        "debian": "systemd-timesyncd",
        "fedora": "chrony",
        "suse": "chrony",
        "arch": "chrony",
        "alpine": "chrony",
    },
}
_CLOCK_SERVICES = {"debian": "systemd-timesyncd", "fedora": "chronyd", "suse": "chronyd", "arch": "chronyd"}
_UNIFIED = "systemd.unified_cgroup_hierarchy=1"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution.

    Attributes:
        name: as it calls itself (``Debian GNU/Linux 12 (bookworm)``).
        family: the one whose packages and commands it has; empty for one that is not known here.
    """

    name: str = "Linux"
    family: str = ""

    def install(self, thing: str) -> str:
        """The command that installs a thing of ``_PACKAGES``; empty where that is not known."""
        package = _PACKAGES[thing].get(self.family, "")
        return f"{_INSTALL[self.family]} {package}" if package else ""

    def start_clock(self) -> str:
        """The command by which the clock is set and kept, once a program for it is installed; empty if not known."""
        if self.family == "alpine":
            return script("rc-update add chronyd", "rc-service chronyd restart")
        service = _CLOCK_SERVICES.get(self.family, "")
        return f"systemctl enable --now {service}" if service else ""

    def unified_cgroups(self) -> str:
        """The command after which the machine starts with version 2 of control groups alone; empty if not known."""
        if self.family == "debian":
            line = r"GRUB_CMDLINE_LINUX=\"\$GRUB_CMDLINE_LINUX " + _UNIFIED + r"\""
            return script(f'echo "{line}" > /etc/default/grub.d/kist.cfg', "update-grub")
        if self.family == "fedora":
            return f"grubby --update-kernel=ALL --args={_UNIFIED}"
        if self.family == "alpine":
            unified = r"s/^#*rc_cgroup_mode=.*/rc_cgroup_mode=unified/"
            return script(f'sed -i "{unified}" /etc/rc.conf', "rc-update add cgroups")
        return ""


def read(os_release: str) -> Distribution:
    """The distribution that the text of /etc/os-release tells (os-release(5))."""
    fields = {}
    for line in os_release.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            fields[name] = _unquoted(value)
    words = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    # openSUSE's ids go on after a hyphen: opensuse-leap, opensuse-tumbleweed.
    known = (_FAMILIES.get(word) or _FAMILIES.get(word.partition("-")[0]) for word in words)
    name = fields.get("PRETTY_NAME") or fields.get("NAME") or "Linux"
    return Distribution(name, next(filter(None, known), ""))


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value


def script(*commands: str) -> str:
    """Several commands as one, which ``sudo`` can stand before."""
    return f"sh -c {shlex.quote(' && '.join(commands))}"


def keep_setting(name: str, value: str, topic: str) -> str:
    """The command that changes a setting of the kernel, now and for every start of the machine (sysctl.d(5))."""
    file = f"/etc/sysctl.d/60-kist-{topic}.conf"
    return script(f'echo "{name} = {value}" > {file}', f"sysctl -p {file}")


def keep_module(*names: str) -> str:
    """The command that loads modules of the kernel, now and at every start of the machine (modules-load.d(5))."""
    lines = " ".join(names)
    file = f"/etc/modules-load.d/kist-{names[0]}.conf"
    return script(f"modprobe -a {lines}", rf'printf "%s\n" {lines} > {file}')


def keep_device(path: str) -> str:
    """The command that opens a device to everybody, now and at every start of the machine (udev(7))."""
    name = path.rpartition("/")[2]
    rule = rf'printf "KERNEL==\"%s\", MODE=\"0666\"\n" {name} > /etc/udev/rules.d/60-kist-{name}.rules'
    return script(f"chmod a+rw {path}", "mkdir -p /etc/udev/rules.d", rule)
