"""Builds for other machines: which base is taken, what runs there, and what stands in the way where nothing does."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kist.spec.elf import header
from kist.spec.platform import Platform
from ordinary import KIST
from rootless_user import User

IMAGE = "busybox:test"
ARM64 = "linux/arm64"
PROGRAM = (header(Platform("arm64")) or b"") + bytes(100)
_MASK = "ffffffffffffff00fffffffffffffffffeffffff"
FOREIGN = 'FROM scratch\nCOPY prog /prog\nENV LINE=$TARGETARCH\nRUN ["/prog", "of arm64"]\n'


@pytest.fixture
def where(tmp_path: Path) -> Path:
    (tmp_path / "prog").write_bytes(PROGRAM)
    (tmp_path / "prog").chmod(0o755)
    return tmp_path


def test_a_stage_without_commands_needs_no_emulator(cli: Any, where: Path) -> None:
    (where / "Dockerfile").write_text(
        f"FROM --platform=$BUILDPLATFORM {IMAGE} AS build\nARG TARGETARCH\nRUN echo for $TARGETARCH > /out\n"
        "FROM scratch\nCOPY --from=build /out /\nCOPY prog /\n"
    )
    image = cli.good("build", "-q", "--platform", ARM64, "-o", f"{where}/out", "-o", "type=image", str(where))
    assert (where / "out/out").read_text() == "for arm64\n"
    assert cli.good("image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image) == ARM64


def test_a_command_without_an_emulator_is_told_before_anything_is_done(cli: Any, where: Path) -> None:
    (where / "Dockerfile").write_text(FOREIGN)
    done = cli("build", "--platform", "linux/mips64le", str(where))
    assert done.returncode == 1
    assert "Dockerfile:4" in done.stderr
    assert "RUN needs to run programs of linux/mips64le, and this machine cannot" in done.stderr
    assert "FROM --platform=$BUILDPLATFORM" in done.stderr
    assert "#1" not in done.stderr, "a step was begun"


@pytest.mark.root("makes a user namespace of all ids, and an ordinary user")
@pytest.mark.parametrize("user", ["range"], indirect=True)
def test_a_command_runs_by_an_emulator(user: User, tmp_path: Path) -> None:
    """The emulator is busybox by the name of echo: it prints what it was to run."""
    program = shutil.which("busybox", path="/bin:/usr/bin")
    assert program is not None
    emulator = shutil.copy(program, tmp_path / "echo")
    context = user.who.home / "foreign"
    context.mkdir()
    (context / "prog").write_bytes(PROGRAM)
    (context / "prog").chmod(0o755)
    (context / "Dockerfile").write_text(FOREIGN)

    def there(*arguments: str) -> subprocess.CompletedProcess[str]:
        digits = [PROGRAM[:20].hex(), _MASK]
        emulated = [sys.executable, str(Path(__file__).parents[1] / "emulated.py"), "kist-arm64", *digits, emulator]
        roots = {"KIST_RUN": str(user.who.home / "run"), "KIST_ROOT": str(user.who.home / "data")}
        return subprocess.run(
            [*emulated, *user.who.command, *KIST, *arguments],
            env=user.who.environment | roots, capture_output=True, text=True, timeout=60, check=False, cwd="/",
        )  # fmt: skip

    done = there(
        "build", "--progress", "plain", "--network", "none", "--platform", ARM64, "-t", "foreign", str(context)
    )
    ran = there("run", "--rm", "--network", "none", "foreign", "/prog", "again")
    there("engine", "stop")
    assert done.returncode == 0, done
    assert "/prog of arm64" in done.stderr
    assert ran.stdout == "/prog again\n"
