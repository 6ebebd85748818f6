"""``script/test-fuzz``: an engine, requests of all operations for a while, and what was wrong with the answers."""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from conftest import _text as text_of
from definition.document import load
from fuzz.cases import Cases, Request
from fuzz.room import DIRECTORY
from fuzz.sending import Outcome, Sender
from fuzz.world import World
from harness import busybox_tar, until
from ordinary import KIST

_AT_ONCE = 8
_FEW = frozenset({"Swarm", "Node", "Service", "Task", "Secret", "Config", "Plugin"})
"""Tags whose operations do nothing here: one request each time is enough."""
_MORE = {"ContainerCreate": 30, "ContainerUpdate": 15}
"""Operations with bodies that can be wrong in many ways."""
_SMALLER = 60
_FAR = 3


class Fuzzing:
    """One run: its requests and what was found."""

    def __init__(self, world: World, chance: random.Random, only: str) -> None:
        definition = load()
        self._operations = {str(each): each for each in definition if only in str(each)}
        self._cases = Cases(world, definition)
        self._sender = Sender(world.socket_path, definition, chance)
        self._world = world
        self._chance = chance
        self.statuses: Counter[int] = Counter()
        self.slowest = (0.0, "")
        self.found: dict[tuple[str, str], str] = {}

    def run(self, seconds: float) -> None:
        """Go round the operations until the time is up."""
        end = time.monotonic() + seconds
        while True:
            for label, operation in self._chance.sample(sorted(self._operations.items()), len(self._operations)):
                if time.monotonic() > end:
                    return
                self._world.refresh()
                count = 1 if operation.tag in _FEW else _MORE.get(operation.name, _AT_ONCE)
                for request in self._cases.some(label, count):
                    self._try(request)

    def _try(self, request: Request) -> None:
        outcome = self._sender.send(request)
        self.statuses[outcome.status] += 1
        self.slowest = max(self.slowest, (outcome.seconds, str(request)[:300]))
        for kind, detail in outcome.wrong:
            key = (str(request.operation), f"{kind}: {_general(detail)}")
            if key not in self.found:
                print(f"\n{kind}: {detail}\n    {request}"[:6000], flush=True)
                small = self._reduce(request, outcome)
                if small is not request:
                    print(f"  smaller: {small}"[:3000], flush=True)
                self.found[key] = str(small)

    def _reduce(self, request: Request, outcome: Outcome) -> Request:
        """The smallest request that is wrong in the same way; what takes long is left as it is."""
        if outcome.seconds > _FAR:
            return request
        kinds = {kind for kind, _ in outcome.wrong}
        tries = 0
        while tries < _SMALLER:
            for smaller in request.smaller():
                tries += 1
                if tries >= _SMALLER or kinds & {kind for kind, _ in self._sender.send(smaller).wrong}:
                    break
            else:
                return request
            if tries < _SMALLER:
                request = smaller
        return request


def _general(detail: str) -> str:
    """What is the same in other answers of this kind."""
    return "".join(each for each in detail.partition(" (")[0][:120] if not each.isdigit())


def _processes() -> Iterator[str]:
    """All others of this process namespace but its first, and kernel threads."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        words = text_of(f"/proc/{pid}/cmdline").strip()
        if int(pid) not in {1, os.getpid()} and words:
            yield f"process {pid} {words}"


def _directory() -> Path:
    return Path(os.environ[DIRECTORY])


def _start(environment: dict[str, str], socket_path: Path) -> subprocess.Popen[bytes]:
    engine = subprocess.Popen([*KIST, "engine"], env=environment)
    until(socket_path.exists, 60)
    return engine


def _end(engine: subprocess.Popen[bytes], world: World) -> list[str]:
    """Take everything away; what could not be."""
    wrong = [] if engine.poll() is None else [f"the engine has ended, with {engine.returncode}"]
    if wrong:
        return wrong
    world.clear()
    wrong = [f"cannot be removed: {each}" for each in world.left()]
    status, findings = world.ask("POST", "/kist/check", {})
    wrong += [f"kist system check: {status} {findings}"] if status != 200 or findings["problems"] else []
    engine.send_signal(signal.SIGTERM)
    engine.wait(60)
    try:
        until(lambda: not list(_processes()), 20)
    except AssertionError:
        wrong += [f"is left: {each}" for each in _processes()]
    return wrong


def _log(run_root: Path) -> str:
    """What the engine has noted of faults of its own."""
    path = run_root / "engine.log"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def main() -> int:
    """The exit code: 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="script/test-fuzz")
    parser.add_argument("seconds", nargs="?", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", default="", help="operations whose name has this in it, as in 'POST /containers'")
    options = parser.parse_args()
    print(f"script/test-fuzz: seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    directory = _directory()
    run_root, scratch = directory / "run", directory / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "KIST_ROOT": str(directory / "data"), "KIST_RUN": str(run_root)}
    engine = _start(environment, run_root / "engine.sock")
    world = World(str(run_root / "engine.sock"), scratch, busybox_tar(), chance)
    fuzzing = Fuzzing(world, chance, options.only)
    fuzzing.run(options.seconds)
    wrong = _end(engine, world)
    log = _log(run_root)
    return _report(fuzzing, wrong, log)


def _report(fuzzing: Fuzzing, wrong: list[str], log: str) -> int:
    if log.strip():
        print(f"\nengine.log:\n{log[-8000:]}")
    print(f"\n{sum(fuzzing.statuses.values())} requests; answers by status: {dict(sorted(fuzzing.statuses.items()))}")
    print(f"slowest: {fuzzing.slowest[0]:.1f} s: {fuzzing.slowest[1]}")
    for (operation, kind), request in fuzzing.found.items():
        print(f"FOUND {operation}: {kind}\n      {request}"[:1000])
    for line in wrong:
        print(f"FOUND {line}")
    print(f"{len(fuzzing.found) + len(wrong)} found")
    return 1 if fuzzing.found or wrong or log.strip() else 0


if __name__ == "__main__":
    sys.exit(main())
