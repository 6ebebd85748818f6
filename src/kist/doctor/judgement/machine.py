"""The kernel, its security, control groups, devices, Python, the clock, and the engine."""

import re
import time

from kist.doctor.distribution import keep_device, keep_module, script
from kist.doctor.facts import Clock, Controls, EngineAnswer, Interpreter, Machine, Person, Settings
from kist.doctor.finding import BROKEN, LACKING, Finding, commands, ok

_LEAST_KERNEL = (5, 12)
_NAMES = {"apparmor": "AppArmor", "selinux": "SELinux"}
# A limit's controller, and what is not limited without it. ``blkio`` is version 1's, ``io`` version 2's.
_CONTROLLERS = {
    ("memory",): "memory (-m)",
    ("cpu",): "CPU time (--cpus)",
    ("cpuset",): "which CPUs (--cpuset-cpus)",
    ("pids",): "the number of processes (--pids-limit)",
    ("io", "blkio"): "block devices (--device-read-bps)",
}
_DAY = 86400
_DELEGATION = "/etc/systemd/system/user@.service.d"


def kernel(machine: Machine) -> Finding:
    """Whether the kernel is new enough."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", machine.kernel)[:2])
    if numbers >= _LEAST_KERNEL:
        return ok("kernel", f"Linux {machine.kernel}")
    least = ".".join(map(str, _LEAST_KERNEL))
    return Finding("kernel", BROKEN, f"Linux {machine.kernel}", f"Kist needs Linux {least} or later",
                   advice="install a newer kernel, or a newer release of the distribution")  # fmt: skip


def chroot(person: Person, machine: Machine) -> Finding:
    """Whether the root directory is the machine's, or a container's."""
    if not person.root:
        return ok("chroot", "of root's concern; to others the kernel gives no user namespace in one (userns)")
    if not machine.chroot:
        return ok("chroot", "this is no chroot")
    advice = "give it mounts of its own instead: unshare --mount, and pivot_root in place of chroot"
    return Finding("chroot", BROKEN, "this is a chroot", "no engine starts in it, so no container can", advice=advice)


def modules(machine: Machine) -> Finding:
    """Which security modules are at work."""
    others = f" (at work: {', '.join(machine.modules)})" if machine.modules else ""
    if not machine.confining:
        return ok("lsm", f"neither AppArmor nor SELinux is at work{others}")
    names = " and ".join(_NAMES[name] for name in sorted(machine.confining))
    return ok("lsm", f"{names} at work: containers get no profile or label of it, and what you may not, they may not")


def seccomp(machine: Machine) -> Finding:
    """Whether system calls can be filtered."""
    if not machine.seccomp:
        return ok("seccomp", "system calls can be filtered")
    return Finding(
        "seccomp",
        BROKEN,
        f"system calls cannot be filtered: {machine.seccomp}",
        "no container starts but with --security-opt seccomp=unconfined, and with one id none at all",
        advice="the kernel needs CONFIG_SECCOMP_FILTER",
    )


def fuse(machine: Machine) -> Finding:
    """Whether FUSE can be used in containers that are given it."""
    cost = "containers cannot mount FUSE file systems (--device /dev/fuse)"
    return device("fuse", "/dev/fuse", machine.fuse, cost, "fuse")


def device(code: str, path: str, refusal: str, cost: str, module: str) -> Finding:
    """Whether a device can be opened; where it is not there, its module is not loaded."""
    if not refusal:
        return ok(code, f"{path} can be opened")
    fix = keep_device(path) if "denied" in refusal else keep_module(module)
    return Finding(code, LACKING, f"{path} cannot be opened: {refusal}", cost, (fix,))


def cgroups(person: Person, machine: Machine, found: Controls) -> Finding:
    """Which limits containers can have."""
    missing = [words for names, words in _CONTROLLERS.items() if not found.controllers & set(names)]
    have = ", ".join(sorted(found.controllers & {name for names in _CONTROLLERS for name in names}))
    words = {"v1": "version 1", "hybrid": "version 1 beside version 2", "v2": "version 2"}.get(found.mode, "")
    if words and not missing:
        return ok("cgroups", f"{words}, with {have}")
    if not words:
        what = f"version {found.mounted} is mounted, and nothing of it is yours" if found.mounted else "none is mounted"
        cost = "of all limits only -m is kept, less exactly: monitors look at their containers' memory"
        return _mend(person, machine, found, f"no control groups for containers: {what}", cost)
    cost = "what cannot be limited: " + ", ".join(missing)
    return _mend(person, machine, found, f"{words}, with {have or 'no controllers'}", cost)


def _mend(person: Person, machine: Machine, found: Controls, what: str, cost: str) -> Finding:
    if not machine.systemd:
        advice = "version 2 must be mounted alone at /sys/fs/cgroup"
        fix = commands(machine.distribution.unified_cgroups()) if machine.distribution.family == "alpine" else ()
        if not person.root:
            advice += ", and root must give you a group of it, in which you start Kist"
        return Finding("cgroups", LACKING, what, cost, fix, advice=advice)
    if found.mounted != 2:
        fix = commands(machine.distribution.unified_cgroups())
        advice = "then restart the machine" if fix else (
            "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line, and restart the machine"
        )  # fmt: skip
        return Finding("cgroups", LACKING, what, cost, fix, advice=advice)
    if found.mode == "none" and not person.root:
        fix = ("kist engine stop", "systemd-run --user --scope -p Delegate=yes kist info")
        advice = "the engine that this starts has a group of its own; so have all that begin in a systemd user session"
        return Finding("cgroups", LACKING, what, cost, fix, as_root=False, advice=advice)
    lines = r'printf "[Service]\nDelegate=cpu cpuset io memory pids\n"'
    fix = (script(f"mkdir -p {_DELEGATION}", f"{lines} > {_DELEGATION}/kist.conf", "systemctl daemon-reload"),)
    if person.root:
        return Finding("cgroups", LACKING, what, cost, advice="the kernel lacks these controllers, or another one's "
                       "parent group does not hand them on (cgroup.subtree_control)")  # fmt: skip
    return Finding("cgroups", LACKING, what, cost, fix, advice="then log in anew, and `kist engine stop` once")


def python(found: Interpreter) -> Finding:
    """Whether Python is as fast as it could be; it works all the same."""
    told = f"{found.version} ({found.path})"
    optimised = "--enable-optimizations" in found.configured or "-fprofile-use" in found.flags
    # Debian tells make, and not configure, to optimise: of the system's own Python nothing is known by these words.
    if optimised or found.prefix == "/usr" or not found.configured:
        return ok("python", told)
    return ok(
        "python",
        f"{told}, built without optimisations: commands take a quarter longer",
        "install Kist with the distribution's Python, or one that was built with --enable-optimizations --with-lto",
    )


def clock(machine: Machine, found: Clock) -> Finding:
    """Whether the clock can be right."""
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.now))
    if found.now + _DAY >= found.newest:
        told = {True: "kept synchronised", False: "nobody here keeps it synchronised", None: ""}[found.kept]
        return ok("clock", f"it is {now}" + (f", {told}" if told else ""))
    newest = time.strftime("%Y-%m-%d", time.gmtime(found.newest))
    fix = commands(machine.distribution.install("clock"), machine.distribution.start_clock())
    return Finding(
        "clock",
        LACKING,
        f"the clock says {now}, and there are files of {newest} on this machine",
        "signed archives and certificates count as not valid yet: bootstrap and downloads fail",
        fix,
        advice="" if fix else "set the clock: date -s",
    )


def settings(found: Settings) -> Finding:
    """Whether the engine's settings can be read."""
    if not found.fault:
        return ok("settings", found.path if found.there else "there are none, so the usual ones hold")
    return Finding("settings", BROKEN, found.fault, "no engine can start, so no container can", advice=found.hint)


def engine(found: EngineAnswer, ids: int) -> Finding:
    """Whether an engine runs and answers.

    Args:
        found: what it answered.
        ids: how many ids a new engine would have; 0 for all.
    """
    if found.elsewhere:
        return Finding("engine", LACKING, f"commands go to the engine at {found.elsewhere}",
                       "it is on another machine, of which nothing is told here", advice=found.hint)  # fmt: skip
    if found.refusal and not found.socket:
        return Finding("engine", BROKEN, found.refusal, "no command of Kist's works", advice=found.hint)
    if found.refusal:
        return Finding("engine", BROKEN, f"the engine at {found.socket} does not answer: {found.refusal}",
                       "no command of Kist's works", ("kist engine stop",), as_root=False,
                       advice="the next command starts another one; containers go on meanwhile")  # fmt: skip
    if found.info is None:
        return ok("engine", "none runs: the first command starts it")
    told = f"it runs, with {found.info['running']} containers of {found.info['containers']} running"
    have = int(found.info.get("ids") or 0)
    if have and ids > have:
        ids_now = f"{have} {'id' if have == 1 else 'ids'}"
        return Finding("engine", LACKING, f"{told}, and has {ids_now} where it could have {ids}",
                       "its containers have no other users", ("kist engine stop",), as_root=False,
                       advice="with no container running; the next command starts one that has them")  # fmt: skip
    return ok("engine", told)
