"""A room for killing: a command line whose processes have places to die at, a bystander, and what must hold after."""

import contextlib
import functools
import glob
import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from building import a_key
from harness import BUSYBOX, Cli, a_cli, busybox_tar, until
from registries import debians
from web import Repository, Site, a_repository, a_site

SOURCE = Path(__file__).resolve().parents[1] / "src" / "kist"
BYSTANDER = "bystander"
_POINT = re.compile(r'faults\.point\("([^"]+)"\)')
_TICKING = "trap 'exit 0' TERM; while :; do sleep 1; done"


def points() -> list[str]:
    """The names of all places, from the source itself: a place that is added is tested."""
    found = [name for path in sorted(SOURCE.rglob("*.py")) for name in _POINT.findall(path.read_text(encoding="utf-8"))]
    return [name for name in found if name != "monitor cloned"]  # the example in the module's own words


@dataclass
class Room:
    """One engine's roots with a bystander container that no kill may touch."""

    cli: Cli
    kills: int = 0
    tidy: bool = False
    """Whether the last test has ended well, with nothing left but the bystander."""
    lasting: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def trap(self) -> Path:
        return self.cli.directory / "trap"

    @property
    def environment(self) -> dict[str, str]:
        return {**self.cli.environment, "KIST_FAULTS": str(self.trap), "TMPDIR": str(self.temporary)}

    @property
    def temporary(self) -> Path:
        """Where the command line has its temporary files."""
        return self.cli.directory / "tmp"

    @functools.cached_property
    def site(self) -> Site:
        """A web server, for as long as the room."""
        return self.lasting.enter_context(a_site())

    @functools.cached_property
    def repository(self) -> Repository:
        """A repository that the site has."""
        directory = self.cli.directory / "its-repository"
        directory.mkdir()
        return a_repository(self.site, directory)

    @functools.cached_property
    def registry(self) -> str:
        """Where one is, for as long as the room."""
        return self.lasting.enter_context(debians(self.cli.directory / "its-registry")).domain

    @functools.cached_property
    def key(self) -> Path:
        """Of ssh."""
        return a_key(self.cli.directory)

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """One command with the places armed, however it ends."""
        return subprocess.run(
            [*self.cli.command, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env=self.environment, timeout=timeout, check=False,
        )  # fmt: skip

    def good(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr}"
        return done.stdout.strip()

    def arm(self, point: str, victim: int = 0) -> None:
        """Have whoever passes ``point`` die, or kill ``victim``."""
        aside = self.trap.with_suffix(".new")
        aside.write_text(f"{point}\n{victim or ''}", encoding="ascii")
        aside.rename(self.trap)

    def sprung(self) -> bool:
        """Whether somebody passed; the trap is taken away."""
        try:
            self.trap.unlink()
        except FileNotFoundError:
            self.kills += 1
            return True
        return False

    def state(self, name: str) -> dict[str, object]:
        """What the monitor of a running container wrote."""
        identifier = self.good("inspect", "--format", "{{.Id}}", name)
        path = self.cli.directory / "run" / "containers" / identifier / "state.json"
        found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def pid_of(self, who: str, name: str = BYSTANDER) -> int:
        """The engine, or the keeper or the monitor of a container."""
        if who == "engine":
            return self.cli.engine_pid()
        found = self.state(name)
        return int(found["keeper"][0] if who == "keeper" else found["monitor"])  # type: ignore[index, call-overload]

    def begin(self) -> None:
        """Bring in the image and the bystander."""
        self.temporary.mkdir()
        archive = self.cli.directory / "busybox.tar"
        archive.write_bytes(busybox_tar())
        self.good("import", "-c", 'CMD ["sh"]', str(archive), BUSYBOX)
        self.good("run", "-d", "--name", BYSTANDER, "--network", "none", BUSYBOX, "sh", "-c", _TICKING)
        self.bystander = int(self.good("inspect", "--format", "{{.State.Pid}}", BYSTANDER))

    def verify(self) -> None:
        """The next commands work, nothing is lost or doubled, and what is left is found and mended."""
        lines = self.good("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}").splitlines()
        names = [line.split()[1] for line in lines]
        assert sorted(set(names)) == sorted(names), f"doubled: {lines}"
        assert any(f" {BYSTANDER} running" in line for line in lines), f"the bystander was lost: {lines}"
        assert int(self.good("inspect", "--format", "{{.State.Pid}}", BYSTANDER)) == self.bystander
        assert self.good("exec", BYSTANDER, "echo", "here") == "here"
        for name in set(names) - {BYSTANDER}:
            self.good("rm", "-f", name)
        assert left_by_us(self.cli, "--repair") == []
        assert left_by_us(self.cli) == []
        for line in lines:
            if BYSTANDER not in line:
                assert glob.glob(f"/sys/fs/cgroup/*/kist/{line.split()[0]}") == []
        self.look()

    def look(self) -> None:
        """With our own eyes: directories, cgroups and cables of nothing but the bystander."""
        (only,) = self.good("ps", "-aq", "--no-trunc").splitlines()
        for root in ("data", "run"):
            assert sorted(os.listdir(self.cli.directory / root / "containers")) == [only]
        until(lambda: self.processes_of_others(only) == [])

    def processes_of_others(self, only: str) -> list[str]:
        """Monitors of this room other than the bystander's: a cwd tells nothing, their sockets do."""
        found = []
        run = f"{self.cli.directory}/run/containers/"
        with open("/proc/net/unix", encoding="utf-8") as file:
            for line in file:
                _, _, path = line.rstrip("\n").partition(run)
                if path and not path.startswith(only):
                    found.append(path)
        return found


def left_by_us(cli: Cli, *options: str) -> list[str]:
    """What the check finds and does not mend, without the cgroups and rules of other engines' tests beside this one."""
    # Each worker of a session is beside the others.
    others = os.environ.keys() & {"KIST_TESTS_BESIDE_OTHERS", "PYTEST_XDIST_WORKER"}
    beside = ("cgroup", "rules") if others else ()
    found = json.loads(cli("system", "check", "--json", *options).stdout)
    return [str(each) for each in found["problems"] if not each["mended"] and each["kind"] not in beside]


def kill(pid: int) -> bool:
    """SIGKILL, and see the end; False when there is no such process."""
    try:
        descriptor = os.pidfd_open(pid)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(20_000)
    os.close(descriptor)
    return True


@contextlib.contextmanager
def a_room(directory: Path) -> Iterator[Room]:
    """A room, emptied at the end."""
    with a_cli(directory) as cli:
        room = Room(cli)
        try:
            with room.lasting:
                room.begin()
                yield room
        finally:
            room.trap.unlink(missing_ok=True)
