"""The instruments: wall-clock time of a command, proportional memory of a process."""

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence


class CommandError(Exception):
    """A measured command ended with a code other than 0."""


def run(argv: Sequence[str], env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Standard output of a command that must succeed."""
    with open(stdin or os.devnull, "rb") as source:
        done = subprocess.run(argv, env=env, stdin=source, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise CommandError(f"{' '.join(argv)}: exit code {done.returncode}: {said[-600:]}")
    return done.stdout.decode(errors="replace")


def seconds(argv: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """How long the whole process takes, from before its start to after its end; output goes to /dev/null."""
    with open(os.devnull, "r+b", buffering=0) as null:
        start = time.perf_counter()
        process = subprocess.Popen(argv, env=env, stdin=null, stdout=null, stderr=subprocess.PIPE)
        _, said = process.communicate()
        taken = time.perf_counter() - start
    if process.returncode != 0:
        raise CommandError(f"{' '.join(argv)}: exit code {process.returncode}: {said.decode(errors='replace')[-600:]}")
    return taken


def pss(pid: int) -> float:
    """Proportional set size in MB: a page that n processes share counts one n-th in each."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    raise ProcessLookupError(pid)


def parent(pid: int) -> int:
    """The parent's process id."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        return int(stat.read().rpartition(b")")[2].split()[1])


def children(pid: int) -> list[int]:
    """Process ids of the direct children of all threads of `pid`."""
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as text:
            found += map(int, text.read().split())
    return found


def pids(names: Iterable[str]) -> list[int]:
    """Processes (of this process namespace) with one of these command names."""
    wanted = set(names)
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as comm:
                    if comm.read().strip() in wanted:
                        found.append(int(entry))
            except FileNotFoundError:
                continue
    return found
