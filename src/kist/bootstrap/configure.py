"""The packages' own scripts, which run in a container on the new system."""

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kist.bootstrap.dpkg_database import ADMIN, instance_name
from kist.bootstrap.lock import Lock
from kist.bootstrap.unpack import Unpacked
from kist.errors import StepFailed
from kist.spec.build import StepOptions
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount

if TYPE_CHECKING:
    from kist.engine.engine import Engine

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A directory that base-files brings and nobody uses meanwhile: the packages for apt appear there.
_PACKAGES = "/mnt"
_LAST_LINES = 12

# dpkg syncs a file here for each change of a package's state, and empties the directory at its end: a minute's memory,
# which is lost with the container anyway if that dies, need not wait for the disk.
_UPDATES = Mount.tmpfs(f"/{ADMIN}/updates")


@dataclass(frozen=True)
class Container:
    """Containers on the new system.

    Attributes:
        snapshot: the key of the snapshot that holds it.
        date: what the packages' scripts take for the present, seconds since the epoch.
        output: called with ``stdout`` or ``stderr`` and what was printed there.
    """

    engine: "Engine"
    snapshot: str
    date: int
    output: Callable[[str, bytes], None]

    def run(self, script: str, *, mounts: Sequence[Mount] = ()) -> None:
        """Run a shell script in it, without a network.

        Raises:
            StepFailed: it ended with a code other than 0; the message has the last lines it printed.
        """
        lines: list[bytes] = []

        def output(stream: str, data: bytes) -> None:
            lines.append(data)
            self.output(stream, data)

        code = self.engine.run_step(
            self.snapshot,
            ("/bin/sh", "-euc", script),
            config=ContainerConfig(env=_environment(self.date), working_dir="/"),
            options=StepOptions(network="none"),
            mounts=(_UPDATES, *mounts),
            output=output,
            hostname="localhost",
        )
        if code != 0:
            tail = b"".join(lines).decode("utf-8", "replace").strip().split("\n")[-_LAST_LINES:]
            raise StepFailed(
                f"a package could not be configured: exit code {code}\n" + "\n".join(tail),
                hint="a package that was included may not work in a container: leave it out and try again",
                exit_code=code,
            )


def configure_base(container: Container, packages: Sequence[Unpacked]) -> None:
    """Run what dpkg runs before it unpacks a package, then let dpkg configure all of them.

    That the scripts run when the files are there already is how every Debian begins: they need the programs of other
    packages, and each other's. base-passwd comes first, as it makes the users that the others speak of.
    """
    first = sorted(packages, key=lambda package: (package.fields["Package"] != "base-passwd", instance_name(package)))
    steps = [_preinst(package) for package in first if "preinst" in package.control]
    container.run("\n".join([*steps, "dpkg --force-unsafe-io --configure --pending"]))


def install(container: Container, lock: Lock, directory: str) -> None:
    """Let apt install package files in the running base: it knows the order that dpkg needs.

    Args:
        container: on the base, all configured.
        lock: says which packages.
        directory: where the package files lie, under the names that ``LockedPackage.file_name`` gives.
    """
    options = "-o APT::Sandbox::User=root -o Dpkg::Use-Pty=0"
    files = " ".join(shlex.quote(f"{_PACKAGES}/{package.file_name}") for package in lock.added)
    container.run(
        f"apt-get {options} --yes --no-install-recommends --quiet install {files}",
        mounts=(Mount.bind(os.path.abspath(directory), _PACKAGES, read_only=True),),
    )


def _preinst(package: Unpacked) -> str:
    """The call of a preinst script with the environment that dpkg gives it (dpkg(1), "Internal environment")."""
    name = package.fields["Package"]
    variables = {
        "DPKG_MAINTSCRIPT_PACKAGE": name,
        "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
        "DPKG_MAINTSCRIPT_ARCH": package.fields["Architecture"],
        "DPKG_MAINTSCRIPT_NAME": "preinst",
        "DPKG_ADMINDIR": f"/{ADMIN}",
        "DPKG_ROOT": "",
        "DPKG_FORCE": "unsafe-io",
    }
    words = [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
    return " ".join([*words, shlex.quote(f"/{ADMIN}/info/{instance_name(package)}.preinst"), "install"])


def _environment(date: int) -> tuple[str, ...]:
    return (
        PATH,
        "HOME=/root",
        "LC_ALL=C",
        "TZ=UTC",
        "DEBIAN_FRONTEND=noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN=true",
        f"SOURCE_DATE_EPOCH={date}",
    )
