"""Builds of a test, on whatever engine it has, and what they told; ssh agents for them."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.build import build
from kist.client.client import Client
from kist.engine import Engine
from kist.spec.build import BuildOptions
from kist.spec.container import ContainerOptions
from kist.spec.progress import Event, StepFinished, StepOutput, StepStarted
from kist.spec.summary import Image


class Session:
    """Builds on one engine, and what they told."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context
        self.events: list[Event] = []

    def build(self, text: str, **options: object) -> Image:
        (self.context / "Dockerfile").write_text(text)
        self.events.clear()
        chosen = BuildOptions(**options)  # type: ignore[arg-type]
        if isinstance(self.engine, Client):  # the build is in the engine's own process
            return self.engine.build(str(self.context), chosen, progress=self.events.append)
        return build(self.engine, str(self.context), chosen, self.events.append)

    @property
    def cached(self) -> list[bool]:
        """Of each step, in the order of the plan: steps side by side end as they like."""
        numbers = {event.id: event.number for event in self.events if isinstance(event, StepStarted)}
        ends = [event for event in self.events if isinstance(event, StepFinished)]
        return [event.cached for event in sorted(ends, key=lambda event: numbers[event.id])]

    @property
    def output(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, StepOutput))

    def run(self, image: Image, *command: str) -> str:
        options = ContainerOptions(image=str(image.id), network="none")
        return self.engine.run(image, command or None, options=options).stdout


needs_agent = pytest.mark.skipif(
    not all(map(shutil.which, ("ssh-agent", "ssh-add", "ssh-keygen"))),
    reason="needs ssh-agent (Debian: openssh-client)",
)
SSH_ADD = "/ctx/loader --library-path /ctx /ctx/ssh-add"
"""The host's ssh-add where a context with ``put_ssh_add`` is mounted."""


def a_key(directory: Path) -> Path:
    """A new private key, called ``of-the-test``."""
    path = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f", path], check=True)
    return path


@contextlib.contextmanager
def an_agent(directory: Path, key: Path) -> Iterator[str]:
    """The path of an agent's socket, in a directory with a short path; it has the key."""
    path = str(directory / "s")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            given = {**os.environ, "SSH_AUTH_SOCK": path}
            subprocess.run(["ssh-add", "-q", key], env=given, capture_output=True, check=True)
            yield path
        finally:
            process.terminate()


def put_ssh_add(context: Path) -> None:
    """Put ssh-add into a build context, with its libraries."""
    context.mkdir(exist_ok=True)
    program = shutil.which("ssh-add")
    assert program is not None
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    shutil.copy(program, context / "ssh-add")
    for path in re.findall(r"(/\S+) \(0x", listed):
        name = "loader" if "/ld-" in path else os.path.basename(path)
        shutil.copy(path, context / name)
