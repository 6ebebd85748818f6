"""Snapshots as whole copies: chosen where overlayfs cannot do its work, as on a home without extended attributes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import BUSYBOX, clean_up, import_busybox
from kist.engine import Engine
from kist.spec.container import ContainerOptions
from ordinary import GID, UID, Ordinary
from rootless_user import User, made

pytestmark = pytest.mark.root

QUIET = ("--network", "none")
DOCKERFILE = f"""\
FROM {BUSYBOX}
RUN mkdir /d && echo 1 > /d/old && chown user:extra /d/old && echo gone > /gone
RUN rm -r /d /gone && mkdir /d && echo 2 > /d/new && ln /d/new /d/again
COPY --chown=user file /d/
CMD ls /d && stat -c %h /d/new && cat /d/file && ! cat /gone 2> /dev/null
"""


@pytest.fixture(scope="module", params=["range", "alone"])
def user(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """An ordinary user whose home is on a file system without attributes, in mounts of the tests' own."""
    directory = tmp_path_factory.mktemp("bare")
    home = directory / "home"
    home.mkdir()
    script = f"mount -t ramfs kist-bare {home} && chown {UID}:{GID} {home} && echo ready && exec cat"
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"ready\n"
        range_ = request.param == "range"
        who = Ordinary(directory, range_, mounts=f"/proc/{holder.pid}/ns/mnt")
        with made(directory, range_=range_, who=who) as one:
            yield one
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def test_a_home_without_attributes_has_all_that_others_have(user: User) -> None:
    shared = user.who.directory / "shared"
    shared.mkdir()
    os.chown(shared, UID, GID)
    (shared / "Dockerfile").write_text(DOCKERFILE)
    (shared / "file").write_text("copied\n")
    assert user.good("info", "-f", "{{.Driver}}") == "copy"
    user.good("build", "-t", "built", str(shared))
    assert user.good("run", "--rm", *QUIET, "built").split() == ["again", "file", "new", "2", "copied"]
    script = "rm -r /d; mkdir /d; echo 3 > /d/three; chown user /d/three"
    user.good("run", "--name", "changed", *QUIET, "built", "sh", "-c", script)
    changes = set(user.good("diff", "changed").splitlines())
    assert changes == {"C /d", "D /d/again", "D /d/file", "D /d/new", "A /d/three"}
    user.good("commit", "changed", "committed")
    user.good("save", "-o", f"{shared}/saved", "committed")
    user.good("rm", "changed")
    user.good("rmi", "committed")
    user.good("load", "-i", f"{shared}/saved")
    owner = "1000" if user.who.range_ else "0"  # of whom one id cannot tell anything here
    told = user.good("run", "--rm", *QUIET, "committed", "sh", "-c", "ls /d; stat -c %u /d/three")
    assert told.split() == ["three", owner]
    user.good("rmi", "committed", "built")
    user.good("builder", "prune", "-f")
    assert user.good("system", "check") == ""


def test_who_asks_for_copies_gets_them_and_what_was_there_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = str(tmp_path / "data"), str(tmp_path / "run")
    with Engine(*roots) as engine:
        image = import_busybox(engine)
        stays = engine.create(ContainerOptions(image=image, command=("sh", "-c", "cat /a"), network="none"))
        upper = engine.store.snapshots.mounts(stays.id)[0].option("upperdir")
        Path(upper or "", "a").write_text("as it was")
    (tmp_path / "engine.toml").write_text('storage = "copy"\n')
    monkeypatch.setenv("KIST_CONFIG", str(tmp_path / "engine.toml"))
    with Engine(*roots) as engine:
        assert engine.info().storage_driver == "copy"
        engine.start(stays)
        engine.wait(stays)
        assert b"".join(line.data for line in engine.logs(stays)) == b"as it was"
        assert engine.run(image, ["sh", "-c", "rm -r /home; ls /home || echo gone"]).stdout == "gone\n"
        assert [str(change) for change in engine.changes(stays)] == ["A /a"]
        engine.remove(stays)
    clean_up(tmp_path / "data")
