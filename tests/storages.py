"""Command lines on data roots with a storage of their own choice."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import disks
from harness import BUSYBOX, Cli, a_cli, give_busybox
from kist.store import choice

DOCKERFILE = f"""\
FROM {BUSYBOX}
RUN mkdir /d && echo 1 > /d/old && chown user:extra /d/old && echo gone > /gone
RUN rm -r /d /gone && mkdir /d && echo 2 > /d/new && ln /d/new /d/again
COPY --chown=user file /d/
CMD ls /d && stat -c %h /d/new && cat /d/file && ! cat /gone 2> /dev/null
"""
"""A build whose layers replace, remove and link files of the layers below; its directory has a ``file``."""


class WithSettings(Cli):
    """One whose engine reads ``engine.toml`` of its directory."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"KIST_CONFIG": str(self.directory / "engine.toml")}


@contextlib.contextmanager
def a_cli_on(storage: str, directory: Path) -> Iterator[Cli]:
    """One with the small image, in an empty directory: that of a file system of its own for ``btrfs``."""
    directory.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(disks.file_system("btrfs", directory)) if storage == "btrfs" else directory
        (place / "tmp").mkdir()  # in it is tried what works there
        if storage == "loop" and (why := choice.refusal_of_limits(str(place))):
            pytest.skip(why)
        (place / "engine.toml").write_text(f'storage = "{storage}"\n')
        cli = stack.enter_context(a_cli(place, WithSettings))
        give_busybox(cli)
        assert cli.good("info", "-f", "{{.Driver}}") == storage
        yield cli
