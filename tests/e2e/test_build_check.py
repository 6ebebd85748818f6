"""Build checks of a machine on which an engine runs: what base images define, and what a build tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Cli


@pytest.fixture
def context(cli: Cli, tmp_path: Path) -> Iterator[Path]:
    """A directory whose Dockerfile stands on an image with a variable of its own."""
    path = tmp_path / "context"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\nENV PLACE=/p\nCOPY Dockerfile /\n")
    cli.good("build", "-q", "-t", "placed:1", "--no-lock", str(path))
    (path / "Dockerfile").write_text("FROM placed:1\nCOPY Dockerfile $PLACE/\nCOPY Dockerfile $PLACES/\nCMD a\n")
    yield path
    cli.good("rmi", "-f", *cli.good("images", "-q", "--filter", "reference=placed").split())


def test_an_engine_that_runs_tells_what_bases_define(cli: Cli, context: Path) -> None:
    done = cli("build", "--check", str(context))
    assert done.returncode == 1
    assert "Usage of undefined variable '$PLACES' (did you mean $PLACE?)\nDockerfile:3\n" in done.stdout
    assert "not checked" not in done.stdout


def test_a_build_tells_what_is_found_unless_it_is_quiet(cli: Cli, context: Path) -> None:
    done = cli("build", "--no-lock", "-t", "placed:2", str(context))
    told = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert [line.split(":")[1].strip() for line in told] == ["UndefinedVar", "JSONArgsRecommended"]
    assert cli("build", "-q", "--no-lock", "-t", "placed:2", str(context)).stderr == ""
