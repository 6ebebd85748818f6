"""Real engines on roots of their own, the command line on them, and a small image from the host's static busybox."""

import contextlib
import functools
import glob
import io
import os
import select
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kist.client.client import Client
from kist.client.endpoint import Endpoint
from kist.engine import Engine
from kist.engine.events import Events
from kist.engine.images import Images
from kist.errors import KistError
from kist.network import bridges, plan, rules
from kist.spec.container import Container, ContainerOptions, ExecOptions
from kist.spec.image import ContainerConfig
from kist.store import Store
from ordinary import KIST

BUSYBOX = "busybox:test"


@functools.cache
def busybox_tar() -> bytes:
    """A root file system: busybox, its applets as hard links, passwd and group."""
    program = shutil.which("busybox", path="/bin:/usr/bin")
    if program is None:
        pytest.skip("needs busybox (Debian: busybox-static)")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for directory in ("bin", "etc", "tmp", "root", "home"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            archive.addfile(entry)
        _add(archive, "bin/busybox", Path(program).read_bytes(), 0o755)
        for applet in applets:
            if applet == "busybox":
                continue
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname, link.mode = tarfile.LNKTYPE, "bin/busybox", 0o755
            archive.addfile(link)
        _add(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n", 0o644)
        _add(archive, "etc/group", b"root:x:0:\nuser:x:1000:\nextra:x:2000:user\n", 0o644)
    return made.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def import_busybox(engine: Engine) -> str:
    """Give the engine the small image."""
    engine.import_image(io.BytesIO(busybox_tar()), BUSYBOX, config=ContainerConfig(cmd=("sh",)))
    return BUSYBOX


def image_with_links(engine: Engine, links: dict[str, str]) -> str:
    """The id of an image that is the small one with these symbolic links in it: path to target."""
    archive = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    archive.seek(0)
    return str(engine.import_image(archive, "", config=ContainerConfig(cmd=("sh",))).id)


class Served(Client):
    """An ordinary user's engine, with what tests look at of an engine in process."""

    def __init__(self, directory: Path) -> None:
        self.data_root, self.run_root = str(directory / "data"), str(directory / "run")
        super().__init__(Endpoint(f"{self.run_root}/engine.sock", (self.data_root, self.run_root)))

    @functools.cached_property
    def store(self) -> Store:
        """The same store, opened beside the engine."""
        return Store(self.data_root)

    @functools.cached_property
    def catalogue(self) -> Images:
        """The images in it."""
        return Images(self.store, Events(self.store.events))


@contextlib.contextmanager
def an_engine(directory: Path) -> Iterator[Engine]:
    """An engine on a root of its own; at the end nothing of it is left.

    Root's is in this process, an ordinary user's is one that is served: only another process can be in a user namespace
    and leave this one where it is. Both have the same methods.
    """
    root = directory / "data"
    made = Engine(str(root), str(directory / "run")) if os.geteuid() == 0 else Served(directory)
    with made as engine:
        try:
            yield engine  # type: ignore[misc]
        finally:
            for container in engine.containers(all=True):
                with contextlib.suppress(KistError):
                    engine.remove(container, force=True)
            if empty_groups():
                engine.check(repair=True)
            Cli(directory).stop_engine()
    clean_up(root)


def empty_groups() -> bool:
    """Whether there is a container's control group without a process, of this engine's or of another one's.

    A monitor that is killed at an awkward moment may leave one, which ``system check`` mends.
    """
    for path in glob.iglob("/sys/fs/cgroup/*/kist/*/cgroup.procs"):
        with contextlib.suppress(OSError):
            if not Path(path).read_text(encoding="ascii"):
                return True
    return False


def clean_up(root: Path) -> None:
    """Take away what an engine keeps for its next container: its bridge, and the empty parent of its cgroups."""
    bridge = plan.bridge_name(str(root))
    if os.path.isdir(f"/sys/class/net/{bridge}"):
        bridges.remove(bridges.default_network(bridge))
    for device, _ in bridges.marked(plan.alias_of(str(root))):
        rules.remove_chains([f"{device}-{kind}" for kind in ("postrouting", "forward")])
        bridges.remove_link(device)
    remove_parent_groups()


def remove_parent_groups() -> None:
    """Take away the groups that those of containers are in, if there are none; another engine makes them anew."""
    for parent in [*glob.glob("/sys/fs/cgroup/*/kist"), "/sys/fs/cgroup/kist"]:
        with contextlib.suppress(OSError):
            os.rmdir(parent)


@dataclass(frozen=True)
class Cli:
    """The command line on roots of its own; the engine starts with the first command."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"KIST_ROOT": str(self.directory / "data"), "KIST_RUN": str(self.directory / "run")}
        return {**os.environ, **own, "NO_COLOR": "1"}

    @property
    def command(self) -> list[str]:
        return [*KIST]

    def __call__(self, *arguments: str, stdin: bytes = b"", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def good(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run one command that must succeed; its standard output without the last line end."""
        done = self(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def engine_pid(self) -> int:
        return int((self.directory / "run" / "engine.pid").read_text(encoding="ascii"))

    def stop_engine(self) -> None:
        """End the engine process by its pid, and wait for its end."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = self.engine_pid()
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                _wait_for_end(descriptor)
            finally:
                os.close(descriptor)


def _wait_for_end(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(20_000), "the engine did not end on SIGTERM"


@contextlib.contextmanager
def a_cli(directory: Path, kind: type[Cli] = Cli) -> Iterator[Cli]:
    """The command line on a fresh root; at the end its containers, its engine and its bridge are gone."""
    cli = kind(directory)
    try:
        yield cli
    finally:
        # Who has none is not asked, which would start an engine where none runs any more.
        if has_containers(directory) and (left := cli("ps", "-aq", "--no-trunc").stdout.split()):
            cli("rm", "-f", *left)
        if empty_groups():
            cli("system", "check", "--repair")
        cli.stop_engine()
        clean_up(directory / "data")


def has_containers(directory: Path) -> bool:
    """Whether there are files of a container on these roots."""
    with contextlib.suppress(FileNotFoundError):
        return bool(os.listdir(directory / "data" / "containers"))
    return False


def give_busybox(cli: Cli) -> None:
    """Import the small image."""
    archive = cli.directory / "busybox.tar"
    archive.write_bytes(busybox_tar())
    cli.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)


@contextlib.contextmanager
def running(engine: Engine, image: str, **options: object) -> Iterator[Container]:
    """A container that runs (``sleep``, without a network, unless told otherwise), and is removed at the end."""
    made = engine.create(ContainerOptions(image=image, **{"command": ("sleep", "60"), "network": "none", **options}))  # type: ignore[arg-type]
    try:
        engine.start(made)
        yield engine.container(made.id)
    finally:
        engine.remove(made, force=True)


def execute(engine: Engine, container: Container, script: str, **options: object) -> str:
    """The output of a shell script in a running container; its failure fails the test."""
    result = engine.exec(container, ExecOptions(("sh", "-c", script), **options))  # type: ignore[arg-type]
    assert result.exit_code == 0, (script, result)
    return result.stdout


def asking(address: str, port: int) -> list[str]:
    """A container's command that prints what a server says as soon as it says something; it fails after many tries.

    ``nc`` never closes its own half of the connection first. A server's ``nc`` ends when it hears of that, be it before
    it has said a word, and pasta before 2024 then loses the end of the other half.
    """
    once = f"nc -w 5 {address} {port} 0<>open > answer; [ -s answer ] && exec cat answer"
    return ["sh", "-c", f"[ -p open ] || mkfifo open; for i in $(seq 100); do {once}; sleep 0.1; done; exit 1"]


def until(condition: Callable[[], bool], patience: float = 20) -> None:
    """Wait for a condition that another process brings about; to ask for it may take a command and its time."""
    deadline = time.monotonic() + patience
    pause = 0.01
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)  # what takes long is asked for less often: others have tests to run


def runs_of(word: str) -> list[str]:
    """The command lines of all processes that have a word in them."""
    listed = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if word in line]


def is_waited_for(path: Path) -> bool:
    """Whether somebody waits for a lock of this file."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("->" in line and inode in line for line in lines)


def let_go(cli: Cli, name: str) -> None:
    """Let a container end that waits for ``/go``; the command that does so may be killed with it."""
    done = cli("exec", name, "touch", "/go")
    assert done.returncode in {0, 137}, done


def kill_and_see(pid: int) -> None:
    """SIGKILL a process, and wait until it is dead."""
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(10_000)
    os.close(descriptor)


def kill_engine(cli: Cli) -> int:
    """SIGKILL, and the pid that it went to."""
    pid = cli.engine_pid()
    kill_and_see(pid)
    return pid
