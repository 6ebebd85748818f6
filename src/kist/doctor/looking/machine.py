"""The person, the machine as a whole, control groups, Python and the clock."""

import os
import pathlib
import platform
import shutil
import sys
import sysconfig
import time

from kist.doctor import distribution
from kist.doctor.facts import Clock, Controls, Interpreter, Machine, Person, Settings
from kist.engine import rootless
from kist.engine.settings import read as read_settings
from kist.errors import KistError
from kist.kernel import cgroup_mounts, files, lsm, marks, process, trials, views
from kist.spec import roots

_SYSTEMD = "/run/systemd/system"


def person() -> Person:
    """Who this process is."""
    uid = os.geteuid()
    name = rootless.name_of(uid)
    return Person(
        uid=uid,
        gid=os.getegid(),
        name=name,
        local=any(line.startswith(f"{name}:") for line in files.read_text("/etc/passwd").splitlines()),
        machines_root=uid == 0 and process.in_initial_user_namespace(),
        sudo="" if uid == 0 else next((word for word in ("sudo", "doas") if shutil.which(word)), ""),
    )


def machine() -> Machine:
    """The kernel and what runs on it."""
    return Machine(
        kernel=os.uname().release,
        distribution=distribution.read(
            files.read_text("/etc/os-release") or files.read_text("/usr/lib/os-release"),
        ),
        confining=lsm.active(),
        modules=marks.security_modules(),
        seccomp=words(trials.attempt(trials.seccomp_filter)),
        fuse=opened("/dev/fuse"),
        systemd=os.path.isdir(_SYSTEMD),
        chroot=views.in_chroot(),
    )


def settings() -> Settings:
    """The engine's settings, as it would read them."""
    path = roots.config_file(os.environ, os.geteuid())
    there = os.path.exists(path)
    try:
        read_settings(path)
    except KistError as error:
        return Settings(path, there, str(error), error.hint)
    return Settings(path, there)


def controls() -> Controls:
    """The control groups of this user's containers."""
    mounted = cgroup_mounts.detect()
    found = cgroup_mounts.detect(ordinary=os.geteuid() != 0)
    controllers = {name for _, names in found.v1 for name in names}
    version = 1 if mounted.v1 else 2 if mounted.v2 else 0
    return Controls(found.mode, frozenset({*controllers, *found.v2_controllers}), version)


def interpreter() -> Interpreter:
    """The Python that runs this, and how it was built, as far as it knows."""
    built = {name: str(sysconfig.get_config_var(name) or "") for name in ("CONFIG_ARGS", "PY_CORE_CFLAGS")}
    return Interpreter(
        platform.python_version(),
        os.path.realpath(sys.executable),
        sys.base_prefix,
        built["CONFIG_ARGS"],
        built["PY_CORE_CFLAGS"],
    )


def clock() -> Clock:
    """The clock, beside the files that must be older: this program's, and the distribution's name."""
    dated = [str(pathlib.Path(__file__)), "/etc/os-release"]
    newest = max(os.stat(path).st_mtime for path in dated if os.path.exists(path))
    return Clock(time.time(), newest, marks.clock_is_kept())


def opened(path: str) -> str:
    """Open a device for reading and writing, and close it; the refusal in words."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return words(error)
    return ""


def words(refused: OSError | None) -> str:
    """The kernel's words for an error; empty for none."""
    return "" if refused is None else refused.strerror or str(refused)
