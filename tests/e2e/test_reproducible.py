"""Reproducible builds: one digest, whoever builds, wherever and whenever."""

import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import needs
from harness import a_cli
from rootless_user import User
from storages import a_cli_on

EPOCH = 1_700_000_000
DOCKERFILE = r"""FROM scratch AS base
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
RUN /bin/busybox --install -s /bin && mkdir -p /etc /var/log/apt /var/cache/ldconfig /tmp \
    && date > /var/log/dpkg.log && date > /etc/machine-id && cat /proc/uptime > /var/cache/ldconfig/aux-cache \
    && hostname > /name && echo "$SOURCE_DATE_EPOCH" > /epoch && touch -d '2001-02-03 04:05:06' /old
FROM base AS made
WORKDIR /work/deep
COPY data data/
ADD files.tar unpacked/
RUN ln data/a hard && ln -s ../a soft && mkdir -p d/e && echo x > d/e/f && chmod 1777 d
RUN mv d moved && rm -r data && mkdir data && echo new > data/a && cat /etc/hosts /etc/resolv.conf > /dev/null
FROM base AS further
ARG suffix=.txt
ENV PREFIX=of-
WORKDIR /further
COPY --link --chmod=u=rwX,go= --chown=12:34 data linked/
COPY --parents data/inner/b --exclude=*.log . parents/
COPY <<EOF ${PREFIX}document${suffix}
of ${PREFIX}variables
EOF
RUN --mount=type=bind,source=data,target=/bound --mount=type=cache,target=/kept --mount=type=tmpfs,target=/thrown <<EOF
  cp -a /bound/a from-the-context
  date >> /kept/log; date > /thrown/log
  dd if=/dev/zero of=sparse bs=1 count=1 seek=1M 2> /dev/null
  mkfifo pipe && chmod 640 pipe
EOF
FROM base
LABEL k=v
ONBUILD RUN true
VOLUME /v
EXPOSE 80
HEALTHCHECK --interval=1m CMD true
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/busybox"]
CMD ["sh"]
COPY --from=made /work /work
COPY --from=further / /
RUN echo changed >> /work/deep/data/a
USER 12:34
"""

LOOK = "cat /epoch /etc/machine-id /var/log/dpkg.log; stat -c '%Y %n' /old /work/deep/unpacked/of/old"


def context(directory: Path, age: int) -> Path:
    """The same files as ever, checked out at another time."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    if busybox is None:
        pytest.skip("needs busybox (Debian: busybox-static)")
    (directory / "data/inner").mkdir(parents=True)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "data/a").write_text("a\n")
    (directory / "data/inner/b").write_text("b\n")
    shutil.copyfile(busybox, directory / "busybox")
    (directory / "busybox").chmod(0o755)
    with tarfile.open(directory / "files.tar", "w") as archive:
        entry = tarfile.TarInfo("of/old")
        entry.size, entry.mtime, entry.uid = 3, 1_000_000_000, 0
        archive.addfile(entry, io.BytesIO(b"old"))
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (EPOCH + age, EPOCH + age))
    return directory


def test_two_engines_and_two_times_make_one_image(tmp_path: Path) -> None:
    made = []
    for number in (1, 2):
        where = context(tmp_path / f"context{number}", number * 1000 if number == 1 else -1000)
        (tmp_path / f"engine{number}").mkdir()
        with a_cli(tmp_path / f"engine{number}") as cli:
            arguments = ["build", "-q", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "-t", "made"]
            identity = cli.good(*arguments, str(where))
            assert cli.good(*arguments, str(where)) == identity, "from the cache"
            if number == 1:
                assert cli.good(*arguments, "--no-cache", str(where)) == identity
            made.append((identity, cli.good("image", "inspect", "-f", "{{json .RootFS.Layers}} {{.Created}}", "made")))
            if number == 1:
                seen = cli.good("run", "--rm", "--user", "0", "--network", "none", "made", "sh", "-c", LOOK)
                archive = tmp_path / "saved.tar"
                cli.good(*arguments, "-o", f"type=oci,dest={archive}", str(where))
    assert made[0] == made[1]
    assert seen.splitlines()[0] == str(EPOCH)
    assert seen.splitlines()[1:3] == ["981173106 /old", f"{EPOCH} /work/deep/unpacked/of/old"]
    assert "2023-11-14T22:13:20Z" in made[0][1]
    with tarfile.open(archive) as saved:
        layers = json.load(saved.extractfile("manifest.json"))[0]["Layers"]  # type: ignore[arg-type]
        for layer in layers:
            with tarfile.open(fileobj=saved.extractfile(layer)) as files:
                assert {member.name: member.mtime for member in files if member.mtime > EPOCH} == {}


STORAGES = [
    pytest.param(("overlay", "copy"), id="two"),
    pytest.param(
        ("overlay", "copy", "btrfs", "loop"), id="all", marks=[needs.LONG, pytest.mark.root("mounts file systems")]
    ),
]


@pytest.mark.parametrize("storages", STORAGES)
def test_every_storage_makes_one_image(tmp_path: Path, storages: tuple[str, ...]) -> None:
    where = context(tmp_path / "context", 0)
    made = {}
    for storage in storages:
        with a_cli_on(storage, tmp_path / storage) as cli:
            made[storage] = cli.good("build", "-q", "--reproducible", "--no-lock", str(where))
    assert len(set(made.values())) == 1, made


@pytest.mark.root("becomes ordinary users itself")
def test_root_and_both_kinds_of_user_make_one_image(users: Callable[[str], User], tmp_path: Path, cli: Any) -> None:
    where = context(tmp_path / "context", 0)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    archive = tmp_path / "context.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(where, ".")
    data = archive.read_bytes()
    arguments = ("build", "-q", "--reproducible", "-")
    made = {"root": cli.good(*arguments, stdin=data)}
    made |= {kind: users(kind).good(*arguments, stdin=data) for kind in ("range", "alone")}
    assert len(set(made.values())) == 1, made


def test_the_default_moment_and_what_is_refused(small: Any, tmp_path: Path) -> None:
    where = tmp_path / "c"
    where.mkdir()
    (where / "Dockerfile").write_text("FROM busybox:test\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /e\n")
    small.good("build", "-q", "--reproducible", "-t", "r", str(where))
    told = small.good("run", "--rm", "--network", "none", "r", "sh", "-c", "cat /e; stat -c %Y /e")
    assert told.split() == ["315532800", "315532800"]
    assert small.good("image", "inspect", "-f", "{{.Created}}", "r").startswith("1980-01-01T00:00:00")
    done = small("build", "--build-arg", "SOURCE_DATE_EPOCH=yesterday", str(where))
    assert done.returncode != 0
    assert "invalid SOURCE_DATE_EPOCH 'yesterday'" in done.stderr
    later = small("build", "--build-arg", "SOURCE_DATE_EPOCH=4102444800", str(where))
    assert "is in the future" in later.stderr


def test_files_that_are_sent_are_of_the_moment(cli: Any, tmp_path: Path) -> None:
    where = context(tmp_path / "context", 0)
    cli.good("build", "-q", "--reproducible", "--target", "made", "-o", str(tmp_path / "out"), str(where))
    assert (tmp_path / "out/work/deep/unpacked/of/old").stat().st_mtime == 315532800


def test_verify_tells_which_file_of_which_step_differs(small: Any, tmp_path: Path) -> None:
    where = tmp_path / "c"
    where.mkdir()
    (where / "Dockerfile").write_text(
        "FROM busybox:test\nRUN echo the same > /same\n"
        "RUN head -c 3000 /dev/zero > /stamp && cat /proc/sys/kernel/random/uuid >> /stamp && touch /tmp/$(cat "
        "/proc/sys/kernel/random/uuid)\nRUN true\n"
    )
    done = small("build", "--verify", "-t", "never", str(where))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "not reproducible: 1 of 2 layers differ between two builds" in lines
    assert any(line.startswith("Dockerfile:3  RUN head") for line in lines)
    # Two random ids may begin with the same digits.
    assert any(re.match(r"  ~ stamp  content from byte 30\d\d on", line) for line in lines)
    first, second = (next(line for line in lines if line.startswith(f"      {name}")) for name in ("first", "second"))
    assert first != second
    assert "\\x00" in first
    assert sum(line.startswith("  - tmp/") for line in lines) == 1
    assert sum(line.startswith("  + tmp/") for line in lines) == 1
    assert "never" not in small.good("images"), "nothing comes of a build that is not the same again"


def test_verify_of_what_is_the_same(small: Any, tmp_path: Path) -> None:
    where = context(tmp_path / "context", 0)
    done = small("build", "--verify", "-t", "same", str(where))
    assert done.returncode == 0, done.stderr
    assert "reproducible: 15 layers the same in two builds" in done.stderr
    assert small.good("build", "-q", "--reproducible", str(where)) == small.good(
        "image", "inspect", "-f", "{{.Id}}", "same"
    )
