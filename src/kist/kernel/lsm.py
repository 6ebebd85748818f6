"""Linux security modules that confine programs by profiles and labels: AppArmor and SELinux."""

from kist.kernel import process

_SIGNS = {"apparmor": "/sys/module/apparmor/parameters/enabled", "selinux": "/sys/fs/selinux/enforce"}
_ON = {"apparmor": b"Y", "selinux": b"1"}


def active() -> frozenset[str]:
    """Which of ``apparmor`` and ``selinux`` are at work on this machine."""
    return frozenset(name for name, path in _SIGNS.items() if _read(path).strip() == _ON[name])


def _read(path: str) -> bytes:
    try:
        return process.read_file(path)
    except OSError:
        return b""
